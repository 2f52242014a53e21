"""Build your own deep-learning framework."""
