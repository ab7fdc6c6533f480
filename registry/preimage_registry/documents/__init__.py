"""TOML and JSON files whose keys know where they stand, so that an error can say so."""

from preimage_registry.documents.mistakes import Key, Mistake, Mistakes, did_you_mean, dotted
from preimage_registry.documents.source import Source, read_source

__all__ = ["Key", "Mistake", "Mistakes", "Source", "did_you_mean", "dotted", "read_source"]
