"""The same through the public interface, as anyone would write it."""

from __future__ import annotations

from pathlib import Path

import torch
import xarray as xr
from cases import CG_ITERATIONS, DAMPING, FISTA_ITERATIONS, LEVELS, WAVELET, WEIGHT, Run
from data import load
from torch import Tensor

import preimage
from preimage.data import tensor


def read(folder: Path) -> xr.Dataset:
    return xr.Dataset(
        {
            "measurement": (("coil", "x", "kz", "ky"), load(folder, "hybrid")),
            "sensitivities": (("coil", "x", "z", "y"), load(folder, "sensitivities")),
            "mask": (("kz", "ky"), load(folder, "mask"), {"small": True}),
        }
    )


def normal(folder: Path) -> Run:
    operator = preimage.make("operator.cartesian-mri", read(folder))
    image = torch.from_numpy(load(folder, "truth")).to(torch.complex64)

    def run() -> Tensor:
        with torch.no_grad():
            return operator.normal(image)

    return run


def cg_sense(folder: Path) -> Run:
    solver = preimage.make("solver.conjugate-gradient", damping=DAMPING, max_iter=CG_ITERATIONS)
    dataset = read(folder)
    operator = preimage.make("operator.cartesian-mri", dataset)
    problem = preimage.Problem(tensor(dataset, "measurement"), operator)
    return lambda: preimage.solve(solver, problem).x


def l1_wavelet_fista(folder: Path) -> Run:
    solver = preimage.make("solver.fista", max_iter=FISTA_ITERATIONS)
    dataset = read(folder)
    operator = preimage.make("operator.cartesian-mri", dataset)
    prior = preimage.make(
        "prior.sparsity",
        operator.domain,
        weight=WEIGHT,
        transform="wavelet",
        wavelet=WAVELET,
        levels=LEVELS,
        threshold_approximation=True,
    )
    problem = preimage.Problem(tensor(dataset, "measurement"), operator, priors=(prior,))
    return lambda: preimage.solve(solver, problem).x
