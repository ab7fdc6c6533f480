"""Cartesian encoding: the operators, how they are cut to the cache, and what headers say about them."""
