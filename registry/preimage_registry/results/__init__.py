"""What is done with runs that are stored: how far they are, side by side, and once more."""
