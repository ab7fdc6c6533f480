"""Halos: blocks that read more than their own give exactly what the whole gives, and the numbers of the run too."""

import numpy as np
import pytest
import torch
import xarray as xr
from support.counting import count_traffic
from support.toy_chain import LoaderSettings, StoredLoader, ToyPart, make_gaussian

from preimage.chain import Chain
from preimage.data import Preparation, header, tensor, variable
from preimage.declarations import Memory, Scalar, halo, split
from preimage.errors import RequestError
from preimage.likelihoods import Gaussian
from preimage.operators import LinearOperator, Norm
from preimage.run_settings import SimulateSettings
from preimage.solving import Needs, Solver, State, Stop, lipschitz
from preimage.space import Space
from preimage.volumes.driver import Run
from preimage.volumes.planning.planner import make_plan
from preimage.volumes.stores import open_dataset, write_dataset
from preimage.volumes.tasks import numbers
from preimage.volumes.tasks.numbers import largest_backprojection

SHAPE = (13, 5)
BLOCKS = [{"x": 4}, {"x": 1}, {"n": 2}, {"x": 5, "n": 3}]


def neighbours(values, reach, axis, weights):
    """Σ weights[k] · values at k steps along an axis, |k| ≤ reach, 0 beyond the ends; in the same order everywhere."""
    padding = [0, 0] * (values.ndim - 1 - axis) + [reach, reach]
    wide = torch.nn.functional.pad(values, padding)
    return sum(w * wide.narrow(axis, k, values.shape[axis]) for k, w in enumerate(weights))


class Smoothing(Preparation):
    """A mean of five pixels along x, weighted, and of three along n."""

    def describe(self, dataset):
        found = dataset["measurement"]
        return dataset.assign(measurement=header(found.dims, found.shape, found.dtype))

    def apply(self, dataset, fitted):
        values = tensor(dataset, "measurement", ("x", "n"))
        values = neighbours(neighbours(values, 2, 0, (0.1, 0.2, 0.4, 0.2, 0.1)), 1, 1, (0.3, 0.4, 0.3))
        return dataset.assign(measurement=variable(values, ("x", "n")))


class Centring(Preparation):
    """Takes off a number that is fitted once: the mean of two columns, after what comes before it."""

    def describe(self, dataset):
        return Smoothing.describe(self, dataset)

    def reads(self, dataset):
        return {"n": slice(1, 3)}

    def fit(self, dataset):
        return xr.Dataset({"level": variable(tensor(dataset, "measurement").mean(), ())})

    def apply(self, dataset, fitted):
        return dataset.assign(measurement=dataset["measurement"] - fitted["level"].item())


class Elementwise(LinearOperator):
    """2x."""

    def __init__(self, space):
        super().__init__(space, space)

    def _apply(self, x):
        return 2 * x

    _apply_adjoint = _apply

    def _bound(self):
        return Norm(2.0, "exact")


class Slope(LinearOperator):
    """Differences along x to the pixel after, as if there were zeros beyond the last."""

    def __init__(self, space):
        super().__init__(space, space)

    def _apply(self, x):
        return neighbours(x, 1, 0, (0, -1, 1))

    def _apply_adjoint(self, y):
        return neighbours(y, 1, 0, (1, -1, 0))


class Descent(Solver):
    """Gradient descent, which does the same to every element."""

    needs = Needs(operator=(LinearOperator,))
    stop = Stop(7)

    def step(self, problem, state):
        x = state.x - problem.data_gradient(state.x) / lipschitz(problem)
        return State(x=x, iteration=state.iteration + 1)


class Backprojection(Descent):
    """Aᴴy, at once."""

    one_pass = True
    stop = Stop(1)

    def step(self, problem, state):
        return State(x=problem.operator.adjoint(problem.y), iteration=1)


def space_of(dataset):
    return Space(("x", "n"), tuple(dataset["measurement"].sizes[dim] for dim in ("x", "n")), torch.float32)


@pytest.fixture
def make_run(tmp_path):
    random = np.random.default_rng(0)
    values = 5 + random.standard_normal(SHAPE).astype(np.float32)
    write_dataset(xr.Dataset({"measurement": (("x", "n"), values)}), tmp_path / "in.zarr", chunks={"x": 1, "n": 5})

    def part(kind, name, make, axes, **more):
        hooks = {"preimage_axes": lambda **_: axes, "preimage_memory": lambda **_: Memory(per_input=100.0)}
        return ToyPart(kind, name, make, hooks={**hooks, **more.pop("hooks", {})}, **more)

    def smoothing(reach):
        axes = {"x": halo(reach), "n": halo(1)}
        touches = {"measurement": ("x", "n")}
        return part("preparation", "smoothing", lambda dataset: Smoothing(), axes, requires=touches, provides=touches)

    def centring():
        touches = {"measurement": ("x", "n")}
        axes = {"x": split, "n": split}
        return part("preparation", "centring", lambda dataset: Centring(), axes, requires=touches, provides=touches)

    def make(name, blocks=None, *, reach=2, solver=Descent, operator=Elementwise, along_x=split, **compute):
        path = tmp_path / "in.zarr"
        spaces = {"preimage_spaces": lambda dataset: (space_of(dataset), space_of(dataset))}
        small = {"preimage_memory": lambda **_: Memory()}
        norm = {"preimage_scalars": lambda **_: {"norm": Scalar(lambda p: p.operator.norm().safe, "max")}}
        hooks = {**small, **(norm if solver is Descent else {})}
        physics = part(
            "operator",
            operator.__name__,
            lambda dataset, shared: operator(space_of(dataset)),
            {"x": along_x, "n": split},
            declared=operator,
            hooks=spaces,
        )
        chain = Chain(
            loader=ToyPart("loader", "stored", lambda: StoredLoader(path), LoaderSettings(path=path)),
            preparations=(smoothing(reach), centring()) if solver is Descent else (),
            operator=physics,
            likelihood=ToyPart("likelihood", "gaussian", make_gaussian, declared=Gaussian),
            priors=(),
            on=(),
            solver=ToyPart("solver", "descent", solver, declared=solver, hooks=hooks),
            simulate=SimulateSettings(),
            seed=0,
            propose=lambda section: None,
        )
        compute = {"device": "cpu", "memory": "4 GiB", "blocks": blocks or {}, **compute}
        recipe = {"compute": compute, "output": {"path": str(tmp_path / f"{name}.zarr")}}
        return Run(chain, "nowhere:build", recipe)

    return make


