"""What stands beside a file of weights: facts that hold whatever the architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from preimage.errors import WeightsError

FORMAT: Literal[1] = 1


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Stored(_Facts):
    """One tensor.

    Attributes
    ----------
    dtype : as torch names it, such as float32.
    """

    shape: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, tensor: Tensor) -> Stored:
        """The description of a tensor."""
        return cls(shape=tuple(tensor.shape), dtype=str(tensor.dtype).removeprefix("torch."))


class Expects(_Facts):
    """What a network was trained on.

    Attributes
    ----------
    value_range : the lowest and the highest value of its images.
    noise_level : standard deviation of their noise, in the same units; "input" for a network that is told it with the
        image, "blind" for one that finds it by itself.
    """

    value_range: tuple[float, float] | None = None
    noise_level: float | Literal["input", "blind"] | None = None


class Description(_Facts):
    """A file of weights.

    Attributes
    ----------
    sha256 : of the file.
    tensors : by name.
    source : where the weights are from.
    licence : under which they may be used.
    """

    format: Literal[1] = FORMAT
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    tensors: dict[str, Stored]
    source: str = ""
    licence: str = ""
    expects: Expects = Expects()


def description_path(path: Path) -> Path:
    """Where the description of a file of weights stands: beside it, with `.json` added to its name."""
    return path.with_name(f"{path.name}.json")


def read_description(path: Path) -> Description:
    """The description of a native file of weights.

    Raises
    ------
    WeightsError : it cannot be read.
    """
    beside = description_path(path)
    try:
        return Description.model_validate_json(beside.read_bytes())
    except OSError as error:
        raise WeightsError(f"{beside} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"])) or "the file"
        raise WeightsError(f"{beside} is no description of weights: {at}: {first['msg']}") from None
