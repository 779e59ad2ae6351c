"""How the console is shown: thin pages over the model, by NiceGUI, which pushes what changes."""
