"""Make the demo's dataset: a real brain, measured by eight coils at a quarter of the samples.

The image is the echo-planar brain that nibabel ships, 128 × 96 × 24 voxels, read out along 128. Everything
after it is simulated: coils in two rings round the head, so that sensitivities are not separable along the
readout; variable-density sampling of the other two dims at R = 4 with a 16 × 8 centre; complex noise. The
sensitivities are kept in the dataset: the slab fills its field of view along z, at whose ends an estimate from
the centre of k-space (`coil-sensitivities`) would wrap round.
"""

from pathlib import Path

import nibabel
import numpy as np

import preimage

BRAIN = Path(nibabel.__file__).parent / "tests" / "data" / "example4d.nii.gz"
NOISE = 0.01
"""Standard deviation of the noise of a sample, where the brain's brightest voxel is 1."""


def make_dataset(path: Path) -> None:
    """Simulate the measurement and store it as a chunked Zarr dataset."""
    loader = preimage.make("loader.nifti", path=BRAIN, volume=0, dims=("x", "y", "z"), order=("x", "z", "y"))
    brain = loader.describe().load()
    brain["truth"] = (brain["truth"] / np.abs(brain["truth"]).max()).astype(np.float32)
    measured = preimage.simulate(
        brain,
        preparation=[
            {"use": "simulate-coils", "n_coils": 8},
            {
                "use": "sampling-mask",
                "pattern": "variable-density",
                "dims": ["kz", "ky"],
                "acceleration": 4,
                "centre": {"kz": 8, "ky": 16},
            },
        ],
        operator="cartesian-mri",
        noise=NOISE,
    )
    preimage.write_dataset(measured, path, chunks={"coil": 1, "kx": 128, "kz": 6, "x": 16}, overwrite=True)


if __name__ == "__main__":
    make_dataset(Path("out/brain-3d/brain.zarr"))
