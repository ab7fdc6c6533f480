"""Denoisers: priors that are given as what they make of a noisy image."""
