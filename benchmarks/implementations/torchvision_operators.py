"""What lets torchvision, which deepinv imports, be imported beside a torch without CUDA.

On PyPI its compiled part is for CUDA. Where that cannot be loaded its Python part looks for two operators all the same,
and fails; nobody here calls them, so that it is enough to declare them.
"""

from __future__ import annotations

import torch

try:
    import torchvision  # noqa: F401
except RuntimeError:
    LIBRARY = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        LIBRARY.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