def result(run):
    """The estimate, the numbers of the run, and what was fitted."""
    record = run.execute()
    stored = open_dataset(run.output.path)
    fitted = run.output.path / "calibration" / "1"
    level = open_dataset(fitted)["level"].item() if fitted.exists() else None
    return stored["estimate"].values, record.get("scalars"), level


@pytest.mark.parametrize("blocks", BLOCKS)
def test_a_preparation_with_a_halo_before_an_iterating_solver(make_run, blocks):
    whole, cut = make_run("whole"), make_run("cut", blocks)
    assert cut.plan.solve.halo == {dim: {"x": 2, "n": 1}[dim] for dim in blocks}
    assert cut.plan.solve.solve_halo == {}
    expected, found = result(whole), result(cut)
    assert np.array_equal(found[0], expected[0])
    assert found[1:] == expected[1:]
    assert expected[1]["scale"] > 0


@pytest.mark.parametrize("blocks", BLOCKS)
def test_an_operator_with_a_halo_under_a_solver_of_one_pass(make_run, blocks):
    one_pass = {"solver": Backprojection, "operator": Slope, "along_x": halo(1)}
    whole, cut = make_run("whole", **one_pass), make_run("cut", blocks, **one_pass)
    assert cut.plan.solve.solve_halo == cut.plan.solve.halo == ({"x": 1} if "x" in blocks else {})
    expected, found = result(whole), result(cut)
    assert np.array_equal(found[0], expected[0])
    assert found[1:] == expected[1:]


def test_under_an_iterating_solver_that_operator_is_not_cut(make_run):
    with pytest.raises(
        RequestError, match="'x' cannot be cut: operator Slope needs it whole; what can be cut here: n$"
    ):
        make_run("cut", {"x": 4}, operator=Slope, along_x=halo(1))


def test_a_halo_that_is_one_too_small_gives_something_else(make_run):
    expected = result(make_run("whole"))[0]
    assert np.abs(result(make_run("short", {"x": 4}, reach=1))[0] - expected).max() > 1e-2
    one_pass = {"solver": Backprojection, "operator": Slope}
    expected = result(make_run("one", **one_pass, along_x=halo(1)))[0]
    assert np.abs(result(make_run("none", {"x": 4}, **one_pass, along_x=split))[0] - expected).max() > 1e-2


def test_numbers_of_a_block_leave_out_what_lacks_data_from_beyond_its_halo(make_run, monkeypatch):
    """Data about 5 leave a slope about 0, but for the ends of what was read, where it is about 5."""
    one_pass = {"solver": Backprojection, "operator": Slope, "along_x": halo(1)}
    expected = result(make_run("whole", **one_pass))[1]["scale"]
    monkeypatch.setattr(numbers, "largest_backprojection", lambda problem, inner: largest_backprojection(problem))
    assert result(make_run("careless", {"x": 4}, **one_pass))[1]["scale"] != expected


def test_what_is_read_beyond_a_block_counts_in_its_memory(make_run):
    memory = [make_run(f"{n}", {"x": n}).plan.solve.memory for n in (2, 3, 13)]
    row = memory[1] - memory[0]
    assert memory[0] == pytest.approx((2 + 2 * 2) * row)
    assert memory[2] == pytest.approx(13 * row)  # there is nothing beyond the whole


@pytest.mark.parametrize("blocks", BLOCKS)
def test_what_is_read_beyond_a_block_counts_in_the_bytes_that_a_plan_reads(make_run, monkeypatch, blocks):
    run = make_run("cut", blocks)
    read, written = count_traffic(monkeypatch)
    run.execute()
    assert (read[0], written[0]) == (run.plan.solve.bytes_read, run.plan.solve.bytes_written)


def test_dims_without_a_halo_are_cut_first(make_run):
    run = make_run("one", solver=Backprojection, operator=Slope, along_x=halo(1))
    little = run.compute.model_copy(update={"memory": int((run.plan.process + run.plan.solve.memory * 0.7) / 0.75)})
    assert set(make_plan(run.resolved, little).solve.block) == {"n"}
