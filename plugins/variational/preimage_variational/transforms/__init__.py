"""Linear transforms that priors look through."""
