"""A chain of small parts that needs no registry and no pack: rows of a matrix problem, behind a transform of the rows.

Data y(kx, m): along kx the Fourier transform of rows x; each row is y(x, m) = M(m, n) · image(x, n).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from preimage.chain import Chain
from preimage.data import Preparation, header, tensor, variable
from preimage.declarations import Memory, Scalar, split, whole
from preimage.likelihoods import Gaussian
from preimage.operators import LinearOperator, Norm
from preimage.randomness import Seed
from preimage.run_settings import SimulateSettings
from preimage.settings import Settings
from preimage.solving import Needs, Solver, State, Stop, lipschitz
from preimage.space import Space
from preimage.volumes.stores import open_dataset


@dataclass
class ToyPart:
    """A part made of functions."""

    kind: str
    name: str
    factory: Any
    settings: Settings = field(default_factory=Settings)
    declared: Any = Any
    requires: dict[str, tuple[str, ...]] = field(default_factory=dict)
    provides: dict[str, tuple[str, ...]] = field(default_factory=dict)
    hooks: dict[str, Any] = field(default_factory=dict)
    uses: tuple[str, ...] = ()
    origin: dict[str, str] = field(default_factory=dict)

    def make(self, **context):
        return self.factory(**context)

    def ask(self, hook, **context):
        return self.hooks[hook](**context) if hook in self.hooks else None


class LoaderSettings(Settings):
    path: Path


class StoredLoader:
    def __init__(self, path):
        self.path = path

    def describe(self):
        return open_dataset(self.path)


class Rows(LinearOperator):
    """y(x, m) = M(m, n) image(x, n)."""

    def __init__(self, matrix, n_rows):
        m, n = matrix.shape
        super().__init__(Space(("x", "n"), (n_rows, n), matrix.dtype), Space(("x", "m"), (n_rows, m), matrix.dtype))
        self.matrix = matrix

    def _apply(self, x):
        return x @ self.matrix.T

    def _apply_adjoint(self, y):
        return y @ self.matrix.conj()

    def _bound(self):
        return Norm(float(torch.linalg.matrix_norm(self.matrix, 2)), "exact")


class MaskedRows(Rows):
    """The same where a mask over m is True."""

    def __init__(self, matrix, n_rows, mask):
        super().__init__(matrix * mask[:, None], n_rows)


def make_rows(dataset, shared):
    matrix = tensor(dataset, "matrix", ("m", "n"))
    rows = dataset.sizes["x"]
    if "mask" in dataset.variables:
        return MaskedRows(matrix, rows, tensor(dataset, "mask"))
    return Rows(matrix, rows)


def rows_spaces(dataset):
    dtype = torch.from_numpy(np.zeros((), dataset["matrix"].dtype)).dtype
    x, m, n = (dataset.sizes[dim] for dim in ("x", "m", "n"))
    return Space(("x", "n"), (x, n), dtype), Space(("x", "m"), (x, m), dtype)


class RowTransform(Preparation):
    """kx → x by an inverse unitary FFT; m is split."""

    def describe(self, dataset):
        found = dataset["measurement"]
        dims = tuple("x" if dim == "kx" else dim for dim in found.dims)
        rest = dataset.drop_vars("measurement")
        return rest.assign(measurement=header(dims, found.shape, found.dtype))

    def apply(self, dataset, fitted):
        values = torch.fft.ifft(tensor(dataset, "measurement", ("kx", "m")), dim=0, norm="ortho")
        return dataset.drop_vars("measurement").assign(measurement=variable(values, ("x", "m")))


class Gain(Preparation):
    """Divides by a number fitted once, from the first two m of all rows."""

    fits = 0

    def describe(self, dataset):
        found = dataset["measurement"]
        return dataset.assign(measurement=header(found.dims, found.shape, found.dtype))

    def reads(self, dataset):
        return {"m": slice(0, 2)}

    def fit(self, dataset):
        Gain.fits += 1
        assert dataset.sizes["m"] == 2
        level = tensor(dataset, "measurement", ("x", "m")).abs().mean()
        return xr.Dataset({"gain": variable(level, ())})

    def apply(self, dataset, fitted):
        return dataset.assign(measurement=dataset["measurement"] / fitted["gain"].item())


@dataclass(kw_only=True)
class DescentState(State):
    seed: Seed


class Descent(Solver):
    """Gradient descent, with noise, a pause or other lengths of steps where a test wants it; with priors their prox."""

    needs = Needs(operator=(LinearOperator,), priors=range(2))

    def __init__(self, max_iter=30, noise=0.0, pause=0.0, length=1.0):
        self.stop = Stop(max_iter)
        self.length = length
        self.noise = noise
        self.pause = pause

    def start(self, problem, x0=None):
        return DescentState(x=problem.zeros() if x0 is None else x0.clone(), seed=Seed(problem.seed))

    def step(self, problem, state):
        time.sleep(self.pause)
        size = self.length / lipschitz(problem)
        drawn, seed = state.seed.normal(problem.domain, problem.batch, problem.device)
        x = state.x - size * problem.data_gradient(state.x) + self.noise * drawn
        for prior in problem.priors:
            x = prior.prox(x, size)
        return DescentState(x=x, iteration=state.iteration + 1, seed=seed)


class SoftThreshold:
    def __init__(self, weight):
        self.weight = weight

    def value(self, x):
        return self.weight * x.abs().sum()

    def prox(self, x, step):
        return x * (1 - self.weight * step / x.abs().clamp_min(1e-30)).clamp_min(0)


NORM = {"norm": Scalar(lambda problem: problem.operator.norm().safe, "max")}


def build(recipe):
    """The chain of a recipe; `options` of the recipe choose among toys."""
    options = recipe.get("options", {})
    transform = ToyPart(
        "preparation",
        "row-transform",
        lambda dataset: RowTransform(),
        requires={"measurement": ("kx",)},
        provides={"measurement": ("x",)},
        hooks={
            "preimage_axes": lambda **_: {"m": split, "kx": whole},
            "preimage_memory": lambda **_: Memory(per_input=4.0),
        },
    )

    def rewrite(dataset):
        return [{"use": "row-transform"}] if "kx" in dataset["measurement"].dims else []

    gain = ToyPart(
        "preparation",
        "gain",
        lambda dataset: Gain(),
        requires={"measurement": ("x",)},
        provides={"measurement": ()},
        hooks={
            "preimage_axes": lambda **_: {"x": split, "m": split},
            "preimage_memory": lambda **_: Memory(),
            "preimage_rewrite": rewrite,
        },
    )

    operator = ToyPart(
        "operator",
        "rows",
        make_rows,
        declared=Rows,
        requires={"matrix": ("m", "n")},
        uses=("mask",),
        hooks={
            "preimage_spaces": rows_spaces,
            "preimage_axes": lambda **_: {"x": split},
            "preimage_rewrite": rewrite,
            "preimage_memory": lambda **_: Memory(
                fixed=options.get("fixed", 0), per_input=options.get("per_input", 4.0)
            ),
        },
    )
    priors = ()
    if "threshold" in options:
        axes = {"x": split, "n": split} if options.get("prior_splits", True) else {"n": split}
        prior = ToyPart(
            "prior",
            "soft",
            lambda **_: SoftThreshold(options["threshold"]),
            declared=SoftThreshold,
            hooks={"preimage_axes": lambda **_: axes},
        )
        priors = (prior,)
    solver = ToyPart(
        "solver",
        "descent",
        lambda: Descent(**options.get("solver", {})),
        declared=Descent,
        hooks={
            "preimage_scalars": lambda **_: NORM if options.get("numbers", True) else {},
            "preimage_memory": lambda **_: None if options.get("undeclared") else Memory(),
        },
    )
    path = Path(recipe["path"])
    return Chain(
        loader=ToyPart("loader", "stored", lambda: StoredLoader(path), LoaderSettings(path=path)),
        preparations=(gain,) if options.get("gain") else (),
        operator=operator,
        likelihood=ToyPart("likelihood", "gaussian", make_gaussian, declared=Gaussian),
        priors=priors,
        on=(None,) * len(priors),
        solver=solver,
        simulate=SimulateSettings.model_validate(recipe["simulate"]) if recipe.get("simulate") else None,
        seed=recipe["seed"],
        propose=lambda section: {"row-transform": transform}[section["use"]],
    )


def make_gaussian(dataset):
    return Gaussian(float(dataset["noise_std"])) if "noise_std" in dataset.variables else Gaussian()


def recipe(path, output, compute=None, seed=0, history=10, simulate=None, **options):
    """A recipe as plain data."""
    compute = {"device": "cpu", "memory": "4 GiB", **(compute or {})}
    return {
        "path": str(path),
        "seed": seed,
        "options": options,
        "simulate": simulate,
        "compute": compute,
        "output": {"path": str(output), "history": history},
    }


def example(n_rows=12, m=6, n=4, *, hybrid=False, noise=0.05, scale=1.0):
    """A dataset with a truth whose rows differ in brightness, so that maxima of blocks differ."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(m, n, dtype=torch.complex64, generator=generator)
    brightness = torch.linspace(0.2, 3, n_rows)[:, None]
    truth = brightness * torch.randn(n_rows, n, dtype=torch.complex64, generator=generator)
    y = scale * (truth @ matrix.T + noise * torch.randn(n_rows, m, dtype=torch.complex64, generator=generator))
    dims = ("x", "m") if hybrid else ("kx", "m")
    values = y if hybrid else torch.fft.fft(y, dim=0, norm="ortho")
    return xr.Dataset(
        {
            "measurement": variable(values, dims),
            "matrix": variable(matrix, ("m", "n")),
            "truth": variable(truth, ("x", "n")),
        },
        attrs={"voxel_size": np.array([1.0, 2.0])},
    )
