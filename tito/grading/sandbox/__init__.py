"""Running what nobody trusts: a warm parent behind walls, and what comes back from it as data."""
