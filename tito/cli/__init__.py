"""The command line: one file per command group, commands of a few lines."""
