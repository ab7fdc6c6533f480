"""The run file: from a photograph to its frames, by a prior and a solver of others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import preimage

from lab_example.video import moving_disc

RUN = Path(__file__).parents[1] / "runs" / "video.toml"


def test_the_frames_come_back_from_one_photograph(tmp_path: Path) -> None:
    """Better than the least-squares solution of minimum norm, which has no prior."""
    dataset = moving_disc()
    preimage.write_dataset(dataset, tmp_path / "video.zarr")
    here = [f"loader.path={tmp_path / 'video.zarr'}", f"output.path={tmp_path / 'estimate.zarr'}"]
    estimate = preimage.run(RUN, here)["estimate"].values
    plain = preimage.reconstruct(
        dataset, operator="coded-exposure", solver="minimum-norm", simulate={"noise": 0.02}
    ).values
    truth = dataset["truth"].values
    assert np.linalg.norm(estimate - truth) < 0.5 * np.linalg.norm(plain - truth)
