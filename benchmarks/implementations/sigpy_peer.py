"""The same in SigPy, by its own operators and apps, which transform in three dims.

Its wavelets pad with zeros and its differences wrap around, where those of the others are periodic and end at the
border. Its apps would measure norms first: they are given the step lengths that all others have.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import sigpy as sp
import sigpy.mri
from cases import INNER_ITERATIONS, LEVELS, PENALTY, SPECTRAL_ITERATIONS, WAVELET, Case, Run
from numpy.typing import NDArray
from problems import load

Image = NDArray[np.inexact]

PHASES = 80
"""What Gerchberg and Saxton's method counts to, by twos, until errors are those of gradient descent."""


def weights(folder: Path) -> NDArray[np.float32]:
    return load(folder, "mask").astype(np.float32)


def normal(folder: Path, case: Case) -> Run:
    operator = sigpy.mri.linop.Sense(load(folder, "sensitivities"), weights=weights(folder))
    image = load(folder, "truth").astype(np.complex64)
    return lambda: operator.N(image)


def cg_sense(folder: Path, case: Case) -> Run:
    kspace, sensitivities, mask = load(folder, "kspace"), load(folder, "sensitivities"), weights(folder)

    def run() -> Image:
        app = sigpy.mri.app.SenseRecon(
            kspace, sensitivities, lamda=case.weight, weights=mask, max_iter=case.iterations, show_pbar=False
        )
        return app.run()

    return run


def l1_wavelet_fista(folder: Path, case: Case) -> Run:
    """What `L1WaveletRecon` builds, but with the number of levels given."""
    kspace, sensitivities = load(folder, "kspace"), load(folder, "sensitivities")
    operator = sigpy.mri.linop.Sense(sensitivities, weights=weights(folder))
    wavelet = sp.linop.Wavelet(operator.ishape, wave_name=WAVELET, level=LEVELS)
    prox = sp.prox.UnitaryTransform(sp.prox.L1Reg(wavelet.oshape, case.weight), wavelet)

    def run() -> Image:
        return solved(operator, kspace, case, proxg=prox, alpha=1 / squared_norm(sensitivities))

    return run


def tv_pdhg(folder: Path, case: Case) -> Run:
    """What `TotalVariationRecon` builds, but with differences of a voxel that count together."""
    kspace, sensitivities = load(folder, "kspace"), load(folder, "sensitivities")
    operator = sigpy.mri.linop.Sense(sensitivities, weights=weights(folder))

    def run() -> Image:
        return solved(
            operator, kspace, case, **variation(operator.ishape, case), **steps(operator, sensitivities, case)
        )

    return run


def tv_admm(folder: Path, case: Case) -> Run:
    kspace, sensitivities = load(folder, "kspace"), load(folder, "sensitivities")
    operator = sigpy.mri.linop.Sense(sensitivities, weights=weights(folder))

    def run() -> Image:
        rho = PENALTY * squared_norm(sensitivities) / differences_squared_norm(operator.ishape)
        admm = {"solver": "ADMM", "rho": rho, "max_cg_iter": INNER_ITERATIONS}
        return solved(operator, kspace, case, **variation(operator.ishape, case), **admm)

    return run


def tv_denoise(folder: Path, case: Case) -> Run:
    noisy = load(folder, "noisy")
    identity = sp.linop.Identity(noisy.shape)
    return lambda: solved(
        identity, noisy, case, **variation(noisy.shape, case), **steps(identity, np.ones((1, 1)), case)
    )


def phase_retrieval(folder: Path, case: Case) -> Run:
    """Gerchberg and Saxton's method, from the spectral estimate that the others have, by the power method."""
    amplitudes, modulation = load(folder, "amplitudes"), load(folder, "modulation")
    shape = modulation.shape[1:]
    field = sp.linop.FFT(modulation.shape, axes=(-2, -1)) * sp.linop.Multiply(shape, modulation)
    inverted = sp.linop.Multiply(shape, 1 / (np.abs(modulation) ** 2).sum(0)) * field.H
    intensity = amplitudes**2
    weight = sp.linop.Multiply(modulation.shape, intensity / (intensity + intensity.mean()))

    def run() -> Image:
        x = np.random.default_rng(0).standard_normal((*shape, 2), np.float32).view(np.complex64)[..., 0]
        power = sp.alg.PowerMethod(inverted * weight * field, x, max_iter=SPECTRAL_ITERATIONS)
        run_through(power)
        x = x * np.float32(math.sqrt(intensity.sum()) / np.linalg.norm(field(x)))
        method = sp.alg.GerchbergSaxton(field, amplitudes, x, max_iter=PHASES)
        run_through(method)
        return method.x

    return run


def run_through(method: sp.alg.Alg) -> None:
    while not method.done():
        method.update()


def solved(operator: sp.linop.Linop, y: Image, case: Case, **settings: Any) -> Image:
    """½‖Ax − y‖² + g(Gx) by SigPy's app."""
    return sp.app.LinearLeastSquares(operator, y, max_iter=case.iterations, show_pbar=False, **settings).run()


def variation(shape: tuple[int, ...], case: Case) -> dict[str, Any]:
    """λ Σ|Dx| as g and G: the conjugate of what is 0 for differences no longer than λ, and ∞ for others."""
    differences = sp.linop.FiniteDifference(shape)
    return {"G": differences, "proxg": sp.prox.Conj(sp.prox.L2Proj(differences.oshape, case.weight, axes=(0,)))}


def steps(operator: sp.linop.Linop, sensitivities: Image, case: Case) -> dict[str, Any]:
    """Step lengths of PDHG: of the image, and of the multipliers of data and differences, one after the other."""
    largest, shape = squared_norm(sensitivities), operator.ishape
    of_data = np.full(math.prod(operator.oshape), case.balance, np.float32)
    of_differences = case.balance * largest / differences_squared_norm(shape)
    sigma = np.append(of_data, np.full(len(shape) * math.prod(shape), of_differences, np.float32))
    return {"tau": 0.5 / (case.balance * largest), "sigma": sigma}


def squared_norm(sensitivities: Image) -> float:
    """‖A‖² is at most the largest energy of the coils."""
    return float((np.abs(sensitivities) ** 2).sum(0).max())


def differences_squared_norm(shape: tuple[int, ...]) -> float:
    """‖D‖², of periodic differences."""
    return 4.0 * len(shape)
