"""What is remembered of each VM: its posture, where that is kept, and how long assessments take."""
