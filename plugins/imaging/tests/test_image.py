from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import skimage.color
import skimage.data
import skimage.io
import tifffile
import xarray as xr
from PIL import Image

import preimage_imaging.image as image
from preimage.errors import DataError
from preimage.testing import LoaderLaws
from preimage.testing.agreement import largest_error
from preimage_imaging.image import Settings

SHIPPED = Path(skimage.data.__file__).parent


class TestLaws(LoaderLaws):
    method = image


SAME = 0, "the same integers, divided once in the same precision"


def load(path: Path, **settings: object) -> xr.DataArray:
    dataset = image.preimage_loader(Settings(path=path, **settings)).describe()
    (name,) = dataset.data_vars
    return dataset[name]


def test_a_grey_picture_lies_between_0_and_1(agreement):
    found = load(SHIPPED / "camera.png")
    assert found.name == "truth"
    assert found.dims == ("y", "x")
    assert found.dtype == np.float32
    error = largest_error(found, skimage.data.camera() / np.float32(255))
    agreement("loader.image", "scikit-image's imread, of PNG", error, *SAME)


@pytest.mark.parametrize("name", ["astronaut.png", "horse.png"])
def test_colours_come_first_and_opacity_is_left_out(name, agreement):
    stored = skimage.io.imread(SHIPPED / name)[..., :3] / np.float32(255)
    found = load(SHIPPED / name, variable="measurement")
    assert (found.name, found.dims) == ("measurement", ("channel", "y", "x"))
    error = largest_error(found, np.moveaxis(stored, -1, 0))
    agreement("loader.image", "scikit-image's imread, of PNG", error, *SAME)
    grey = load(SHIPPED / name, colour="grey")
    assert grey.dims == ("y", "x")
    error = largest_error(grey, skimage.color.rgb2gray(stored))
    reason = "a sum of three numbers up to 1 in single precision: 3 ε"
    agreement("loader.image", "scikit-image's rgb2gray", error, 3 * np.finfo(np.float32).eps, reason)
    np.testing.assert_array_equal(load(SHIPPED / "camera.png", colour="grey"), load(SHIPPED / "camera.png"))


@pytest.mark.parametrize("name", ["astronaut.png", "camera.png", "multipage.tif", "multipage_rgb.tif"])
@pytest.mark.parametrize("colour", ["channel", "grey"])
def test_a_part_is_the_part_of_the_whole(name, colour):
    whole = load(SHIPPED / name, colour=colour).values
    found = load(SHIPPED / name, colour=colour)
    for index in ((slice(1, 2), slice(3, 9, 2)), (slice(None), 1), (-1, slice(None, None, -1)), (0, 1), (..., [3, 1])):
        np.testing.assert_array_equal(found[index].values, whole[index])


def test_a_tiff_stack_is_read_page_by_page(monkeypatch, agreement):
    stored = skimage.io.imread(SHIPPED / "multipage.tif")
    found = load(SHIPPED / "multipage.tif")
    assert found.dims == ("z", "y", "x")
    agreement("loader.image", "scikit-image's imread, of TIFF", largest_error(found, stored / np.float32(255)), *SAME)
    pages = []
    original = tifffile.TiffFile.asarray
    monkeypatch.setattr(tifffile.TiffFile, "asarray", lambda *a, **k: pages.append(k["key"]) or original(*a, **k))
    np.testing.assert_array_equal(load(SHIPPED / "multipage.tif")[1, 3:5].values, stored[1, 3:5] / np.float32(255))
    assert pages == [1]


def test_a_tiff_of_floating_numbers_is_read_as_it_is():
    found = load(SHIPPED / "multipage_rgb.tif")
    assert found.dims == ("channel", "z", "y", "x")
    stored = tifffile.imread(SHIPPED / "multipage_rgb.tif")
    assert found.dtype == stored.dtype == np.float64
    np.testing.assert_array_equal(found.values, np.moveaxis(stored, 1, 0))


@pytest.mark.parametrize("byteorder", "<>")
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("imagej", [False, True])
def test_tiffs_of_all_layouts_are_read(tmp_path, byteorder, compression, imagej):
    values = np.random.default_rng(0).integers(0, 2**16, (3, 4, 5, 6), np.uint16)
    axes = {"axes": "TZYX"}
    tifffile.imwrite(
        tmp_path / "a.tif",
        values,
        byteorder=byteorder,
        compression=compression,
        imagej=imagej,
        metadata=axes,
        photometric="minisblack",
    )
    found = load(tmp_path / "a.tif")
    assert found.dims == ("time", "z", "y", "x")
    np.testing.assert_array_equal(found[1:, ::2, 3].values, values[1:, ::2, 3] / np.float32(65535))


