"""How a run is cut into blocks that fit in the memory that it is given."""
