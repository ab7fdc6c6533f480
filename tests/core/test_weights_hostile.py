"""Hostile files of weights: each is refused by one type of error, and nothing of it is executed.

What would be executed is seen by a marker, a file that every payload makes.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgpack
import numpy as np
import pytest
import safetensors.torch
import torch

from preimage.errors import WeightsError
from preimage.weights import child, load_weights
from preimage.weights.checkpoint import PICKLE, read_checkpoint

EXPECTED = {"w": (2, 3)}
GOOD = {"w": torch.ones(2, 3)}


class Call:
    """Pickled as a call: whoever unpickles it gets, and so causes, function(*arguments)."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced

    def __call__(self):
        """So that a call may stand where pickle wants a function."""


def checkpoint(content, **options):
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def deflated(data):
    """A zip archive with all its members deflated."""
    source, target = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in source.namelist():
            archive.writestr(name, source.read(name))
    return target.getvalue()


def flax(shape, dtype, content):
    return msgpack.packb({"w": msgpack.ExtType(1, msgpack.packb((shape, dtype, content)))})


def payloads(marker):
    """Content that makes the marker when it is unpickled."""
    touch = f"touch {marker}"
    system = Call(getattr, Call(__import__, "os"), "system")
    return {
        "os-system": Call(os.system, touch),
        "eval": Call(eval, f"open({str(marker)!r}, 'w').close()"),
        "getattr-chain": Call(system, touch),
        "hidden-among-tensors": GOOD | {"optimiser": {"state": [Call(os.system, touch)]}},
    }


def corpus(marker):
    """Name to file name, content, and a part of what is said about it."""
    good = checkpoint(GOOD)
    zeros = checkpoint({"w": torch.zeros(10**6)})
    nested = io.BytesIO()
    with zipfile.ZipFile(nested, "w") as archive:
        archive.writestr("inner.pth", good)
    deep = b"\x81\xa1a" * 100 + b"\xc0"
    said = {"eval": "refers to eval,", "getattr-chain": "refers to getattr,"}
    hostile = {
        name: ("w.pth", checkpoint(content), said.get(name, r"refers to (posix|nt)\.system,"))
        for name, content in payloads(marker).items()
    }
    old = checkpoint(payloads(marker)["os-system"], _use_new_zipfile_serialization=False)
    return hostile | {
        "before-zip-files": ("w.pt", old, "refers to"),
        "called-otherwise": ("w.safetensors", checkpoint(payloads(marker)["os-system"]), "no safetensors file"),
        "nested-zip": ("w.pth", nested.getvalue(), "torch cannot read it"),
        "zip-bomb": ("w.pth", deflated(zeros), "larger than what is stored"),
        "stride-0": ("w.pth", checkpoint({"w": torch.zeros(1).expand(10**12)}), "w is not contiguous"),
        "cut-off": ("w.pth", good[: len(good) // 2], "no torch checkpoint, or is cut off"),
        "text": ("w.pth", b"import os; os.system('touch marker')\n", "no torch checkpoint"),
        "flax-lying-shape": (
            "w.mpk",
            flax((2, 300), "float32", bytes(24)),
            r"float32 of shape \(2, 300\), in 24 bytes",
        ),
        "flax-huge-shape": ("w.mpk", flax((2**31 - 1,) * 8, "float64", b""), "in 0 bytes"),
        "flax-many-dims": ("w.mpk", flax((1,) * 10**5, "float32", bytes(4)), "not given by its shape"),
        "flax-negative-shape": ("w.mpk", flax((-2, -3), "float32", bytes(24)), "not given by its shape"),
        "flax-objects": ("w.mpk", flax((2, 3), "object", bytes(48)), "dtype 'object'"),
        "flax-dtype-as-code": ("w.mpk", flax((1,), "O8,(2,2)f4", bytes(24)), "of dtype"),
        "flax-nan": ("w.mpk", flax((2, 3), "float32", np.full(6, np.nan, "f4").tobytes()), "not finite"),
        "flax-wrong-shape": ("w.mpk", flax((3, 2), "float32", bytes(24)), r"w has the shape \(3, 2\)"),
        "flax-other-type": ("w.mpk", msgpack.packb({"w": msgpack.ExtType(3, b"")}), "extension of type 3"),
        "flax-numbers": ("w.mpk", msgpack.packb({"w": 1.0}), "'w' is a float"),
        "flax-cut-off": ("w.mpk", flax((2, 3), "float32", bytes(24))[:-5], "is no msgpack"),
        "flax-deep": ("w.mpk", deep, "is 32 levels deep"),
        "flax-very-deep": ("w.mpk", b"\x81\xa1a" * 10**5 + b"\xc0", "is no msgpack"),
        "flax-promises": ("w.mpk", b"\xdf\xff\xff\xff\xff", "is no msgpack"),
        "safetensors-cut-off": ("w.safetensors", safetensors.torch.save(GOOD)[:-3], "no safetensors file"),
        "safetensors-header": ("w.safetensors", b"\xff" * 8 + b"{}", "no safetensors file"),
    }


NAMES = list(corpus("marker"))


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    """What came of loading each file of the corpus, two at a time; and the marker."""
    folder = tmp_path_factory.mktemp("hostile")
    marker = folder / "marker"

    def load(item):
        name, (file, content, _) = item
        path = folder / name / file
        path.parent.mkdir()
        path.write_bytes(content)
        try:
            return name, load_weights(path, EXPECTED)
        except Exception as error:
            return name, error

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as pool:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # which must not reach the child
        return dict(pool.map(load, corpus(marker).items())), marker


@pytest.mark.parametrize("name", NAMES)
def test_it_is_refused_in_words_and_nothing_is_executed(name, refusals, tmp_path):
    found, marker = refusals
    error = found[name]
    assert isinstance(error, WeightsError), error
    assert re.search(corpus(marker)[name][2], str(error)), str(error)
    assert str(error).isprintable()
    assert len(str(error)) < 600
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD | {"epoch": 3}, "it holds epoch, a int"),
        (GOOD | {"adam": {"step": None}}, "it holds adam.step, a NoneType"),
        ([torch.ones(2, 3)], "it holds a value, a list"),
        ({1: torch.ones(2, 3)}, "the key 1"),
        ({"w": torch.eye(3).to_sparse()}, "w is no dense tensor"),
        ({"w": torch.ones(2, device="meta")}, "w is no dense tensor"),
        ({"w": torch.ones(2, 3).T}, "w is not contiguous"),
        ({"w": torch.ones(1, 3).expand(2, 3)}, "w is not contiguous"),
        ({"w": torch.ones(1).as_strided((2, 1), (0, 1))}, "w is not contiguous"),
        ({"w": torch.ones(300)}, "larger than what is stored"),
        ({"v": torch.ones(200), "w": torch.ones(200)}, "w says that it is larger"),
    ],
)
def test_only_names_and_dense_tensors_go_over(content, message):
    with pytest.raises(child.Refused, match=message):
        dict(child.dense(content, 1000))


