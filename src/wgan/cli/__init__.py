"""The command line: words in, an exit code out. Importing it imports neither torch nor tyro."""
