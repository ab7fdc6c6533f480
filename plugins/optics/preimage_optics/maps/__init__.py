"""Linear maps of which a detector sees the magnitude."""
