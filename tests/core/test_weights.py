from __future__ import annotations

import json
import os
import subprocess

import msgpack
import numpy as np
import pytest
import safetensors.torch
import torch

from preimage.errors import DataError, WeightsError
from preimage.weights import Expects, describe_weights, import_weights, load_weights, save_weights
from preimage.weights.foreign import cache_folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache of one's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache_folder()


@pytest.fixture
def tensors():
    generator = torch.Generator().manual_seed(0)
    return {
        "first.weight": torch.randn(4, 1, 3, 3, generator=generator),
        "first.bias": torch.randn(4, generator=generator),
    }


def shapes(tensors):
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def expect_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def array(values, name=None, shape=None):
    """An array as Flax stores it; other names and shapes than its own are lies."""
    fields = (values.shape if shape is None else shape, name or values.dtype.name, values.tobytes())
    return msgpack.ExtType(1, msgpack.packb(fields))


def flax(tree, path):
    path.write_bytes(msgpack.packb(tree))
    return path


def test_what_is_saved_is_loaded(tensors, tmp_path):
    path = tmp_path / "folder" / "network.safetensors"
    expects = Expects(value_range=(0, 1), noise_level=0.1)
    save_weights(tensors, path, source="trained here", licence="MIT", expects=expects)
    expect_equal(load_weights(path, shapes(tensors)), tensors)
    description = describe_weights(path)
    assert (description.source, description.licence, description.expects) == ("trained here", "MIT", expects)
    assert description.tensors["first.weight"].model_dump() == {"shape": (4, 1, 3, 3), "dtype": "float32"}
    assert not cache_folder().exists()


def test_views_and_tensors_that_share_memory_are_saved_whole(tmp_path):
    base = torch.arange(12.0)
    shared = {"rows": base.view(3, 4).T, "row": base[4:8], "again": base[4:8]}
    save_weights(shared, tmp_path / "views.safetensors")
    expect_equal(load_weights(tmp_path / "views.safetensors", shapes(shared)), shared)


def test_a_torch_checkpoint_is_imported_once_into_the_cache(tensors, tmp_path, cache, monkeypatch):
    path = tmp_path / "network.pth"
    torch.save({"params": {name: torch.nn.Parameter(tensor) for name, tensor in tensors.items()}}, path)
    expected = {f"params.{name}": tensor for name, tensor in tensors.items()}
    expect_equal(load_weights(path, shapes(expected)), expected)
    assert describe_weights(path).source.startswith("network.pth, sha256 ")
    assert sorted(file.suffix for file in cache.iterdir()) == [".json", ".safetensors"]
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a second process"))
    expect_equal(load_weights(path, shapes(expected)), expected)
    assert list(tmp_path.glob("*.safetensors")) == []  # nothing is written beside the user's file


def test_a_damaged_cache_is_mended(tensors, tmp_path, cache):
    path = flax({"w": array(np.ones(3, np.float32))}, tmp_path / "network.mpk")
    expected = load_weights(path, {"w": (3,)})
    (stored,) = cache.glob("*.safetensors")
    stored.write_bytes(stored.read_bytes()[:-1])
    expect_equal(load_weights(path, {"w": (3,)}), expected)


def test_another_content_is_imported_anew(tmp_path):
    path = flax({"w": array(np.ones(3, np.float32))}, tmp_path / "network.mpk")
    load_weights(path, {"w": (3,)})
    flax({"w": array(np.zeros(3, np.float32))}, path)
    assert not load_weights(path, {"w": (3,)})["w"].any()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_a_flax_tree_is_decoded(dtype, tmp_path):
    kernel = np.random.default_rng(0).standard_normal((3, 3, 1, 2)).astype(dtype)
    path = flax({"params": {"conv": {"kernel": array(kernel)}, "n": array(np.array(3, "int32"))}}, tmp_path / "f.mpk")
    target = tmp_path / "native.safetensors"
    description = import_weights(path, target, licence="BSD", expects=Expects(noise_level="input"))
    assert list(description.tensors) == ["params.conv.kernel", "params.n"]
    assert description.expects.noise_level == "input"
    found = safetensors.torch.load_file(target)
    assert np.array_equal(found["params.conv.kernel"].numpy(), kernel)
    assert found["params.n"].item() == 3


