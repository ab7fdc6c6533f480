"""Priors that couple blocks: shares of the objective add up, blocks that agree find what the whole finds, and go on."""

import itertools
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import safetensors
import torch
import xarray as xr
from support.bitwise import assert_bitwise_equal
from support.counting import count_traffic
from support.dask_processes import Scheduler
from support.drivers import ENVIRONMENT, PATIENCE
from support.toy_chain import ToyPart

import preimage
from preimage.declarations import halo, split
from preimage.errors import RequestError, RunError
from preimage.operators import LinearOperator
from preimage.priors import Composite
from preimage.space import Space
from preimage.testing.agreement import relative_error
from preimage.volumes import stores
from preimage.volumes.planning.cutting import margins
from preimage.volumes.planning.grouping import Group
from preimage.volumes.planning.memory_model import Model, _declared
from preimage.volumes.planning.plan import Plan, StagePlan
from preimage.volumes.progress import Progress
from preimage.volumes.stores import open_dataset, write_dataset
from preimage.volumes.tasks.sharing import index_of, looking_at, shared_block
from preimage.volumes.tasks.worker import Worker
from preimage_registry.registry import Registry
from preimage_registry.runfile import read_recipe
from preimage_registry.running import RUN_SECTIONS, prepare

DIMS = ("z", "y", "x")
VARIATION = {"use": "total-variation", "weight": 0.15}
PDHG = {"use": "pdhg", "max_iter": 20, "balance": 1.0}
SLABS = {"z": 6}
COLUMNS = {"z": 5, "y": 4}
ROUNDS = 60
AGREED = 1e-3
WHY = "what is asked of 200 rounds; here are 60 at most"


