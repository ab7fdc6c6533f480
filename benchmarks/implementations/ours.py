"""The same through the public interface, as anyone would write it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import xarray as xr
from cases import INNER_ITERATIONS, LEVELS, PENALTY, WAVELET, Case, Run
from problems import load
from torch import Tensor

import preimage
from preimage.data import tensor


def magnetic(folder: Path) -> xr.Dataset:
    return xr.Dataset(
        {
            "measurement": (("coil", "x", "kz", "ky"), load(folder, "hybrid")),
            "sensitivities": (("coil", "x", "z", "y"), load(folder, "sensitivities")),
            "mask": (("kz", "ky"), load(folder, "mask"), {"small": True}),
        }
    )


def solving(dataset: xr.Dataset, operator: Any, solver: Any, *priors: Any) -> Run:
    problem = preimage.Problem(tensor(dataset, "measurement"), operator, priors=priors)
    return lambda: preimage.solve(solver, problem).x


def normal(folder: Path, case: Case) -> Run:
    operator = preimage.make("operator.cartesian-mri", magnetic(folder))
    image = torch.from_numpy(load(folder, "truth")).to(torch.complex64)

    def run() -> Tensor:
        with torch.no_grad():
            return operator.normal(image)

    return run


def cg_sense(folder: Path, case: Case) -> Run:
    dataset = magnetic(folder)
    operator = preimage.make("operator.cartesian-mri", dataset)
    solver = preimage.make("solver.conjugate-gradient", damping=case.weight, max_iter=case.iterations)
    return solving(dataset, operator, solver)


def l1_wavelet_fista(folder: Path, case: Case) -> Run:
    dataset = magnetic(folder)
    operator = preimage.make("operator.cartesian-mri", dataset)
    prior = preimage.make(
        "prior.sparsity",
        operator.domain,
        weight=case.weight,
        transform="wavelet",
        wavelet=WAVELET,
        levels=LEVELS,
        threshold_approximation=True,
    )
    return solving(dataset, operator, preimage.make("solver.fista", max_iter=case.iterations), prior)


def tv_pdhg(folder: Path, case: Case) -> Run:
    dataset = magnetic(folder)
    operator = preimage.make("operator.cartesian-mri", dataset)
    prior = preimage.make("prior.total-variation", operator.domain, weight=case.weight)
    return solving(
        dataset, operator, preimage.make("solver.pdhg", max_iter=case.iterations, balance=case.balance), prior
    )


def tv_admm(folder: Path, case: Case) -> Run:
    dataset = magnetic(folder)
    operator = preimage.make("operator.cartesian-mri", dataset)
    prior = preimage.make("prior.total-variation", operator.domain, weight=case.weight)
    solver = preimage.make("solver.admm", max_iter=case.iterations, penalty=PENALTY, inner_iterations=INNER_ITERATIONS)
    return solving(dataset, operator, solver, prior)


def tv_denoise(folder: Path, case: Case) -> Run:
    dataset = xr.Dataset({"measurement": (("z", "y", "x"), load(folder, "noisy"))})
    operator = preimage.make("operator.identity", dataset)
    prior = preimage.make("prior.total-variation", operator.domain, weight=case.weight)
    return solving(
        dataset, operator, preimage.make("solver.pdhg", max_iter=case.iterations, balance=case.balance), prior
    )


def phase_retrieval(folder: Path, case: Case) -> Run:
    dataset = xr.Dataset(
        {
            "measurement": (("pattern", "ky", "kx"), load(folder, "amplitudes")),
            "modulation": (("pattern", "y", "x"), load(folder, "modulation")),
        }
    )
    operator = preimage.make("operator.phase-retrieval", dataset, power=1)
    return solving(dataset, operator, preimage.make("solver.gradient-descent", max_iter=case.iterations))
