"""The same in SigPy, by its own operators and apps, which transform in three dims."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import sigpy as sp
import sigpy.mri
from cases import CG_ITERATIONS, DAMPING, FISTA_ITERATIONS, LEVELS, WAVELET, WEIGHT, Run
from data import load
from numpy.typing import NDArray


def weights(folder: Path) -> NDArray[np.float32]:
    return load(folder, "mask").astype(np.float32)


def normal(folder: Path) -> Run:
    operator = sigpy.mri.linop.Sense(load(folder, "sensitivities"), weights=weights(folder))
    image = load(folder, "truth").astype(np.complex64)
    return lambda: operator.N(image)


def cg_sense(folder: Path) -> Run:
    kspace, sensitivities, mask = load(folder, "kspace"), load(folder, "sensitivities"), weights(folder)

    def run() -> NDArray[np.complex64]:
        app = sigpy.mri.app.SenseRecon(
            kspace, sensitivities, lamda=DAMPING, weights=mask, max_iter=CG_ITERATIONS, show_pbar=False
        )
        return app.run()

    return run


def l1_wavelet_fista(folder: Path) -> Run:
    """What `L1WaveletRecon` builds, but with the number of levels and the step given: it would measure ‖A‖ first."""
    kspace, sensitivities = load(folder, "kspace"), load(folder, "sensitivities")
    operator = sigpy.mri.linop.Sense(sensitivities, weights=weights(folder))
    wavelet = sp.linop.Wavelet(operator.ishape, wave_name=WAVELET, level=LEVELS)
    prox = sp.prox.UnitaryTransform(sp.prox.L1Reg(wavelet.oshape, WEIGHT), wavelet)

    def run() -> NDArray[np.complex64]:
        step = 1 / float((np.abs(sensitivities) ** 2).sum(0).max())
        app = sp.app.LinearLeastSquares(
            operator, kspace, proxg=prox, alpha=step, max_iter=FISTA_ITERATIONS, show_pbar=False
        )
        return app.run()

    return run
