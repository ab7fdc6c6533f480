from __future__ import annotations

import os
from pathlib import Path

import msgpack
import numpy as np
import pytest
import skimage.data
import torch
import xarray as xr
from pydantic import ValidationError
from scipy.ndimage import correlate

from preimage.data import DEVICE
from preimage.errors import RequestError, WeightsError
from preimage.space import ProductSpace, Space
from preimage.testing import PriorLaws
from preimage.testing.agreement import largest_error
from preimage.weights import Expects, save_weights
from preimage_variational.denoisers import dncnn
from preimage_variational.denoisers.dncnn import Settings, preimage_axes, preimage_memory, preimage_prior
from preimage_variational.denoisers.dncnn_examples import HIGH_PASS, write_clipping
from preimage_variational.denoisers.dncnn_weights import read_dncnn

SET12 = 29.1, 33.1
"""dB that DnCNN-S reaches on the twelve photographs of Set12 with noise of 25/255 (Zhang et al. 2017)."""
SPREAD = (SET12[1] - SET12[0]) / 2, "dB: the photographs of Set12 spread by that from their middle"
SINGLE = 1e-6, "weights are in single precision, of which each of three layers rounds once"
SPACE = Space(("y", "x"), (9, 12), torch.float64)


class TestLaws(PriorLaws):
    method = dncnn


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """Imported weights are kept for the session, and not where the user's are."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def real_data():
    if not os.environ.get("PREIMAGE_DATA"):
        pytest.skip("PREIMAGE_DATA is not set: it names the folder of the trained weights")
    return Path(os.environ["PREIMAGE_DATA"])


@pytest.fixture(scope="module")
def photograph():
    """A part of the photograph of scikit-image, between 0 and 1."""
    return torch.from_numpy(skimage.data.camera()[50:306, 150:406] / 255.0).float()


def made(space, weights, dataset=None, shared=None, **settings):
    dataset = xr.Dataset() if dataset is None else dataset
    return preimage_prior(Settings(weights=weights, **settings), space, dataset, {} if shared is None else shared)


def drawn(space=SPACE, seed=0):
    return space.randn(torch.Generator().manual_seed(seed))


def psnr(image, truth):
    return float(-10 * torch.log10((image - truth).square().mean()))


def noisy(truth, sigma):
    return truth + sigma * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))


def clipped(x, sigma, mode):
    """What the networks of the examples do, by scipy."""
    return x - np.clip(correlate(x, HIGH_PASS.numpy(), mode=mode, cval=0.0), -sigma, sigma)


@pytest.mark.parametrize(("level", "mode"), [(0.3, "constant"), (None, "wrap")])
def test_the_networks_of_the_examples_do_what_they_say(level, mode, tmp_path, agreement):
    x = drawn()
    found = made(SPACE, write_clipping(tmp_path, level)).denoise(x, 0.3)
    agreement("prior.dncnn", "SciPy's correlate", largest_error(found, clipped(x.numpy(), 0.3, mode)), *SINGLE)


def test_a_network_of_one_level_is_used_for_others(tmp_path, agreement):
    """At a higher one the image is made darker, at a lower one a share of the noise is taken."""
    denoiser, x = made(SPACE, write_clipping(tmp_path, 0.2)), drawn()
    higher, lower, own = (denoiser.denoise(x, sigma) for sigma in (0.6, 0.05, 0.2))
    agreement("prior.dncnn", "SciPy's correlate", largest_error(higher, clipped(x.numpy(), 0.6, "constant")), *SINGLE)
    torch.testing.assert_close(lower, x + 0.25 * (own - x), rtol=0, atol=1e-12)


def test_a_blind_network_is_used_as_it_is(tmp_path):
    denoiser, x = made(SPACE, write_clipping(tmp_path, 0.2), noise_level="blind"), drawn()
    assert torch.equal(denoiser.denoise(x, 0.01), denoiser.denoise(x, 10.0))


@pytest.mark.parametrize("level", [0.2, None])
def test_the_range_of_values_is_the_unit_of_sigma(level, tmp_path):
    weights, x = write_clipping(tmp_path, level), drawn()
    expected = made(SPACE, weights).denoise(x, 0.3) * 5 - 2
    found = made(SPACE, weights, value_range=(-2, 3)).denoise(x * 5 - 2, 1.5)
    torch.testing.assert_close(found[1:-1, 1:-1], expected[1:-1, 1:-1], rtol=0, atol=1e-5)  # black is 0 beyond the edge


def test_the_description_says_what_the_network_expects(tmp_path):
    weights, x = write_clipping(tmp_path, 0.2), drawn()
    tensors = {name: tensor.clone() for name, tensor in read_dncnn(weights).state_dict().items()}
    tensors["model.0.bias"] *= 255
    tensors["model.2.bias"] *= 255
    save_weights(tensors, tmp_path / "bytes.safetensors", expects=Expects(value_range=(0, 255), noise_level=51))
    found = made(SPACE, tmp_path / "bytes.safetensors").denoise(x, 0.2)
    torch.testing.assert_close(found, made(SPACE, weights).denoise(x, 0.2), rtol=0, atol=1e-6)


def test_complex_images_are_denoised_part_by_part(tmp_path):
    weights, space = write_clipping(tmp_path, None), Space(SPACE.dims, SPACE.shape, torch.complex128)
    x, real = drawn(space), made(SPACE, weights)
    expected = torch.complex(real.denoise(x.real, 0.3), real.denoise(x.imag, 0.3))
    torch.testing.assert_close(made(space, weights).denoise(x, 0.3 * 2**0.5), expected, rtol=0, atol=1e-12)


def test_other_dims_are_a_batch(tmp_path):
    weights, volume = write_clipping(tmp_path, None), Space(("z", "y", "x"), (3, 9, 12), torch.float64)
    x = drawn(volume)
    expected = torch.stack([made(SPACE, weights).denoise(image, 0.3) for image in x])
    torch.testing.assert_close(made(volume, weights).denoise(x, 0.3), expected, rtol=0, atol=1e-12)
    turned = Space(("y", "z", "x"), (9, 3, 12), torch.float64)
    found = made(turned, weights, dims=("y", "x")).denoise(x.movedim(0, 1).contiguous(), 0.3)
    torch.testing.assert_close(found.movedim(1, 0), expected, rtol=0, atol=1e-12)
    axes = preimage_axes(Settings(weights=weights, dims=("y", "x")), turned)
    assert repr(axes) == "{'y': whole, 'z': split, 'x': whole}"


def test_many_images_are_denoised_in_groups(tmp_path, monkeypatch):
    denoiser = made(Space(("z", "y", "x"), (5, 9, 12), torch.float64), write_clipping(tmp_path, None))
    x = drawn(Space(("z", "y", "x"), (5, 9, 12), torch.float64))
    sigma = torch.linspace(0.1, 0.5, 2, dtype=torch.float64).reshape(2, 1, 1, 1)
    together = denoiser.denoise(torch.stack([x, 2 * x]), sigma)
    calls = []
    monkeypatch.setattr(dncnn, "FEATURES", 2 * 3 * 9 * 12 * 8)
    denoiser.network.register_forward_hook(lambda network, inputs, _: calls.append(len(inputs[0])))
    torch.testing.assert_close(denoiser.denoise(torch.stack([x, 2 * x]), sigma), together, rtol=0, atol=1e-12)
    assert calls == [2] * 5


def test_a_gradient_goes_to_the_image_and_to_weights_that_ask_for_it(tmp_path):
    denoiser, x = made(SPACE, write_clipping(tmp_path, 0.2)), drawn().requires_grad_()
    assert not denoiser.trainable()
    assert torch.autograd.gradcheck(lambda x: denoiser.denoise(x, 0.3), (x,))
    denoiser.network.requires_grad_()
    denoiser.denoise(x.detach(), 0.3).sum().backward()
    assert all(bool(parameter.grad.any()) for parameter in denoiser.network.parameters())


def test_a_worker_reads_the_weights_once_for_a_device(tmp_path):
    weights, shared = write_clipping(tmp_path, None), {}
    one, other = (made(SPACE, weights, shared=shared) for _ in range(2))
    assert one.network is other.network
    far = made(SPACE, weights, xr.Dataset(attrs={DEVICE: "meta"}), shared)
    assert far.device == torch.device("meta")
    assert far.denoise(SPACE.zeros(device="meta"), 0.3).device == torch.device("meta")
    single = made(SPACE.with_dtype(torch.float32), weights, shared=shared)
    assert single.denoise(drawn().float(), 0.3).dtype == torch.float32
    assert len(shared) == 3


def test_making_a_network_draws_no_random_numbers(tmp_path):
    weights, before = write_clipping(tmp_path, None), torch.get_rng_state()
    made(SPACE, weights)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_memory_is_that_of_a_group_of_images(tmp_path):
    small, large = (
        preimage_memory(
            Settings(weights=write_clipping(tmp_path, 0.2)), xr.Dataset({"measurement": (("y", "x"), np.empty((n, n)))})
        )
        for n in (10, 10000)
    )
    assert small.workspace == 3 * dncnn.FEATURES
    assert large.workspace == 3 * 2 * 10**8 * 8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"noise_level": -1}, "greater than 0"),
        ({"noise_level": "loud"}, "blind"),
        ({"value_range": (1, 0)}, "black is a lower value than white"),
        ({"dims": ("x",)}, "at least 2"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        Settings(weights="w.pth", **settings)


def test_what_does_not_fit_together_is_refused(tmp_path):
    told, one = write_clipping(tmp_path, None), write_clipping(tmp_path, 0.2)
    with pytest.raises(RequestError, match="is told the level"):
        made(SPACE, told, noise_level=0.1)
    with pytest.raises(RequestError, match="has no channel for it"):
        made(SPACE, one, noise_level="input")
    with pytest.raises(RequestError, match="two dims: the unknown has x"):
        made(Space(("x",), (9,), torch.float64), told)
    with pytest.raises(RequestError, match="say with `on` which of image, field"):
        made(ProductSpace(image=SPACE, field=SPACE), told)
    save_weights(read_dncnn(one).state_dict(), tmp_path / "silent.safetensors")
    with pytest.raises(RequestError, match="does not say what noise it was trained for: set noise_level"):
        made(SPACE, tmp_path / "silent.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model.0.weight": (2, 3, 3, 3)},
            r"model\.0\.weight has the shape \(2, 3, 3, 3\), that of the network \(2, 1",
        ),
        ({"model.0.weight": (2, 1, 4, 4)}, "kernels of a DnCNN have an odd length, these have 4"),
        ({"model.0.weight": (2, 1, 3, 5)}, r"model\.0\.weight has the shape"),
        ({"model.1.weight": (2,)}, r"model\.2\.weight has the shape"),
        ({"model.0.weight": None, "conv.weight": (2, 1, 3, 3)}, "holds no DnCNN"),
    ],
)
def test_weights_of_another_network_are_refused(change, message, tmp_path):
    tensors = dict(read_dncnn(write_clipping(tmp_path, 0.2)).state_dict())
    for name, shape in change.items():
        tensors.pop(name, None)
        if shape is not None:
            tensors[name] = torch.zeros(shape)
    save_weights(tensors, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=message):
        read_dncnn(tmp_path / "other.safetensors")


def test_kair_s_network_has_the_published_number_of_weights(real_data):
    network = read_dncnn(real_data / "model_dncnn_kair" / "dncnn_25.pth")
    assert sum(parameter.numel() for parameter in network.parameters()) == 555137
    assert not network.circular
    assert not network.told_the_level


def test_kair_s_network_denoises_as_published(real_data, photograph, agreement):
    sigma, weights = 25 / 255, real_data / "model_dncnn_kair" / "dncnn_25.pth"
    y = noisy(photograph, sigma)
    denoiser = made(Space(("y", "x"), tuple(photograph.shape), torch.float32), weights, noise_level=sigma)
    found = psnr(denoiser.denoise(y, sigma), photograph)
    agreement("prior.dncnn", "the published PSNR, of KAIR's weights", abs(found - sum(SET12) / 2), *SPREAD)
    # The controls: a level that is not that of the noise, and weights in another order.
    assert psnr(denoiser.denoise(y, sigma / 3), photograph) < SET12[0] - 3
    with torch.no_grad():
        for layer in list(denoiser.network.model)[2:-1:2]:
            layer.weight.copy_(layer.weight.flip(0))
    assert psnr(denoiser.denoise(y, sigma), photograph) < SET12[0] - 3


@pytest.mark.parametrize(
    ("variant", "sigma", "gain"), [("L", 0.06, 6.8), ("M", 0.1, 7.5), ("H", 0.2, 10.9), ("N", 0.1, 7.5)]
)
def test_scico_s_networks_denoise_as_on_another_photograph(variant, sigma, gain, real_data, photograph, agreement):
    """The gains are those on the fourth photograph of Set12, where KAIR's network reaches 29.4 dB."""
    weights, told = real_data / "model_dncnn_scico" / f"dncnn6{variant}.mpk", variant == "N"
    space = Space(("y", "x"), tuple(photograph.shape), torch.float32)
    denoiser = made(space, weights, noise_level=None if told else sigma)
    y = noisy(photograph, sigma)
    found, control = (psnr(denoiser.denoise(y, s), photograph) - psnr(y, photograph) for s in (sigma, sigma / 2))
    middle = gain + sum(SET12) / 2 - 29.4
    agreement("prior.dncnn", "the PSNR on another photograph, of scico's weights", abs(found - middle), *SPREAD)
    assert control < gain + SET12[0] - 29.4


