"""What the command line does, for notebooks and programs."""
