"""What each word after ``bench`` does; the modules are imported only when their command is called."""
