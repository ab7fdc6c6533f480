"""Solvers that minimise."""
