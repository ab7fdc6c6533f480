"""Who solves the cases: a module each, with a function for each case that it can solve."""
