"""Parallel-beam tomography."""