def test_a_bare_safetensors_file_is_imported(tensors, tmp_path):
    path = tmp_path / "bare.safetensors"
    safetensors.torch.save_file(tensors, path)
    expect_equal(load_weights(path, shapes(tensors)), tensors)


def test_a_cache_that_cannot_be_written_names_the_cure(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    path = flax({"w": array(np.ones(3, np.float32))}, tmp_path / "network.mpk")
    with pytest.raises(WeightsError, match="set XDG_CACHE_HOME"):
        load_weights(path, {"w": (3,)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e | {"second.weight": (1,)}, "has no tensor second.weight"),
        (lambda e: {"first.bias": e["first.bias"]}, "has a tensor first.weight, which the network has not"),
        (lambda e: e | {"first.bias": (5,)}, r"first.bias has the shape \(4,\), that of the network \(5,\)"),
    ],
)
def test_weights_of_another_network_are_refused(tensors, change, message, tmp_path):
    path = tmp_path / "network.safetensors"
    save_weights(tensors, path)
    with pytest.raises(WeightsError, match=message):
        load_weights(path, change(shapes(tensors)))


def test_counts_are_no_weights(tmp_path):
    path = tmp_path / "network.safetensors"
    save_weights({"n": torch.tensor([3])}, path)
    with pytest.raises(WeightsError, match=r"n is torch\.int64, weights are real numbers"):
        load_weights(path, {"n": (1,)})


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({}, "holds no tensor"),
        ({"w": torch.tensor([1.0, float("nan"), float("inf")])}, "w has 2 of 3 numbers that are not finite"),
        ({"w": torch.zeros(2, dtype=torch.complex64)}, "complex64, which is no dtype of weights"),
        ({"\x1b[2J": torch.zeros(2)}, r"the name '\\x1b\[2J'"),
    ],
)
def test_what_no_network_has_is_not_saved(tensors, message, tmp_path):
    with pytest.raises(WeightsError, match=message):
        save_weights(tensors, tmp_path / "w.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_names_say_the_format(tensors, tmp_path):
    with pytest.raises(WeightsError, match=r"ends in \.safetensors"):
        save_weights(tensors, tmp_path / "w.pth")
    (tmp_path / "w.onnx").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"ends in one of \.mpk, \.msgpack, \.pt, \.pth, \.safetensors"):
        load_weights(tmp_path / "w.onnx", {})


def test_a_file_that_is_not_there_or_is_none(tmp_path):
    with pytest.raises(WeightsError, match=r"w\.pth cannot be read: No such file"):
        load_weights(tmp_path / "w.pth", {})
    os.mkfifo(tmp_path / "pipe.pth")
    for name in ("pipe.pth", "."):
        with pytest.raises(WeightsError, match="is no file"):
            load_weights(tmp_path / name, {})


def test_a_file_that_is_not_the_described_one(tensors, tmp_path):
    path = tmp_path / "network.safetensors"
    save_weights(tensors, path)
    safetensors.torch.save_file(tensors | {"first.bias": torch.zeros(4)}, path)
    with pytest.raises(WeightsError, match="is not the file that network.safetensors.json describes"):
        load_weights(path, shapes(tensors))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d | {"sha256": "abc"}, "is no description of weights: sha256"),
        (lambda d: d | {"colour": "red"}, "is no description of weights: colour"),
        (lambda d: d | {"format": 2}, "is no description of weights: format"),
        (lambda d: d | {"tensors": {}}, "describes other tensors"),
    ],
)
def test_a_description_that_is_none(tensors, change, message, tmp_path):
    path, beside = tmp_path / "network.safetensors", tmp_path / "network.safetensors.json"
    save_weights(tensors, path)
    beside.write_text(json.dumps(change(json.loads(beside.read_text()))))
    with pytest.raises(DataError, match=message):
        load_weights(path, shapes(tensors))
