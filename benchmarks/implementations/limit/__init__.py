"""The limit: what these problems cost when they are written by hand for one machine, without any platform.

Nothing here is shared with the platform or imported from it. What makes it fast is said in each module.
"""

from implementations.limit.magnetic import cg_sense, l1_wavelet_fista, normal, tv_admm, tv_pdhg
from implementations.limit.phaseless import phase_retrieval
from implementations.limit.variation import tv_denoise

__all__ = ["cg_sense", "l1_wavelet_fista", "normal", "phase_retrieval", "tv_admm", "tv_denoise", "tv_pdhg"]
