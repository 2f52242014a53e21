"""The package of the small course."""
