"""The front door in Python: one clear error for each mistake, and the same result as a run."""

import numpy as np
import pytest
import xarray as xr

import preimage

RNG = np.random.default_rng(0)
IMAGE = xr.Dataset({"truth": (("z", "y"), RNG.random((16, 12)).astype(np.float32))})
BLUR = {"use": "blur", "sigma": 1.0}


def test_reconstruct_is_what_a_run_gives(tmp_path):
    blurred = preimage.simulate(IMAGE, operator=BLUR, noise=0.01)
    preimage.write_dataset(blurred, tmp_path / "blurred.zarr")
    (tmp_path / "run.toml").write_text(
        """
        [loader]
        use = "zarr"
        path = "blurred.zarr"
        [operator]
        use = "blur"
        sigma = 1.0
        [[prior]]
        use = "sparsity"
        transform = "wavelet"
        weight = 1e-2
        [solver]
        use = "fista"
        [output]
        path = "out.zarr"
        """
    )
    run = preimage.run(tmp_path / "run.toml")
    direct = preimage.reconstruct(
        blurred, operator=BLUR, prior={"use": "sparsity", "transform": "wavelet", "weight": 1e-2}, solver="fista"
    )
    np.testing.assert_allclose(run["estimate"].values, direct.values, rtol=1e-5, atol=1e-6)
    assert direct.dims == ("z", "y")


def test_simulate_keeps_a_measurement_that_is_there():
    blurred = preimage.simulate(IMAGE, operator=BLUR)
    with pytest.raises(preimage.PreimageError, match="has a measurement already"):
        preimage.simulate(blurred, operator=BLUR)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: preimage.simulate(IMAGE, operator=BLUR, device="gpu"), "there is no device 'gpu'"),
        (lambda: preimage.reconstruct(IMAGE, operator=BLUR, solver="adjoint", device="gpu"), "compute.device"),
        (lambda: preimage.reconstruct(IMAGE, operator="blr", solver="adjoint"), "did you mean 'blur'"),
        (lambda: preimage.reconstruct(IMAGE, operator=BLUR, solver="fista"), "exactly 1 prior"),
        (lambda: preimage.reconstruct(IMAGE, operator=BLUR, solver="adjoint"), r"section \[simulate\]"),
        (lambda: preimage.make("prior.sparsity"), "is made for a space"),
        (lambda: preimage.make("sparsity"), "is not KIND.NAME"),
        (lambda: preimage.make("operator.blur", IMAGE, sgma=1), "did you mean 'sigma'"),
        (lambda: preimage.open_dataset("missing.zarr"), "does not exist"),
        (lambda: preimage.run("missing.toml"), "missing.toml"),
    ],
)
def test_a_mistake_is_one_clear_error(call, words):
    with pytest.raises(preimage.PreimageError, match=words):
        call()
