"""Priors: what an image is expected to be."""
