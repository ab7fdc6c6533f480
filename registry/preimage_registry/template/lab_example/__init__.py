"""Coded exposure. Import no method here: they are listed without being imported."""
