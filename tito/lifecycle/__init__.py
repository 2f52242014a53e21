"""What happens to a module: set up, synchronise, test, export, complete, take back. One file a concern."""
