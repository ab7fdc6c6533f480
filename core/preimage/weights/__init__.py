"""Weights of trained networks: safetensors with a description beside them, and a safe way there from other formats.

`load_weights(path, expected)` reads any format that there is. What is not native is imported once, into the user's
cache or to where `import_weights(foreign, target)` says; nothing that a file contains is ever executed.
"""

from preimage.weights.description import Description, Expects
from preimage.weights.foreign import import_weights
from preimage.weights.loading import describe_weights, load_weights
from preimage.weights.native import save_weights

__all__ = ["Description", "Expects", "describe_weights", "import_weights", "load_weights", "save_weights"]
