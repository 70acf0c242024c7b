"""What is laid out: one file for each thing that tables say."""
