"""The plot of what a run costs against its size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from volumes.cases.cost import line


def draw(series: Mapping[str, Any], path: Path) -> None:
    """A panel a series, from 0, with the straight line that fits best."""
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(series), figsize=(10, 2.6), layout="constrained")
    for panel, (name, one) in zip(panels, series.items(), strict=True):
        fixed, each, _ = line(one)
        along = np.array([0, max(one["lengths"])])
        panel.plot(along, fixed + each * along, color="0.7", zorder=1)
        panel.plot(one["lengths"], one["cpu_s"], "o", color="C0")
        panel.set(xlabel=name, xlim=(0, None), ylim=(0, 1.1 * max(one["cpu_s"])))
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("CPU seconds")
    figure.savefig(path, dpi=90)
    pyplot.close(figure)
