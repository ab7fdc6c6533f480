"""Total-variation denoising at the limit: one pass over the slabs an iteration, in place."""

from __future__ import annotations

from pathlib import Path

import torch
from cases import Case, Run
from torch import Tensor

from implementations.limit.differences import add_divergence_, ascend_, squared_norm, thick_slabs
from implementations.limit.sense import read


def tv_denoise(folder: Path, case: Case) -> Run:
    """PDHG as for any operator A, here the identity; see `tv_pdhg`."""
    noisy = read(folder, "noisy")
    weight, share = case.weight, case.balance / (1 + case.balance)

    @torch.no_grad()
    def run() -> Tensor:
        x, ahead, fit = torch.zeros_like(noisy), torch.zeros_like(noisy), torch.zeros_like(noisy)
        dual = noisy.new_zeros(3, *noisy.shape)
        tau, sigma = 0.5 / case.balance, case.balance / squared_norm(noisy.shape)
        for _ in range(case.iterations):
            for slab in thick_slabs(x):
                ascend_(dual, ahead, slab, sigma / weight)
                move = fit[slab].lerp_(noisy[slab] - ahead[slab], share).clone()
                add_divergence_(move, dual, slab, -weight)
                torch.add(x[slab].add_(move, alpha=tau), move, alpha=tau, out=ahead[slab])
        return x

    return run
