"""Sampling of k-space: patterns, and the fully sampled centre."""