@pytest.mark.parametrize("name", payloads("marker"))
def test_unpickled_without_a_guard_each_payload_makes_the_marker(name, tmp_path):
    """The negative control: these files are hostile indeed."""
    marker = tmp_path / "marker"
    content = payloads(marker)[name]
    archive = zipfile.ZipFile(io.BytesIO(checkpoint(content if isinstance(content, Call) else content["optimiser"])))
    (pickled,) = (member for member in archive.namelist() if member.endswith("data.pkl"))
    (tmp_path / "data.pkl").write_bytes(archive.read(pickled))
    command = [sys.executable, "-m", "pickle", tmp_path / "data.pkl"]
    subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert marker.exists()


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("bytearray(10**10)", "MemoryError"),
        ("import os; os.system('true')", "os.system"),
        ("import subprocess; subprocess.run(['true'])", "subprocess.Popen"),
        ("import socket; socket.socket()", "socket"),
        ("import pathlib; pathlib.Path('written').write_text('x')", "File too large"),
        ("while True: pass", None),
    ],
)
def test_the_child_is_restricted(code, says, tmp_path):
    """Even if torch let code through: what it could do in the child, run there by hand."""
    script = (
        f"import sys; sys.path.insert(0, {str(Path(child.__file__).parent)!r}); import child\n"
        f"child.SECONDS = 1; child.restrict(1000)\n{code}"
    )
    command = [sys.executable, "-I", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode != 0
    if says is None:
        assert done.returncode < 0
    else:
        assert says in done.stderr.splitlines()[-1]


def test_a_child_that_dies_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("preimage.weights.checkpoint.child.__file__", str(tmp_path / "child.py"))
    (tmp_path / "child.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(WeightsError, match="was ended by SIGKILL"):
        read_checkpoint(PICKLE, tmp_path / "w.pth")
    (tmp_path / "child.py").write_text("raise SystemExit('no torch')")
    with pytest.raises(WeightsError, match="could not be started: no torch"):
        read_checkpoint(PICKLE, tmp_path / "w.pth")
