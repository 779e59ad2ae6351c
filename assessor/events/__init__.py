"""What Event Grid tells: which events mean something here, and what follows from them."""
