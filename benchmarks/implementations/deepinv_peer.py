"""The same in deepinv, by its own physics and optimisers. Complex images are two channels of real numbers there.

Its wavelet prior shrinks real and imaginary parts apart and spares the approximation, so that errors differ. Its ADMM
does not look at an image through an operator and takes no part.
"""

from __future__ import annotations

from pathlib import Path

import implementations.torchvision_operators  # noqa: F401

# isort: split
import deepinv.optim as optim
import deepinv.physics as physics
import torch
from cases import LEVELS, SPECTRAL_ITERATIONS, WAVELET, Case, Run
from deepinv.models import TVDenoiser
from deepinv.optim.phase_retrieval import spectral_methods
from problems import load
from torch import Tensor

IGNORED_THRESHOLD = 0.1
"""What its proximal methods multiply a wavelet prior's λ by, whatever their `g_param` says."""
DESCENT_STEPS = 100
"""Of phase retrieval, after which errors are those of the adaptive steps."""
PDHG_ITERATIONS = 40
PRIMAL_STEP = 10.0
"""In units of 1/‖A‖². Half as many of its dearer iterations are as near to the minimum as those of the others."""
INNER_ITERATIONS = 5
INNER_TOLERANCE = 1e-3
"""Of conjugate gradients in its prox of the data term."""
DENOISER_STEP = 0.03
"""Of the image, by which its denoiser comes nearest; it has 0.01 by itself."""


def read(folder: Path, name: str) -> Tensor:
    return torch.from_numpy(load(folder, name))


def as_channels(x: Tensor) -> Tensor:
    """(1, 2, …) of a complex (…)."""
    return torch.view_as_real(x).movedim(-1, 0)[None].contiguous()


def as_complex(x: Tensor) -> Tensor:
    return torch.complex(x[0, 0], x[0, 1])


def sense(folder: Path) -> physics.MultiCoilMRI:
    sensitivities = read(folder, "sensitivities")
    mask = read(folder, "mask").float().expand(1, 2, *sensitivities.shape[1:])
    return physics.MultiCoilMRI(mask=mask, coil_maps=sensitivities[None], three_d=True)


def squared_norm(mri: physics.MultiCoilMRI) -> float:
    """‖A‖² is at most the largest energy of the coils."""
    return float(mri.coil_maps.abs().square().sum(1).max())


def normal(folder: Path, case: Case) -> Run:
    mri, image = sense(folder), as_channels(read(folder, "truth").to(torch.complex64))
    return torch.no_grad()(lambda: as_complex(mri.A_adjoint_A(image)))


def cg_sense(folder: Path, case: Case) -> Run:
    mri, y = sense(folder), as_channels(read(folder, "kspace"))

    @torch.no_grad()
    def run() -> Tensor:
        return as_complex(mri.prox_l2(0.0, y, 1 / case.weight, solver="CG", max_iter=case.iterations, tol=0.0))

    return run


def l1_wavelet_fista(folder: Path, case: Case) -> Run:
    mri, y = sense(folder), as_channels(read(folder, "kspace"))
    prior = optim.WaveletPrior(level=LEVELS, wv=WAVELET, wvdim=3, mode="periodic")

    @torch.no_grad()
    def run() -> Tensor:
        fista = optim.FISTA(
            data_fidelity=optim.L2(),
            prior=prior,
            lambda_reg=case.weight / IGNORED_THRESHOLD,
            stepsize=1 / squared_norm(mri),
            max_iter=case.iterations,
            custom_init=lambda y, mri: (torch.zeros_like(mri.A_adjoint(y)),) * 2,
        )
        return as_complex(fista(y, mri))

    return run


def tv_pdhg(folder: Path, case: Case) -> Run:
    """Its optimiser with differences as operator, and a prox of the data term by conjugate gradients."""
    mri, y = sense(folder), as_channels(read(folder, "kspace"))
    mri.max_iter, mri.tol = INNER_ITERATIONS, INNER_TOLERANCE

    @torch.no_grad()
    def run() -> Tensor:
        tau = PRIMAL_STEP / squared_norm(mri)
        pdhg = optim.PDCP(
            K=gradient_of_channels,
            K_adjoint=divergence_of_channels,
            data_fidelity=optim.L2(),
            prior=optim.L12Prior(l2_axis=-1),
            lambda_reg=case.weight,
            stepsize=tau,
            stepsize_dual=1 / (12 * tau),  # ‖D‖² ≤ 12 in three dims
            g_first=True,
            max_iter=PDHG_ITERATIONS,
            custom_init=start,
        )
        return as_complex(pdhg(y, mri))

    return run


def start(y: Tensor, mri: physics.MultiCoilMRI) -> dict[str, tuple[Tensor, ...]]:
    x = torch.zeros_like(mri.A_adjoint(y))
    return {"est": (x, x, gradient_of_channels(x))}


def gradient_of_channels(x: Tensor) -> Tensor:
    """(1, x, z, y, 6): differences of both channels along all dims side by side, whose lengths count together."""
    return TVDenoiser.nabla(x).movedim(1, -2).flatten(-2)


def divergence_of_channels(differences: Tensor) -> Tensor:
    return TVDenoiser.nabla_adjoint(differences.unflatten(-1, (2, 3)).movedim(-2, 1))


def tv_denoise(folder: Path, case: Case) -> Run:
    noisy = read(folder, "noisy")[None, None]

    @torch.no_grad()
    def run() -> Tensor:
        return TVDenoiser(tau=DENOISER_STEP, n_it_max=case.iterations, crit=0.0)(noisy, ths=case.weight)[0, 0]

    return run


def phase_retrieval(folder: Path, case: Case) -> Run:
    """Gradient descent on amplitudes with a fixed step, from its spectral estimate.

    Its spectral method, of Bᴴ T B, does not find the object of coded patterns: it is given B⁺ for Bᴴ, and T.
    """
    modulation = read(folder, "modulation")[None]
    y = read(folder, "amplitudes").square()[None]
    energy = modulation.abs().square().sum(1, keepdim=True)

    def field(x: Tensor) -> Tensor:
        return centred(torch.fft.fft2, modulation * x)

    def back(y: Tensor) -> Tensor:
        return (centred(torch.fft.ifft2, y) * modulation.conj()).sum(1, keepdim=True)

    magnitudes = physics.PhaseRetrieval(physics.LinearPhysics(A=field, A_adjoint=back))
    inverted = physics.PhaseRetrieval(physics.LinearPhysics(A=field, A_adjoint=lambda y: back(y) / energy))

    def spectral(y: Tensor, magnitudes: physics.PhaseRetrieval) -> Tensor:
        x = spectral_methods(
            y,
            inverted,
            n_iter=SPECTRAL_ITERATIONS,
            preprocessing=lambda y, _: y / (1 + y),
            lamb=0.0,
            early_stop=False,
        )
        return x * (y.sum() / magnitudes.A(x).sum()).sqrt()

    @torch.no_grad()
    def run() -> Tensor:
        torch.manual_seed(0)
        descent = optim.GD(
            data_fidelity=optim.AmplitudeLoss(),
            prior=optim.ZeroPrior(),
            stepsize=1 / float(energy.max()),
            max_iter=DESCENT_STEPS,
            custom_init=spectral,
        )
        return descent(y, magnitudes)[0, 0]

    return run


def centred(transform, x: Tensor) -> Tensor:
    return torch.fft.fftshift(transform(torch.fft.ifftshift(x, (-2, -1)), norm="ortho"), (-2, -1))
