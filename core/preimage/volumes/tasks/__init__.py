"""Tasks: the pieces of a run, each done in any process from the run's store and a few words."""
