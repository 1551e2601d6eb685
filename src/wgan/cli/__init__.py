"""The command line: it takes words and returns an exit code. Importing it imports neither torch nor a command."""
