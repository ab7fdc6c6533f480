"""The exceptions a user meets. Each message names the thing, the value and the cure; none is shown with a traceback."""

from __future__ import annotations


class PreimageError(Exception):
    """Base of all errors that are told to the person at the keyboard. A run that failed exits with 1."""

    exit_code = 1


class RequestError(PreimageError):
    """What was asked for cannot be done as it was asked: a name, a setting, a file, a combination of parts."""

    exit_code = 2


class PluginError(RequestError):
    """A plugin is missing, ambiguous, refused by policy, of another version, or broken."""


class DataError(RequestError):
    """A dataset lacks a variable, or one has other dims, another shape or another type than its user needs."""


class SpaceError(DataError, ValueError):
    """A tensor is not an element of the space in which it is used: other dims, shape or dtype."""


class WeightsError(DataError):
    """A file of weights cannot be trusted, is damaged, or holds other tensors than the network has."""


class CapabilityError(RequestError):
    """A solver needs what the operator, the likelihood or a prior does not offer."""


class RunError(PreimageError):
    """A run began and could not go on: values that are not finite, a full disk, a device that is gone."""
