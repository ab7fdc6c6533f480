"""Convolution over some dims of an image, seen from the image, from the kernel, or from both."""
