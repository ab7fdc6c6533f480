"""MRI at the limit: all that happens to a slab happens while it is in the cache, and in place."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from cases import INNER_ITERATIONS, LEVELS, PENALTY, Case, Run
from torch import Tensor

from implementations.limit.differences import (
    add_differences_,
    add_divergence_,
    add_laplacian_,
    ascend_,
    spread_divergence_,
    squared_lengths,
    squared_norm,
    thick_slabs,
)
from implementations.limit.sense import Sense, inner, read, read_hybrid
from implementations.limit.wavelet import shrink_wavelets_


def normal(folder: Path, case: Case) -> Run:
    sense = Sense(folder)
    image = read(folder, "truth").to(torch.complex64)

    @torch.no_grad()
    def run() -> Tensor:
        out = torch.empty_like(image)
        for slab in sense.slabs():
            out[slab] = sense.normal(image[slab], slab)
        return out

    return run


def cg_sense(folder: Path, case: Case) -> Run:
    sense, hybrid = Sense(folder), read_hybrid(folder)

    @torch.no_grad()
    def run() -> Tensor:
        residual = sense.adjoint(hybrid)
        x, direction, curved = torch.zeros_like(residual), torch.zeros_like(residual), torch.empty_like(residual)
        norm2, share = inner(residual, residual), 0.0
        for _ in range(case.iterations):
            for slab in sense.slabs():
                d = direction[slab].mul_(share).add_(residual[slab])
                curved[slab] = sense.normal(d, slab).add_(d, alpha=case.weight)
            # One product over all, not one a slab: the threads of BLAS and those of torch would wait for each other.
            length, last = norm2 / inner(direction, curved), norm2
            x.add_(direction, alpha=length)
            residual.sub_(curved, alpha=length)
            norm2 = inner(residual, residual)
            share = norm2 / last
        return x

    return run


def l1_wavelet_fista(folder: Path, case: Case) -> Run:
    sense, hybrid = Sense(folder), read_hybrid(folder)

    @torch.no_grad()
    def run() -> Tensor:
        data = sense.adjoint(hybrid)
        x, ahead = torch.zeros_like(data), torch.zeros_like(data)
        step, t = 1 / sense.squared_norm(), 1.0
        for _ in range(case.iterations):
            for slab in sense.slabs():
                a = ahead[slab]
                a.add_(sense.normal(a, slab).sub_(data[slab]), alpha=-step)
            shrink_wavelets_(ahead, step * case.weight, LEVELS)
            x, ahead = ahead, x
            following = (1 + math.sqrt(1 + 4 * t * t)) / 2
            ahead.lerp_(x, 1 + (t - 1) / following)  # x + (t − 1)/t₊ · (x − what it was)
            t = following
        return x

    return run


def tv_pdhg(folder: Path, case: Case) -> Run:
    """One pass over thick slabs an iteration: nobody needs a slab's point ahead once its multipliers are there.

    Multipliers are in units of λ; that of the data is kept as −Aᴴz, which is all that is needed of it.
    """
    sense, hybrid = Sense(folder), read_hybrid(folder)
    weight, share = case.weight, case.balance / (1 + case.balance)

    @torch.no_grad()
    def run() -> Tensor:
        data = sense.adjoint(hybrid)
        x, ahead, fit = torch.zeros_like(data), torch.zeros_like(data), torch.zeros_like(data)
        dual = data.new_zeros(3, *data.shape)
        steepness = case.balance * sense.squared_norm()
        tau, sigma = 0.5 / steepness, steepness / squared_norm(sense.shape)
        for _ in range(case.iterations):
            for slab in thick_slabs(x):
                ascend_(dual, ahead, slab, sigma / weight)
                move = data[slab].clone()
                for part in sense.slabs(slab):
                    move[part.start - slab.start : part.stop - slab.start].sub_(sense.normal(ahead[part], part))
                move = fit[slab].lerp_(move, share).clone()
                add_divergence_(move, dual, slab, -weight)
                torch.add(x[slab].add_(move, alpha=tau), move, alpha=tau, out=ahead[slab])
        return x

    return run


def tv_admm(folder: Path, case: Case) -> Run:
    """Multipliers u are in units of λ/ρ, and the splits are not kept: all that is needed of them is Dᴴ(z − u)."""
    sense, hybrid = Sense(folder), read_hybrid(folder)
    weight = case.weight

    @torch.no_grad()
    def run() -> Tensor:
        data = sense.adjoint(hybrid)
        x, residual = torch.zeros_like(data), torch.empty_like(data)
        direction, curved = torch.empty_like(data), torch.empty_like(data)
        multipliers = data.new_zeros(3, *data.shape)
        rho = PENALTY * sense.squared_norm() / squared_norm(sense.shape)

        def hessian(of: Tensor) -> None:
            for slab in thick_slabs(of):
                for part in sense.slabs(slab):
                    curved[part] = sense.normal(of[part], part)
                add_laplacian_(curved, of, slab, rho)

        for _ in range(case.iterations):
            residual.copy_(data)
            for slab in thick_slabs(x):
                add_differences_(multipliers, x, slab, rho / weight)
                u = multipliers[:, slab]
                share = squared_lengths(u).clamp_min_(1).rsqrt_()
                spread_divergence_(residual, u * share.mul(-2).add_(1), slab, weight)
                u.mul_(share)
            hessian(x)
            residual.sub_(curved)
            direction.zero_()
            norm2, share = inner(residual, residual), 0.0
            for _ in range(INNER_ITERATIONS):
                direction.mul_(share).add_(residual)
                hessian(direction)
                length, last = norm2 / inner(direction, curved), norm2
                x.add_(direction, alpha=length)
                residual.sub_(curved, alpha=length)
                norm2 = inner(residual, residual)
                share = norm2 / last
        return x

    return run