def volume(dtype=np.float32, shape=(12, 9, 8)):
    """Flat regions in noise."""
    generator = np.random.default_rng(0)
    z, y, x = np.ogrid[tuple(slice(n) for n in shape)]
    truth = 1.0 * (((z - 6) ** 2 + (y - 4) ** 2 + (x - 4) ** 2) < 14) + 0.5 * (z > 7)
    noise = generator.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        truth, noise = truth * np.exp(0.7j), noise + 1j * generator.standard_normal(shape)
    measurement = (truth + 0.2 * noise).astype(dtype)
    return xr.Dataset({"truth": (DIMS, truth.astype(dtype)), "measurement": (DIMS, measurement)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("consensus")
    write_dataset(volume(), found / "real.zarr")
    write_dataset(volume(np.complex64), found / "complex.zarr")
    return found


def run_file(path, source, *, blocks=SLABS, prior=(VARIATION,), rounds=ROUNDS, inner=PDHG, consensus=None, **sections):
    """A run file with the solver consensus, or with another where there are no rounds; returns its path."""
    solver = {"use": "consensus", "max_iter": rounds, "solver": inner, **(consensus or {})} if rounds else inner
    compute = {"normalise": False, "device": "cpu", "memory": "4 GiB", "blocks": blocks}
    recipe = {
        "loader": {"use": "zarr", "path": str(source)},
        "operator": {"use": "identity"},
        "prior": list(prior),
        "solver": solver,
        "output": {"path": str(path.with_suffix(".zarr")), "history": 2},
        **sections,
        "compute": compute | sections.get("compute", {}),
    }
    path.write_text(json.dumps(recipe))
    return path


def planned(path, progress=None):
    registry = Registry.here()
    return prepare(read_recipe(path, registry, (), required=RUN_SECTIONS), registry, [progress] if progress else [])


def estimate(path):
    return open_dataset(path.with_suffix(".zarr"))["estimate"].values


def worker_of(run):
    """A worker of a run that has no store yet."""
    worker = Worker(run.output.path, run.resolved, run.plan, run.compute, 10, torch.device("cpu"))
    worker._scalars = {"norm": 1.0}
    return worker


# --- shares -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [SLABS, COLUMNS, {"z": 1, "y": 1, "x": 3}])
@pytest.mark.parametrize("kind", ["isotropic", "anisotropic"])
@pytest.mark.parametrize("source", ["real", "complex"])
def test_shares_add_up_to_the_objective_of_the_whole(folder, tmp_path, source, kind, blocks):
    prior = (
        {**VARIATION, "kind": kind, "spacing": {"z": 2.0}},
        {"use": "tikhonov", "weight": 0.3},
        {"use": "real-valued"},
    )
    run = planned(run_file(tmp_path / "a.json", folder / f"{source}.zarr", blocks=blocks, prior=prior))
    whole = planned(run_file(tmp_path / "b.json", folder / f"{source}.zarr", blocks={}, prior=prior))
    problem = worker_of(whole).problem({}, worker_of(whole).prepared(0, {})[0]).to(dtype=torch.float64)
    x = problem.domain.randn(torch.Generator().manual_seed(0))
    total, worker = torch.zeros((), dtype=torch.float64), worker_of(run)
    for region in run.plan.solve.regions():
        block = shared_block(worker, 0, region)
        there = tuple(slice(*block.wide[dim]) if dim in block.wide else slice(None) for dim in DIMS)
        total += block.share.to(dtype=torch.float64).objective(x[there])
        assert all(isinstance(prior, Composite) for prior in block.share.priors[:2])
    # sums of some thousand numbers, in another order
    assert float(total) == pytest.approx(float(problem.objective(x)), rel=1e-13)


class Along(LinearOperator):
    """x at some steps from an index along z, added up; 0 beyond the ends."""

    def __init__(self, space, steps):
        super().__init__(space, space)
        n = space.shape[0]
        self.matrix = sum(torch.diag(torch.ones(n - abs(k), dtype=space.dtype), k) for k in steps)

    def _apply(self, x):
        return torch.einsum("ij,...jy->...iy", self.matrix, x)

    def _apply_adjoint(self, y):
        return torch.einsum("ij,...iy->...jy", self.matrix, y)


class Prior:
    def __init__(self, linear):
        self.linear = linear

    def split(self):
        return None, self.linear


@pytest.mark.parametrize(
    ("steps", "reach", "expected"),
    [((0, 1), 1, (0, 1)), ((-1, 1), 1, (1, 1)), ((-2, 0), 2, (2, 0)), ((0,), 3, (0, 0)), ((-1, 3), 3, (1, 3))],
)
def test_blocks_overlap_as_far_as_priors_really_look(steps, reach, expected):
    space = Space(("z", "y"), (40, 3), torch.float64)
    part = ToyPart("prior", "along", lambda domain, **_: Prior(Along(domain, steps)), declared=Prior)
    axes = {"z": halo(reach), "y": split}
    assert margins([(part, axes)], ["z", "y"], xr.Dataset(), space) == {"z": expected}
    far = ToyPart("prior", "far", lambda domain, **_: Prior(Along(domain, (-2,))), declared=Prior)
    both = margins([(part, axes), (far, {"z": halo(2), "y": split})], ["z"], xr.Dataset(), space)
    assert both == {"z": (max(expected[0], 2), expected[1])}
    of_data = ToyPart("prior", "of-data", None, declared=Prior, requires={"anatomy": ("z",)})  # not to be made yet
    assert margins([(of_data, axes)], ["z"], xr.Dataset(), space) == {"z": (reach, reach)}


def test_total_variation_looks_at_the_next_pixel_and_the_plan_keeps_that(folder, tmp_path):
    run = planned(run_file(tmp_path / "a.json", folder / "real.zarr", blocks={**COLUMNS, "x": 8}))
    assert run.plan.solve.overlap == {"z": (0, 1), "y": (0, 1)}  # along x there is one block
    assert Plan.from_json(json.loads(json.dumps(run.plan.to_json()))) == run.plan
    assert run.plan.notes[0].startswith("blocks share pixels, 1 along z, 1 along y, and agree on them in rounds")
    apart = planned(run_file(tmp_path / "b.json", folder / "real.zarr", rounds=0, blocks={}))
    assert apart.plan.solve.overlap == {}


def test_all_blocks_that_look_at_a_pixel_are_found():
    """By brute force: all pairs of blocks, for overlaps longer than blocks too."""
    random = np.random.default_rng(1)
    for _ in range(60):
        sizes = {dim: int(random.integers(1, 9)) for dim in "zy"}
        block = {dim: int(random.integers(1, n + 1)) for dim, n in sizes.items()}
        overlap = {dim: tuple(random.integers(0, 4, 2).tolist()) for dim in "zy" if random.random() < 0.8}
        stage = StagePlan(0, 0, True, (), sizes, block, {}, 0, 0, 0, overlap=overlap)
        looked_at = []
        for region in stage.regions():
            pixels = set()
            for pixel in itertools.product(*map(range, sizes.values())):
                margin = [overlap.get(dim, (0, 0)) for dim in sizes]
                ends = [(a - m, b + n) for (a, b), (m, n) in zip(region.values(), margin, strict=True)]
                if all(a <= i < b for i, (a, b) in zip(pixel, ends, strict=True)):
                    pixels.add(pixel)
            looked_at.append(pixels)
        index = np.arange(np.prod(list(sizes.values()))).reshape(tuple(sizes.values()))
        for block_index, region in enumerate(stage.regions()):
            wide = stage.overlapping(region)
            found = {}
            for other, theirs, common in looking_at(stage, wide):
                here = index[tuple(slice(*bounds) for bounds in wide.values())][index_of(common, wide, tuple(sizes))]
                there = index[tuple(slice(*bounds) for bounds in theirs.values())][
                    index_of(common, theirs, tuple(sizes))
                ]
                assert np.array_equal(here, there)
                found[other] = set(here.flatten().tolist())
            flat = [{int(index[pixel]) for pixel in pixels} for pixels in looked_at]
            expected = {i: flat[i] & flat[block_index] for i in range(stage.n_blocks) if flat[i] & flat[block_index]}
            assert found == expected
            assert list(found) == sorted(found)


# --- what they agree on -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(folder):
    """The solution of the whole volume."""
    path = run_file(folder / "whole.json", folder / "real.zarr", rounds=0, blocks={}, inner={**PDHG, "max_iter": 2000})
    preimage.run(path)
    return estimate(path)


@pytest.fixture(scope="module")
def agreed(folder):
    """Two slabs, in some rounds."""
    path = run_file(folder / "agreed.json", folder / "real.zarr")
    preimage.run(path)
    return path


def test_blocks_agree_on_the_solution_of_the_whole(agreed, whole, agreement):
    error = relative_error(estimate(agreed), whole)
    agreement("solver.consensus", "pdhg on the whole volume", error, AGREED, WHY)


def test_blocks_that_are_quietly_cut_find_something_else(whole):
    slabs = [
        preimage.reconstruct(
            volume().isel(z=slab),
            operator="identity",
            prior=VARIATION,
            solver={**PDHG, "max_iter": 1000},
            normalise=False,
        )
        for slab in (slice(0, 6), slice(6, 12))
    ]
    assert relative_error(np.concatenate(slabs), whole) > 10 * AGREED


def test_columns_agree_with_admm_inside_them(folder, tmp_path, agreement):
    prior, inner = ({**VARIATION, "weight": 0.05},), {"use": "admm", "max_iter": 5}
    many = {"source": folder / "complex.zarr", "prior": prior}
    path = run_file(tmp_path / "a.json", blocks={"z": 6, "y": 5}, inner=inner, rounds=30, **many)
    preimage.run(path)
    alone = run_file(tmp_path / "b.json", blocks={}, inner={**PDHG, "max_iter": 1000}, rounds=0, **many)
    preimage.run(alone)
    error = relative_error(estimate(path), estimate(alone))
    agreement("solver.consensus", "pdhg on the whole volume, in blocks along two dims", error, AGREED, WHY)


def test_the_record_and_the_history_tell_of_rounds(agreed, whole):
    record = stores.read_attributes(agreed.with_suffix(".zarr"))
    assert record["rounds"] == record["summary"]["iterations"] == ROUNDS
    run = planned(agreed)
    assert not run.beside.rounds(0)
    history = open_dataset(agreed.with_suffix(".zarr"))["history"]
    of_shares = history.values[:, -1, history.attrs["quantities"].index("objective")].sum()
    problem = worker_of(run).problem({}, worker_of(run).prepared(0, {})[0])
    least = float(problem.objective(torch.from_numpy(whole)))
    assert of_shares == pytest.approx(least, rel=1e-3)  # copies are equal by then


def test_a_constraint_is_met_by_every_block_also_one_made_of_data(tmp_path, folder, agreement):
    data = volume()
    support = (np.abs(data["truth"].values) > 0.2) | (np.arange(12) < 2)[:, None, None]
    source = tmp_path / "support.zarr"
    write_dataset(data.assign(support=(DIMS, support)), source)
    prior = (VARIATION, {"use": "support"})
    path = run_file(tmp_path / "a.json", source, prior=prior)
    preimage.run(path)
    assert not estimate(path)[~support].any()
    alone = run_file(tmp_path / "b.json", source, prior=prior, rounds=0, blocks={}, inner={**PDHG, "max_iter": 2000})
    preimage.run(alone)
    assert np.abs(estimate(alone)[0]).max() > 0.01  # the constraint is not all there is
    error = relative_error(estimate(path), estimate(alone))
    agreement("solver.consensus", "pdhg on the whole volume, within a support", error, AGREED, WHY)


def test_slabs_of_a_multi_coil_mri_volume_agree_along_the_readout(tmp_path, agreement):
    truth = volume(np.complex64, (6, 8, 12))[["truth"]]
    coils, lines = (
        {"use": "simulate-coils", "n_coils": 3},
        {"use": "sampling-mask", "pattern": "regular", "dims": ["kz"], "acceleration": 2},
    )
    data = preimage.simulate(truth, operator="cartesian-mri", preparation=[coils, lines], noise=0.05)
    write_dataset(data, tmp_path / "in.zarr")
    sections = {"operator": {"use": "cartesian-mri"}, "prior": [{**VARIATION, "weight": 0.02}]}
    path = run_file(tmp_path / "a.json", tmp_path / "in.zarr", blocks={"x": 6}, **sections)
    run = planned(path)
    assert [stage.labels for stage in run.plan.stages] == [("readout-ifft", "readout-ifft"), ("consensus",)]
    assert run.plan.solve.overlap == {"x": (0, 1)}
    preimage.run(path)
    inner = {**PDHG, "max_iter": 3000}
    alone = run_file(tmp_path / "b.json", tmp_path / "in.zarr", blocks={}, rounds=0, inner=inner, **sections)
    preimage.run(alone)
    error = relative_error(estimate(path), estimate(alone))
    agreement("solver.consensus", "pdhg on a whole multi-coil volume", error, AGREED, WHY)


def test_a_block_can_be_begun_to_see_what_a_round_takes(folder, tmp_path):
    run = planned(run_file(tmp_path / "a.json", folder / "real.zarr"))
    found = run.probe()[0]
    assert min(found.step, found.before, found.process) > 0
    assert run.plan.solve.block == SLABS
    assert not run.output.path.exists()


def test_every_round_counts_in_the_bytes_that_a_plan_reads(folder, tmp_path, monkeypatch):
    run = planned(run_file(tmp_path / "a.json", folder / "real.zarr", rounds=3, inner={**PDHG, "max_iter": 2}))
    read, written = count_traffic(monkeypatch)
    run.execute()
    assert (read[0], written[0]) == (run.plan.solve.bytes_read, run.plan.solve.bytes_written)


def test_a_tolerance_ends_the_rounds(folder, tmp_path, agreed):
    path = run_file(tmp_path / "a.json", folder / "real.zarr", rounds=60, consensus={"tolerance": 5e-3})
    record = planned(path).execute()
    assert 2 < record["rounds"] == record["summary"]["iterations"] < 60
    before = run_file(tmp_path / "b.json", folder / "real.zarr", rounds=record["rounds"] - 1)
    preimage.run(before)
    moved = np.linalg.norm(estimate(path) - estimate(before)) / np.linalg.norm(estimate(path))
    assert moved < 5e-3


def test_rounds_that_diverge_fail_before_they_are_kept(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("preimage.volumes.tasks.rounds._energy", lambda x: float("nan"))
    run = planned(run_file(tmp_path / "a.json", folder / "real.zarr", rounds=60))
    with pytest.raises(RunError, match="^consensus diverges: at iteration 1 of 60"):
        run.execute()
    assert run.beside.rounds(0) == [0]


# --- interrupted runs -------------------------------------------------------------------------------------------------

FEW = {"rounds": 4, "inner": {**PDHG, "max_iter": 5}, "blocks": COLUMNS}
LAST = 8
"""The last of their nine blocks."""


@pytest.fixture(scope="module")
def undisturbed(folder):
    path = run_file(folder / "undisturbed.json", folder / "complex.zarr", **FEW)
    preimage.run(path)
    return path.with_suffix(".zarr")


def test_processes_find_the_same_bit_for_bit(folder, tmp_path, undisturbed):
    path = run_file(tmp_path / "a.json", folder / "complex.zarr", **FEW, compute={"workers": 2})
    preimage.run(path)
    assert_bitwise_equal(path.with_suffix(".zarr"), undisturbed)


class KillBetweenRounds(Progress):
    """Kills a worker of dask when all blocks have done a round."""

    def __init__(self, scheduler, number):
        self.scheduler, self.number = scheduler, number

    def working(self, label, done, total):
        if label == "rounds" and done == self.number:
            self.scheduler.kill_worker(0)
            self.number = None


def test_workers_of_dask_find_the_same_bit_for_bit_also_when_one_is_killed(folder, tmp_path, undisturbed):
    with Scheduler(tmp_path) as scheduler:
        scheduler.add_workers(2)
        compute = {"scheduler": scheduler.address}
        path = run_file(tmp_path / "a.json", folder / "complex.zarr", **FEW, compute=compute)
        preimage.run(path)
        assert_bitwise_equal(path.with_suffix(".zarr"), undisturbed)
        path = run_file(tmp_path / "b.json", folder / "complex.zarr", **FEW, compute=compute)
        told = KillBetweenRounds(scheduler, 2)
        planned(path, told).execute()
        assert told.number is None
        assert_bitwise_equal(path.with_suffix(".zarr"), undisturbed)


DYING = """
import os, signal, sys
import preimage
from preimage.volumes.tasks import rounds

real, (path, where, when) = rounds.save_state, sys.argv[1:]

def save_and_die(state, path, notes):
    here = str(path).endswith(f"rounds/{where}.safetensors")
    if not here or when == "after":
        real(state, path, notes)
    if here:
        os.kill(os.getpid(), signal.SIGKILL)

rounds.save_state = save_and_die
preimage.run(path)
"""


def test_a_driver_killed_within_and_between_rounds_goes_on_and_ends_bitwise_equal(folder, tmp_path, undisturbed):
    cases = [("0/3", "after"), ("2/4", "before"), (f"3/{LAST}", "after")]
    started = {}
    for where, when in cases:
        path = run_file(tmp_path / f"{where.replace('/', '-')}-{when}.json", folder / "complex.zarr", **FEW)
        command = [sys.executable, "-c", DYING, str(path), where, when]
        started[path] = subprocess.Popen(command, env={**os.environ, **ENVIRONMENT}), where, when
    for path, (process, where, when) in started.items():
        assert process.wait(PATIENCE) == -signal.SIGKILL
        run = planned(path)
        number, block = map(int, where.split("/"))
        assert run.beside.rounds(0) == [max(number - 1, 0), number][: number + 1]  # the round before is kept
        done = [i for i in range(LAST + 1) if run.beside.round(0, number, i).exists()]
        assert done == list(range(block + (when == "after")))
        times = {i: run.beside.round(0, number, i).stat().st_mtime_ns for i in done}
        again = Watched(run, number)
        planned(path, again).execute()
        assert {i: again.times[i] for i in done} == times  # what was done is not done again
        assert_bitwise_equal(run.output.path, undisturbed)


class Watched(Progress):
    """Notes when the files of a round were written."""

    def __init__(self, run, number):
        self.run, self.number = run, number
        self.times = {}

    def working(self, label, done, total):
        if label == "rounds" and done == self.number:
            blocks = range(self.run.plan.solve.n_blocks)
            self.times = {i: self.run.beside.round(0, done, i).stat().st_mtime_ns for i in blocks}


class CrashIn(Progress):
    """Ends a run when all blocks have done a round."""

    def __init__(self, number):
        self.number = number

    def working(self, label, done, total):
        if label == "rounds" and done == self.number:
            raise RuntimeError("crash")


@pytest.fixture
def crashed(folder, tmp_path):
    """A run that ended after its third round, with the round before still there."""
    path = run_file(tmp_path / "crashed.json", folder / "complex.zarr", **FEW)
    with pytest.raises(RuntimeError, match="crash"):
        planned(path, CrashIn(3)).execute()
    run = planned(path)
    assert run.beside.rounds(0) == [2, 3]
    return run


def test_the_seconds_of_all_rounds_count(crashed):
    def spent(number):
        with safetensors.safe_open(crashed.beside.round(0, number, 4), "pt") as file:
            return json.loads(file.metadata()["preimage"])["notes"]["seconds"]

    two, three = spent(2), spent(3)
    crashed.execute()
    assert 0 < two < three < crashed.beside.read(0, 4)["seconds"]


def flip(path):
    raw = bytearray(path.read_bytes())
    raw[-10] ^= 4
    path.write_bytes(raw)


@pytest.mark.parametrize("damage", [flip, lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_what_a_block_found_in_a_round_is_found_again_where_it_is_damaged(crashed, undisturbed, damage):
    for block in (1, 5):
        damage(crashed.beside.round(0, 3, block))
    crashed.execute()
    assert_bitwise_equal(crashed.output.path, undisturbed)


@pytest.mark.parametrize("damage", [flip, lambda path: path.unlink()])
def test_what_is_lost_of_the_round_before_is_named(crashed, damage):
    """A block that looks at blocks 1 and 2 cannot go on, nor can these."""
    crashed.beside.round(0, 3, 0).unlink()
    for block in (1, 2):
        crashed.beside.round(0, 3, block).unlink()
        damage(crashed.beside.round(0, 2, block))
    with pytest.raises(RunError, match=r"what block 1 found in round 2 is lost.* Run it again with --fresh"):
        crashed.execute()
    assert crashed.execute(fresh=True)["finished"]


def test_a_block_whose_result_is_lost_has_all_agree_again(folder, tmp_path, undisturbed):
    path = run_file(tmp_path / "a.json", folder / "complex.zarr", **FEW)
    preimage.run(path)
    chunk = next(p for p in (path.with_suffix(".zarr") / "estimate" / "c").rglob("*") if p.is_file())
    chunk.unlink()
    record = planned(path).execute()
    assert record["rounds"] == 4
    assert_bitwise_equal(path.with_suffix(".zarr"), undisturbed)


# --- what is refused --------------------------------------------------------------------------------------------------

WAVELETS = {"use": "sparsity", "transform": "wavelet", "dims": list(DIMS), "weight": 0.1}
HELP = "What would help: a prior over fewer dims"
AGREE = ", or a solver by which blocks agree along z, y, x, such as consensus"


def refused(path):
    with pytest.raises(RequestError) as found:
        planned(path)
    return str(found.value)


def test_a_prior_that_couples_blocks_is_never_quietly_cut_and_the_error_says_what_would_help(folder, tmp_path):
    of_variation = refused(run_file(tmp_path / "a.json", folder / "real.zarr", rounds=0))
    needs = "compute.blocks: 'z' cannot be cut: prior 1 ({}) needs it whole; what can be cut here: no dim. "
    assert of_variation == needs.format("total-variation") + HELP + AGREE.replace("z, y, x", "z")
    for rounds in (0, 9):
        of_wavelets = refused(run_file(tmp_path / "b.json", folder / "real.zarr", prior=(WAVELETS,), rounds=rounds))
        assert of_wavelets == needs.format("sparsity") + HELP
    both = refused(run_file(tmp_path / "c.json", folder / "real.zarr", prior=(VARIATION, WAVELETS), rounds=9))
    assert both == needs.format("sparsity").replace("prior 1", "prior 2") + HELP
    planned(run_file(tmp_path / "d.json", folder / "real.zarr", prior=({**WAVELETS, "dims": ["y", "x"]},), rounds=0))


def test_too_little_memory_says_what_would_help(tmp_path):
    source = tmp_path / "large.zarr"
    data = xr.Dataset({"measurement": (DIMS, np.zeros((8, 1024, 1024), np.float32))})
    write_dataset(data, source)
    little = {"compute": {"memory": "1 GiB", "blocks": {}}}
    says = refused(run_file(tmp_path / "a.json", source, rounds=0, **little))
    assert "prior 1 (total-variation) needs z whole" in says
    assert says.endswith(", or a prior over fewer dims" + AGREE.replace("z, y, x", "x, y, z"))
    cut = planned(run_file(tmp_path / "b.json", source, **little)).plan.solve
    assert cut.n_blocks > 1
    assert set(cut.overlap) == {dim for dim, n in cut.sizes.items() if cut.block[dim] < n}
    assert "such as consensus" not in refused(run_file(tmp_path / "c.json", source, prior=(WAVELETS,), **little))


def test_dims_along_which_blocks_need_not_agree_are_cut_first(tmp_path):
    source = tmp_path / "large.zarr"
    write_dataset(xr.Dataset({"measurement": (DIMS, np.zeros((64, 512, 512), np.float32))}), source)
    prior = ({**VARIATION, "dims": ["z", "y"]},)
    plan = planned(run_file(tmp_path / "a.json", source, prior=prior, compute={"memory": "1 GiB", "blocks": {}})).plan
    assert set(plan.solve.block) == {"x"}
    assert not plan.solve.overlap


def test_what_blocks_share_counts_in_their_memory(folder, tmp_path):
    resolved = planned(run_file(tmp_path / "a.json", folder / "real.zarr")).resolved
    sharing, apart = (Group.of_all(one) for one in (resolved, replace(resolved, overlap={})))
    a_slice = 9 * 8 * np.dtype(np.float32).itemsize
    for length, shared in ((4, 1), (12, 0)):
        more = Model().needs(sharing, {"z": length}) - Model().needs(apart, {"z": length})
        assert more == pytest.approx(shared * a_slice * _declared(sharing).per_image, rel=1e-6)