@pytest.mark.parametrize("variant", ["M", "N"])
def test_scico_s_weights_are_decoded_as_their_layers_say(variant, real_data, agreement):
    """The whole network by scipy, from the file's bytes: circular convolutions, normalisation apart from them."""
    path = real_data / "model_dncnn_scico" / f"dncnn6{variant}.mpk"

    def array(_, content):
        shape, dtype, raw = msgpack.unpackb(content)
        return np.frombuffer(raw, dtype).reshape(shape).astype(float)

    tree = msgpack.unpackb(path.read_bytes(), ext_hook=array)
    image = np.random.default_rng(0).random((8, 7))
    level = np.full_like(image, 0.1)

    def convolved(channels, kernel):
        def channel(n):
            return sum(correlate(c, kernel[..., i, n], mode="wrap") for i, c in enumerate(channels))

        return np.stack([channel(n) for n in range(kernel.shape[-1])])

    channels = np.stack([image, level] if variant == "N" else [image])
    channels = np.maximum(convolved(channels, tree["params"]["conv_start"]["kernel"]), 0)
    for i in range(4):
        block = tree["params"][f"ConvBNBlock_{i}"]
        moments = tree["batch_stats"][f"ConvBNBlock_{i}"]["BatchNorm_0"]
        channels = convolved(channels, block["Conv_0"]["kernel"])
        mean, variance = (moments[name][:, None, None] for name in ("mean", "var"))
        scale, bias = (block["BatchNorm_0"][name][:, None, None] for name in ("scale", "bias"))
        channels = np.maximum((channels - mean) / np.sqrt(variance + 1e-5) * scale + bias, 0)
    noise = convolved(channels, tree["params"]["conv_end"]["kernel"])[0]
    network = read_dncnn(path).double()
    given = torch.from_numpy(np.stack([image, level] if variant == "N" else [image]))[None]
    agreement(
        "prior.dncnn",
        "SciPy's correlate, layer by layer from the bytes of scico's file",
        largest_error(network(given)[0, 0], noise),
        1e-5,
        "merging rounds weights to single precision once: six layers leave some 1e-6",
    )