def test_the_opacity_of_a_tiff_is_left_out(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (5, 6, 4), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(
        load(tmp_path / "a.tif").values, np.moveaxis(values[..., :3], -1, 0) / np.float32(255)
    )


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_png_of_all_depths_lies_between_0_and_1(tmp_path, bits, agreement):
    values = np.random.default_rng(0).integers(0, 2**bits, (5, 6))
    dtype = {1: np.bool_, 8: np.uint8, 16: np.uint16}[bits]
    Image.fromarray(values.astype(dtype)).save(tmp_path / "a.png")
    error = largest_error(load(tmp_path / "a.png"), values.astype(dtype) / np.float32(2**bits - 1))
    agreement("loader.image", "what Pillow wrote", error, *SAME)


def test_a_palette_becomes_colours(tmp_path):
    indices = np.array([[0, 1, 2], [2, 0, 1]], np.uint8)
    palette = np.array([[255, 0, 0], [10, 20, 30], [0, 0, 255]], np.uint8)
    picture = Image.fromarray(indices)
    picture.putpalette(palette.tobytes())
    picture.save(tmp_path / "a.png")
    expected = np.moveaxis(palette[indices], -1, 0) / np.float32(255)
    np.testing.assert_array_equal(load(tmp_path / "a.png").values, expected)


@pytest.mark.parametrize(
    ("dtype", "expected", "largest"),
    [
        ("u1", "f4", 255),
        (">u2", "f4", 65535),
        ("i2", "f4", 32767),
        ("f2", "f4", 1),
        (">f4", "f4", 1),
        ("f8", "f8", 1),
        ("c8", "c8", 1),
        ("c16", "c16", 1),
        ("?", "f4", 1),
    ],
)
def test_npy_keeps_floating_numbers_and_scales_integers(tmp_path, dtype, expected, largest):
    values = np.array([[0, 1, 3], [5, 2, 1]]).astype(dtype)
    np.save(tmp_path / "a.npy", values)
    found = load(tmp_path / "a.npy")
    assert found.dtype == np.dtype(expected)
    assert found.dims == ("y", "x")
    np.testing.assert_array_equal(found.values, values.astype(expected) / np.dtype(expected).type(largest))
    halved = load(tmp_path / "a.npy", scale=2, dims=("a", "b"))
    assert halved.dims == ("a", "b")
    np.testing.assert_array_equal(halved.values, values.astype(expected) / 2)


def test_headers_alone_are_read_until_values_are_asked_for(tmp_path):
    """A picture cut off behind its header is described, and told of when its pixels are wanted."""
    whole = (SHIPPED / "camera.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:200])
    found = load(tmp_path / "cut.png")
    assert found.sizes == {"y": 512, "x": 512}
    with pytest.raises(DataError, match=r"cut\.png is damaged"):
        found.load()


def png_of_size(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    empty = b"IDAT" + zlib.compress(b"")
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, empty, b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def npy_of_shape(shape: tuple[int, ...]) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.png", png_of_size(10**6, 10**6), "exceeds limit"),
        ("a.png", png_of_size(12000, 12000), r"\(12000, 12000\) uint8, 137.3MiB: more than max_bytes = 100.0MiB"),
        ("a.npy", npy_of_shape((10**6, 10**6)), "cannot be read"),
        ("a.npy", npy_of_shape((10**30,)), "cannot be read"),
        ("a.npy", npy_of_shape((0, 5)), "no pixels|cannot be read"),
        ("a.npy", b"\x93NUMPY\x01\x00\xff\xffgarbage", "cannot be read"),
        ("a.png", b"\x89PNG\r\n\x1a\nrubbish", "cannot be read"),
        ("a.tif", b"II*\x00\xff\xff\xff\xff", "cannot be read"),
        ("a.txt", b"not an image", "neither PNG nor TIFF nor NPY"),
        ("a.png", b"", "neither PNG nor TIFF nor NPY"),
    ],
)
def test_headers_are_not_believed(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(tmp_path / name, max_bytes="100 MiB")


def test_a_compressed_tiff_that_would_be_large_needs_max_bytes(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((64, 64, 64), np.uint8), compression="zlib", photometric="minisblack")
    with pytest.raises(DataError, match=r"256\.0KiB: more than max_bytes = 100\.0KiB; raise it"):
        load(tmp_path / "a.tif", max_bytes="100 KiB")
    assert not load(tmp_path / "a.tif", max_bytes="256 KiB").values.any()
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((64, 64, 64), np.uint8), photometric="minisblack")
    assert load(tmp_path / "b.tif", max_bytes=1).shape == (64, 64, 64)  # it lies in the file as it is


def test_a_tiff_that_is_cut_off_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((64, 64), np.uint8), imagej=True)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[:-1000])
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path / "a.tif").load()


def test_pixels_that_mean_something_else_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((6, 5), np.uint8), photometric="miniswhite")
    with pytest.raises(DataError, match="MINISWHITE"):
        load(tmp_path / "a.tif")
    np.save(tmp_path / "a.npy", np.array(["text"]))
    with pytest.raises(DataError, match="holds no numbers"):
        load(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path / "b.npy")


def test_16_bit_colours_are_not_cut_to_8_in_silence(tmp_path):
    header = b"IHDR" + struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    pixels = b"IDAT" + zlib.compress(bytes(2 * (1 + 2 * 6)))
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, pixels, b"IEND")]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    with pytest.raises(DataError, match="16 bits a colour"):
        load(tmp_path / "a.png")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*missing\.png: No such file"):
        load(tmp_path / "missing.png")
    with pytest.raises(DataError, match="Is a directory"):
        load(tmp_path)


def test_dims_that_do_not_fit_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 4, 5)))
    with pytest.raises(DataError, match=r"\(2, 3, 4, 5\), and dims is not set: set dims to 4 different names"):
        load(tmp_path / "a.npy")
    with pytest.raises(DataError, match="dims = y, y, x, z"):
        load(tmp_path / "a.npy", dims=("y", "y", "x", "z"))
    with pytest.raises(DataError, match="has 2 channels: only red, green and blue make grey"):
        load(tmp_path / "a.npy", dims=("channel", "z", "y", "x"), colour="grey")


@pytest.mark.skipif("PREIMAGE_DATA" not in os.environ, reason="PREIMAGE_DATA is not set")
def test_a_real_stack_is_read():
    path = Path(os.environ["PREIMAGE_DATA"]) / "deconv_bead_3d" / "data.tif"
    found = load(path, variable="measurement")
    assert (found.dims, found.shape) == (("z", "y", "x"), (64, 64, 64))
    np.testing.assert_array_equal(found[10:12, 5].values, tifffile.imread(path)[10:12, 5])
