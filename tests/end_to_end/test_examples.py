"""The examples: every run file is valid, and those on real data reach their figures."""

import sys
from pathlib import Path

import numpy as np
import pytest

import preimage

EXAMPLES = Path(__file__).parents[2] / "examples"
OUTSIDE = [project.parent for project in EXAMPLES.rglob("pyproject.toml")]
"""Repositories of their own, whose run files need their plugins: see test_outside_lab."""
RUN_FILES = sorted(file for file in EXAMPLES.rglob("*.toml") if not set(file.parents).intersection(OUTSIDE))


@pytest.mark.parametrize("file", RUN_FILES, ids=lambda f: str(f.relative_to(EXAMPLES)))
def test_every_run_file_is_valid(file, preimage_command, tmp_path, monkeypatch):
    monkeypatch.setenv("PREIMAGE_DATA", str(tmp_path))
    preimage_command("validate", file)


def run(file, output, *overrides):
    result = preimage.run(EXAMPLES / file, [*overrides, f"output.path={output}"])
    return result.attrs["preimage"]["summary"]


@pytest.mark.parametrize(("acceleration", "at_least"), [(2, 37.4), (4, 29.8)])
def test_seven_coils_by_cg_sense(real_data, tmp_path, acceleration, at_least):
    """As well as it was measured independently, with the same protocol."""
    protocol = [f"preparation.1.acceleration={acceleration}", "solver.damping=1e-3"]
    assert run("brain-7ch/cg-sense.toml", tmp_path / "sense.zarr", *protocol)["psnr"] >= at_least


def test_seven_coils_by_four_priors(real_data, tmp_path):
    names = ("cg-sense", "wavelet", "total-variation", "plug-and-play")
    found = [run(f"brain-7ch/{name}.toml", tmp_path / f"{name}.zarr")["psnr"] for name in names]
    assert found == sorted(found)
    assert found[1] > found[0] + 1  # what is known of images is worth more than a damping
    for weight in (3e-4, 1.5e-3):
        other = run("brain-7ch/total-variation.toml", tmp_path / f"{weight}.zarr", f"prior.1.weight={weight}")
        assert other["psnr"] < found[2]  # that of the file is between them


def test_eight_coil_brain_is_judged_by_held_out_samples(real_data, tmp_path):
    names = ("wavelet", "cg-sense", "zero-filled")
    errors = [run(f"brain-8ch/{name}.toml", tmp_path / f"{name}.zarr")["held_out_nmse"] for name in names]
    assert errors[0] < errors[1] < errors[2]


def test_the_real_brain_in_blocks(tmp_path, monkeypatch):
    """The main job: a real volume, measured by eight simulated coils, in eight blocks along the readout."""
    monkeypatch.syspath_prepend(str(EXAMPLES / "brain-3d"))
    import make_dataset

    try:
        make_dataset.make_dataset(tmp_path / "brain.zarr")
    finally:
        sys.modules.pop("make_dataset")
    data = preimage.open_dataset(tmp_path / "brain.zarr")
    assert data["measurement"].sizes == {"coil": 8, "kx": 128, "kz": 24, "ky": 96}
    assert float(data["mask"].mean()) == pytest.approx(1 / 4, abs=1e-3)
    centre = data["mask"].transpose("kz", "ky").values[12 - 4 : 12 + 4, 48 - 8 : 48 + 8]
    assert centre.all()
    assert _rank_along_readout(data["sensitivities"].transpose("x", "coil", "z", "y").values) > 4
    here = f"loader.path={tmp_path / 'brain.zarr'}"
    summaries = [
        run(f"brain-3d/{name}.toml", tmp_path / f"{name}.zarr", here)
        for name in ("zero-filled", "cg-sense", "l1-wavelet")
    ]
    zero_filled, sense, wavelet = (summary["psnr"] for summary in summaries)
    assert zero_filled + 1 < sense < wavelet - 1
    store = preimage.open_dataset(tmp_path / "l1-wavelet.zarr")
    assert store["history"].sizes["block"] == 8
    whole = preimage.run(
        EXAMPLES / "brain-3d" / "l1-wavelet.toml",
        [here, f"output.path={tmp_path / 'whole.zarr'}", "compute.blocks.x=128"],
    )
    difference = np.linalg.norm(whole["estimate"].values - store["estimate"].values)
    # FISTA does not couple blocks and the scalars are the run's: what remains is the rounding of float32
    assert difference < 1e-5 * np.linalg.norm(store["estimate"].values)


def test_the_field_of_a_cell_from_coded_diffraction(real_data, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES / "hl60-phase-retrieval"))
    import make_dataset

    try:
        make_dataset.make_dataset(tmp_path / "field.zarr")
    finally:
        sys.modules.pop("make_dataset")
    truth = preimage.open_dataset(tmp_path / "field.zarr")["truth"]
    assert truth.shape == (112, 112)
    here = f"loader.path={tmp_path / 'field.zarr'}"
    summary = run("hl60-phase-retrieval/phase-retrieval.toml", tmp_path / "estimate.zarr", here)
    # Least squares leave 2σ/√(L − 2) a pixel of noise on amplitudes from L patterns; coded diffraction is not quite as
    # good as the random matrices of which that holds.
    noise, n_patterns = 0.05, 6
    left = 2 * noise / (n_patterns - 2) ** 0.5 / float((abs(truth) ** 2).mean() ** 0.5)
    assert summary["nrmse"] == pytest.approx(left, rel=0.05)


def test_a_photograph_is_deblurred_without_its_kernel(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES / "camera-blind"))
    import make_dataset

    try:
        make_dataset.make_dataset(tmp_path / "blurred.zarr")
    finally:
        sys.modules.pop("make_dataset")
    data = preimage.open_dataset(tmp_path / "blurred.zarr").load()
    truth = data["truth_image"].values
    known = preimage.reconstruct(
        data.rename(truth_kernel="psf"),
        operator="blur",
        prior={"use": "total-variation", "weight": 3e-3},
        solver={"use": "admm", "max_iter": 100},
        normalise=False,
    )

    def psnr(image):
        return 20 * np.log10(truth.max()) - 10 * np.log10(((image - truth) ** 2).mean())

    here = f"loader.path={tmp_path / 'blurred.zarr'}"
    blind = run("camera-blind/blind.toml", tmp_path / "estimate.zarr", here)
    assert psnr(data["measurement"].values) + 4 < blind["psnr_image"] < psnr(known.values)
    assert blind["psnr_image"] > psnr(known.values) - 1
    assert blind["nrmse_kernel"] < 0.6
    # Without the prior that keeps it from there the kernel goes towards one pixel, and the image stays the photograph.
    trapped = ["prior.3.weight=0", "solver.max_iter=40"]
    trap = run("camera-blind/blind.toml", tmp_path / "trap.zarr", here, *trapped)
    assert trap["psnr_image"] < psnr(data["measurement"].values) + 0.3
    largest = [
        preimage.open_dataset(tmp_path / name)["estimate_kernel"].values.max()
        for name in ("trap.zarr", "estimate.zarr")
    ]
    assert largest[1] < data["truth_kernel"].values.max() < largest[0] / 3


def _rank_along_readout(sensitivities):
    """How many readout positions are needed to span the sensitivities of all: 1 if they were separable along it."""
    values = np.linalg.svd(sensitivities.reshape(len(sensitivities), -1), compute_uv=False)
    return int((values > 1e-3 * values[0]).sum())
