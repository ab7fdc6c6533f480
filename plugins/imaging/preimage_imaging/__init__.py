"""Image formation: identity, inpainting and blur, and images read from files."""
