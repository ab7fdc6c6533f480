"""Volumes: planning, storing and solving block by block."""
