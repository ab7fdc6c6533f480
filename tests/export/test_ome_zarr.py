"""The OME-Zarr view: valid, read by others, averaged as complex values, and written within bounded memory."""

import math

import numpy as np
import pytest
import zarr
from ome_zarr_models.common.omero import Omero
from ome_zarr_models.v05 import Image

from preimage.errors import RequestError, RunError
from preimage.export import channels, export, ome_zarr

EPS = np.finfo(np.float32).eps
VOXELS = {"voxel_size": {"z": 4.0, "y": 2.0, "x": 2.0}}


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of 8 × 8 × 8 or 16 × 16 voxels, so that small images have levels and shards."""
    monkeypatch.setattr(channels, "EDGES", {2: 16, 3: 8})


@pytest.fixture
def view(store, tmp_path, small_chunks):
    """Exports an image, checks that it is valid, and opens it."""

    def exported(values, dims, at=None, **kwargs):
        path = tmp_path / "view.ome.zarr"
        export(store(values, dims, **kwargs), path, at=at)
        group = zarr.open_group(path, mode="r")
        Image.from_zarr(group)  # raises what is not valid
        Omero.model_validate(group.attrs["ome"]["omero"])
        return group

    return exported


def multiscale(group):
    (found,) = group.attrs["ome"]["multiscales"]
    return found


def transforms(group):
    """Scale and translation of every level."""
    found = [level["coordinateTransformations"] for level in multiscale(group)["datasets"]]
    return [(np.array(one["scale"]), np.array(two["translation"])) for one, two in found]


def levels(group):
    return [np.asarray(group[level["path"]][...]) for level in multiscale(group)["datasets"]]


def test_the_first_level_has_magnitude_and_phase_of_every_voxel(view, noise):
    values = noise(5, 21, 18)
    group = view(values, ("y", "x", "z"), **VOXELS)
    first = levels(group)[0]
    assert group["0"].metadata.dimension_names == ("c", "z", "y", "x")
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first[0], np.abs(values).transpose(2, 0, 1))
    np.testing.assert_array_equal(first[1], np.angle(values).transpose(2, 0, 1))


def test_tensorstore_reads_what_zarr_reads(view, noise, tmp_path):
    tensorstore = pytest.importorskip("tensorstore")
    group = view(noise(18, 21, 9), ("z", "y", "x"))
    for name, values in enumerate(levels(group)):
        kvstore = {"driver": "file", "path": str(tmp_path / "view.ome.zarr" / str(name))}
        found = tensorstore.open({"driver": "zarr3", "kvstore": kvstore}).result()
        assert found.domain.labels == ("c", "z", "y", "x")
        np.testing.assert_array_equal(found.read().result(), values)


def test_a_level_is_the_complex_mean_of_the_first(view, noise):
    values = noise(16, 32, 24)
    group = view(values, ("z", "y", "x"))
    found = levels(group)
    assert [level.shape for level in found] == [(2, 16, 32, 24), (2, 8, 16, 12), (2, 4, 8, 6)]
    for i, (magnitude, phase) in enumerate(found):
        k = 2**i
        blocks = values.astype(np.complex128).reshape(16 // k, k, 32 // k, k, 24 // k, k)
        expected = blocks.mean((1, 3, 5))
        # A level adds three sums, a product, a cosine and a phase up to π, each rounded: less than 10 ε of the largest.
        error = np.abs(magnitude * np.exp(1j * phase.astype(np.float64)) - expected).max()
        assert error <= 10 * (i + 1) * EPS * np.abs(values).max()


def test_a_phase_at_the_wrap_stays_there(view):
    """±(π − 0.1) in a checkerboard: the mean of the complex values is at π, the mean of the phases at 0."""
    sign = 1 - 2 * (np.indices((16, 16, 16)).sum(0) % 2)
    values = np.exp(1j * (math.pi - 0.1) * sign).astype(np.complex64)
    assert abs(np.angle(values).mean()) < 1e-6  # what an average of phases would give
    magnitude, phase = levels(view(values, ("z", "y", "x")))[1]
    np.testing.assert_allclose(np.abs(phase), math.pi, rtol=1e-6)
    np.testing.assert_allclose(magnitude, math.cos(0.1), rtol=1e-6)


def test_real_values_are_one_channel_with_their_sign(view):
    values = np.linspace(-3, 1, 16 * 16 * 12).reshape(16, 16, 12)
    group = view(values, ("z", "y", "x"))
    found = levels(group)
    np.testing.assert_array_equal(found[0], values[None].astype(np.float32))
    expected = values.reshape(8, 2, 8, 2, 6, 2).mean((1, 3, 5))
    np.testing.assert_allclose(found[1][0], expected, atol=4 * EPS * 3)
    (channel,) = group.attrs["ome"]["omero"]["channels"]
    assert channel["label"] == "estimate"
    assert channel["window"] == {"min": -3.0, "max": 1.0, "start": -3.0, "end": 1.0}


def test_channels_have_names_and_windows(view, noise):
    values = noise(4, 20, 6)
    values[1, 2, 3] = 50
    magnitude, phase = view(values, ("z", "y", "x")).attrs["ome"]["omero"]["channels"]
    assert (magnitude["label"], magnitude["active"]) == ("magnitude", True)
    assert magnitude["window"] == {"min": 0.0, "max": 50.0, "start": 0.0, "end": 50.0}
    assert (phase["label"], phase["active"]) == ("phase", False)
    assert (phase["window"]["start"], phase["window"]["end"]) == (-math.pi, math.pi)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_window_is_a_range_whatever_the_values(view, value):
    window = view(np.full((4, 4), value, np.complex64), ("z", "y")).attrs["ome"]["omero"]["channels"][0]["window"]
    assert window == {"min": 0.0, "max": 1.0, "start": 0.0, "end": 1.0}


def test_voxels_of_every_level_lie_where_those_lie_that_they_are_the_mean_of(view, noise):
    """The places of a level's voxels are the block means of the places of the first's."""
    n = 32
    coords = {"x": ("x", 10 + 0.5 * np.arange(n), {"units": "um"})}
    group = view(noise(8, 16, n), ("z", "y", "x"), coords=coords, voxel_size={"z": 0.004, "y": 0.001})
    first_scale, first_origin = transforms(group)[0]
    np.testing.assert_array_equal(first_scale, [1, 0.004, 0.001, 0.5])
    np.testing.assert_array_equal(first_origin, [0, 0, 0, 10])
    assert len(transforms(group)) > 2
    for (scale, origin), level in zip(transforms(group), levels(group), strict=True):
        for axis in (1, 2, 3):
            count = group["0"].shape[axis]
            places = first_origin[axis] + first_scale[axis] * np.arange(count)
            expected = places.reshape(level.shape[axis], -1).mean(1)
            np.testing.assert_allclose(origin[axis] + scale[axis] * np.arange(level.shape[axis]), expected, rtol=1e-12)


def test_axes_have_types_and_units(view, noise):
    coords = {
        "time": ("time", [0.0, 0.5], {"units": "s"}),
        "y": ("y", [0.0, 1.0, 2.0], {"units": "um"}),
    }
    group = view(noise(3, 2, 4, 5), ("y", "time", "z", "x"), coords=coords, voxel_size={"z": 2.0})
    assert multiscale(group)["axes"] == [
        {"name": "t", "type": "time", "unit": "second"},
        {"name": "c", "type": "channel"},
        {"name": "z", "type": "space", "unit": "millimeter"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space"},
    ]
    np.testing.assert_array_equal(transforms(group)[0][0], [0.5, 1, 2, 1, 1])


def test_time_is_never_halved(view, noise):
    values = noise(10, 18, 8, 3)
    group = view(values, ("time", "z", "y", "x"))
    for i, level in enumerate(levels(group)):
        assert level.shape[:2] == (10, 2)
        assert group[str(i)].chunks[:2] == (1, 1)
    np.testing.assert_array_equal(levels(group)[0][:, 0], np.abs(values))


@pytest.mark.parametrize("dims", [("z", "y"), ("x", "z"), ("time", "y", "x")])
def test_the_axes_of_a_plane_are_called_as_viewers_expect(view, noise, dims):
    group = view(noise(*range(17, 17 + len(dims))), dims)
    assert [axis["name"] for axis in multiscale(group)["axes"]][-2:] == ["y", "x"]
    order = sorted(dims[-2:], reverse=True)
    assert group.attrs["preimage"]["dims"][-2:] == order
    assert levels(group)[0].shape[-2:] == tuple(17 + dims.index(dim) for dim in order)


@pytest.mark.parametrize(
    ("dims", "shape"),
    [(("coil", "z", "y"), (2, 3, 4)), (("x",), (5,)), (("z", "row"), (3, 4)), (("t", "time", "z", "y"), (1,) * 4)],
)
def test_what_is_no_image_is_refused_with_the_cure(view, noise, dims, shape):
    with pytest.raises(RequestError, match="choose an index along every other dim, such as --at coil=0"):
        view(noise(*shape), dims)


def test_an_index_along_a_further_dim_is_chosen(view, noise):
    values = noise(3, 5, 2, 4)
    group = view(values, ("coil", "z", "echo", "y"), at={"coil": 2, "echo": 1})
    np.testing.assert_array_equal(levels(group)[0][0], np.abs(values)[2, :, 1, :])


def test_a_part_is_refused(store, noise, tmp_path):
    with pytest.raises(RequestError, match="has magnitude and phase as channels; leave it out"):
        export(store(noise(2, 2), ("z", "y")), tmp_path / "a.ome.zarr", part="phase")


def test_it_is_sharded_and_has_checksums(view, noise, tmp_path):
    group = view(noise(20, 20, 20), ("z", "y", "x"))
    assert (group["0"].chunks, group["0"].shards) == ((1, 8, 8, 8), (1, 16, 16, 16))
    shard = tmp_path / "view.ome.zarr/0/c/1/0/1/0"
    damaged = bytearray(shard.read_bytes())
    damaged[len(damaged) // 3] ^= 8
    shard.write_bytes(damaged)
    with pytest.raises(ValueError, match="(?i)checksum|crc"):
        group["0"][...]


def test_chunks_are_a_megabyte():
    for n_space, edge in channels.EDGES.items():
        assert 4 * edge**n_space == 2**20


def test_however_it_is_cut_the_view_is_the_same(store, noise, tmp_path, small_chunks, monkeypatch):
    values, found = noise(20, 9, 30), []
    for i, (limit, chunks) in enumerate(((1, {"x": 3}), (2**13, {"x": 30}), (2**23, {"z": 7, "y": 9, "x": 8}))):
        monkeypatch.setattr(ome_zarr, "LIMIT", limit)
        export(store(values, ("z", "y", "x"), chunks=chunks), tmp_path / f"{i}.ome.zarr")
        found.append(levels(zarr.open_group(tmp_path / f"{i}.ome.zarr", mode="r")))
    for others in found[1:]:
        for level, other in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(level, other)


def test_a_damaged_chunk_leaves_no_view(store, noise, tmp_path):
    path = store(noise(4, 8, 8), ("z", "y", "x"))
    chunk = next(one for one in (path / "estimate/c").rglob("*") if one.is_file())
    damaged = bytearray(chunk.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    chunk.write_bytes(damaged)
    with pytest.raises(RunError, match="'estimate' could not be read, the file is damaged or gone"):
        export(path, tmp_path / "out/view.ome.zarr")
    assert list((tmp_path / "out").iterdir()) == []
