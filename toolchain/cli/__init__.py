"""The command line: one file for each family of commands, and where options and exit codes are set."""
