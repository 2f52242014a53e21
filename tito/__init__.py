"""tito: build your own deep-learning framework, one tested module at a time."""

__version__ = "0.1.0"
