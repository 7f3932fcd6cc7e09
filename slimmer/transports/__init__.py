"""Where images come from and go to, one source and sink per file."""
