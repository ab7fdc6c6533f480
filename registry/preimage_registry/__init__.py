"""Who implements what, with which settings: discovery, policy, run files and the command line of preimage."""

from preimage_registry.bound import BoundMethod
from preimage_registry.discovery import Method
from preimage_registry.policy import Policy
from preimage_registry.registry import Registry

__all__ = ["BoundMethod", "Method", "Policy", "Registry"]
