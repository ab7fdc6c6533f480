"""Variational reconstruction: likelihoods, priors, and the solvers that minimise their sum."""
