"""Likelihoods of this pack."""
