"""The base class of every method's settings."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Settings of one method: unknown keys are errors, values never change after validation.

    A method's module holds one subclass named `Settings`; every field has a description, which
    `preimage describe` shows together with its default. No field may be called `use`: that key of a
    run file's section names the method.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
