"""The driver: plans a run, creates its store, runs its stages, and finishes it. Run again, it goes on."""

from __future__ import annotations

import errno
import resource
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from preimage.chain import Chain
from preimage.data import Region, located
from preimage.errors import RequestError, RunError
from preimage.record import differences, digest, input_identities, library_versions
from preimage.run_settings import ComputeSettings, OutputSettings
from preimage.volumes import stores
from preimage.volumes.axes import split_dims
from preimage.volumes.block import QUANTITIES, Facts, Worker, apply, open_worker
from preimage.volumes.devices import choose_device
from preimage.volumes.engines.serial import Serial
from preimage.volumes.markers import Beside
from preimage.volumes.plan import ArrayPlan, Bounds, Plan, slices
from preimage.volumes.planner import check_write_units, make_plan
from preimage.volumes.resolve import Resolved, resolve
from preimage.volumes.scalars import run_scalars
from preimage.volumes.scoring import misfit_totals, score


class Progress:
    """Whoever watches a run: the terminal, or an extension. This one watches nothing."""

    def started(self, record: Mapping[str, Any]) -> None:
        """The plan is made and the store is there."""

    def working(self, label: str, done: int, total: int) -> None:
        """So many of so many blocks of this are done."""

    def finished_block(self, record: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """A block's marker is written."""

    def finished(self, record: Mapping[str, Any]) -> None:
        """All is stored."""


@dataclass
class Run:
    """A run from its recipe.

    Attributes
    ----------
    chain : its parts.
    builder : dotted name of the function that makes the chain of the recipe in a worker.
    recipe : the resolved run file as plain data.
    """

    chain: Chain
    builder: str
    recipe: Mapping[str, Any]
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        """Resolve and plan, from headers alone."""
        self.compute = ComputeSettings.model_validate(self.recipe["compute"])
        self.output = OutputSettings.model_validate(self.recipe["output"])
        self.device = choose_device(self.compute.device)
        self.resolved: Resolved = resolve(self.chain, rewrite=self.compute.rewrite)
        self.plan: Plan = make_plan(self.resolved, self.compute)
        for stage in self.plan.stages:
            check_write_units(stage)
        self.beside = Beside(self.output.path)

    def execute(self, *, fresh: bool = False) -> Mapping[str, Any]:
        """Run, or go on where the same run was left, and return the record.

        Parameters
        ----------
        fresh : forget what is stored under the output's path.

        Raises
        ------
        RequestError : the output exists with other settings, other data or another plan.
        RunError : a block could not be computed or stored; finished blocks are kept.
        """
        record = self._open(fresh)
        if record.get("finished"):
            return record
        started = time.perf_counter()
        threads = torch.get_num_threads()
        torch.set_num_threads(self.compute.threads)
        try:
            with _interruptible() as interrupted, _disk_errors(self.output.path):
                self.progress.started(record)
                record = self._compute(record, open_worker(self.output.path, interrupted, self.resolved))
                record = self._finish(record, time.perf_counter() - started)
        finally:
            torch.set_num_threads(threads)
        self.progress.finished(record)
        return record

    def _open(self, fresh: bool) -> dict[str, Any]:
        """The record of a new store, or of the one that is there if it is of this run."""
        record = self._new_record()
        path = self.output.path
        if path.exists() and not fresh:
            found = stores.read_attributes(path)
            if found.get("key") == record["key"]:
                return found
            changed = differences(found.get("identity"), record["identity"])[:8]
            raise RequestError(
                f"output.path: {path} holds a run with other settings:\n  "
                + "\n  ".join(changed or ["its plan"])
                + "\nchoose another output.path, or run with --fresh to replace it"
            )
        try:
            self.beside.clear()
            path.parent.mkdir(parents=True, exist_ok=True)
            self._create_store(record)
        except OSError as error:
            raise RequestError(f"output.path: {path} cannot be created: {error.strerror or error}") from error
        return record

    def _new_record(self) -> dict[str, Any]:
        chain = self.chain
        prepared = [element.part for element in self.resolved.elements]
        recipe = {**self.recipe}
        deciding = {**recipe, "output": None, "compute": {**recipe["compute"], "checkpoint": None}}
        identity = {
            "recipe": deciding,
            "inputs": input_identities((chain.loader, *chain.preparations, chain.operator, *chain.priors)),
            "plan": self.plan.to_json(),
        }
        return {
            "key": digest(identity),
            "identity": stores.plain(identity),
            "builder": self.builder,
            "recipe": stores.plain(recipe),
            "parts": [
                {"kind": part.kind, "name": part.name, **part.origin}
                for part in (chain.loader, *prepared, chain.operator, chain.likelihood, *chain.priors, chain.solver)
            ],
            "plan": stores.plain(self.plan.to_json()),
            "versions": library_versions(),
            "device": str(self.device),
            "threads": self.compute.threads,
            "seed": chain.seed,
        }

    def _create_store(self, record: Mapping[str, Any]) -> None:
        """Create every array before any task runs."""
        geometry = {k: v for k, v in stores.plain(dict(self.resolved.dataset.attrs)).items() if k != stores.ATTRIBUTE}
        group = stores.create_group(self.output.path, geometry)
        solve = self.plan.solve
        for name, array in solve.outputs.items():
            stores.create_array(group, name, array, compressed=True)
        self._create_coordinates(group)
        rows = self._history_rows()
        shape = (solve.n_blocks, len(rows), len(QUANTITIES))
        dims = ("block", "iteration", "quantity")
        layout = ArrayPlan(dims, shape, "float64", (1, *shape[1:]))
        stores.create_array(
            group,
            "history",
            layout,
            compressed=True,
            quantities=list(QUANTITIES),
            iterations=rows,
            of_scaled_data=self.plan.normalise,
        )
        group.create_group("calibration")
        self.beside.create(len(self.plan.stages))
        for index, stage in enumerate(self.plan.stages[:-1]):
            scratch = stores.create_group(self.beside.scratch(index))
            for name, array in stage.outputs.items():
                stores.create_array(scratch, name, array, compressed=False)
        stores.write_attributes(self.output.path, record)

    def _create_coordinates(self, group: Any) -> None:
        """Coordinates of the unknown's dims, with their units, as the dataset has them."""
        for dim in self.plan.solve.outputs[next(iter(self.plan.solve.outputs))].dims:
            if dim in self.resolved.dataset.coords:
                found = self.resolved.dataset.coords[dim].variable
                array = ArrayPlan((dim,), tuple(found.shape), str(found.dtype), tuple(found.shape))
                stores.create_array(group, dim, array, compressed=True, **stores.plain(dict(found.attrs)))
                stores.open_for_writing(self.output.path, dim)[...] = found.values

    def _history_rows(self) -> list[int]:
        """Iterations at which the history has a row; the last row is that of the last iteration."""
        last, every = self.chain.make_solver().stop.max_iter, self.output.history
        return [*range(every, last, every), last]

    def _compute(self, record: dict[str, Any], worker: Worker) -> dict[str, Any]:
        for index, stage in enumerate(self.plan.stages):
            todo = [block for block in range(stage.n_blocks) if self.beside.read(index, block) is None]
            if todo:
                self._fit(worker, index)
                if stage.solves and self.plan.scalars and "scalars" not in record:
                    record = {**record, "scalars": self._reduce_scalars(worker, index)}
                    stores.write_attributes(self.output.path, record)
                worker.scalars = record.get("scalars", {})
                self._run_stage(record, Serial(worker), index, todo)
        return record

    def _run_stage(self, record: Mapping[str, Any], engine: Serial, index: int, todo: list[int]) -> None:
        stage = self.plan.stages[index]
        label = " → ".join(stage.labels)
        done = stage.n_blocks - len(todo)
        self.progress.working(label, done, stage.n_blocks)
        for facts in engine.run(index, todo):
            done += 1
            self.progress.finished_block(record, facts)
            self.progress.working(label, done, stage.n_blocks)

    def _fit(self, worker: Worker, index: int) -> None:
        """Fit the preparations of a stage, each once a run."""
        stage = self.plan.stages[index]
        for i in range(stage.first, stage.last):
            path = self.output.path / "calibration" / str(i)
            if not path.exists():
                fitted = self.resolved.elements[i].preparation.fit(_read_for_fit(worker, index, i))
                if fitted.variables:
                    stores.write_dataset(fitted, path)

    def _reduce_scalars(self, worker: Worker, index: int) -> dict[str, float]:
        """The numbers of the whole run: one pass over all blocks."""
        wanted = run_scalars(self.chain, self.plan.normalise)
        numbers: dict[str, float] = {}
        stage = self.plan.stages[index]
        for block, region in enumerate(stage.regions()):
            self.progress.working("numbers of the run", block, stage.n_blocks)
            dataset = worker.prepared(index, region)
            problem = self.chain.make_problem(dataset, worker.shared, with_priors=False)
            with torch.no_grad():
                for name, scalar in wanted.items():
                    number = scalar.partial(problem)
                    numbers[name] = scalar.combine(numbers[name], number) if name in numbers else number
        if numbers.get("scale") == 0.0:
            raise RunError("Aᴴy is zero everywhere: the measurement is empty, or the mask has no sample of it")
        return numbers

    def _finish(self, record: dict[str, Any], seconds: float) -> dict[str, Any]:
        index = len(self.plan.stages) - 1
        summary: dict[str, Any] = {}
        dataset = self.resolved.source
        if "truth" in dataset.variables and list(self.plan.solve.outputs) == ["estimate"]:
            truth = dataset["truth"]
            if set(truth.dims) == set(self.plan.solve.outputs["estimate"].dims):
                self.progress.working("metrics", 0, 1)
                ambiguity = frozenset(next(self._facts(index))["ambiguity"])
                summary |= score(self.output.path, truth, self.plan.solve, ambiguity)
        summary |= misfit_totals(self._facts(index))
        summary["iterations"] = max(facts["iterations"] for facts in self._facts(index))
        summary["seconds"] = round(record.get("seconds", 0.0) + seconds, 3)
        summary["peak_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
        record = {**record, "summary": summary, "finished": True}
        stores.write_attributes(self.output.path, record)
        self.beside.clear_scratch()
        return record

    def _facts(self, stage: int) -> Iterator[Facts]:
        for block in range(self.plan.stages[stage].n_blocks):
            facts = self.beside.read(stage, block)
            assert facts is not None
            yield facts


def _read_for_fit(worker: Worker, stage: int, index: int) -> xr.Dataset:
    """The region that a preparation reads, after those before it in its stage.

    Along dims that all of these split, only the region is read; along others all of it.
    """
    plan = worker.plan.stages[stage]
    element = worker.resolved.elements[index]
    region = _bounds(element.preparation.reads(element.before), element.before)
    earlier = worker.resolved.elements[plan.first : index]
    free = set(region)
    for before in earlier:
        free &= {dim for dim in free if dim not in before.axes} | set(split_dims(before.axes))
    source = worker.stage_input(stage)
    read = {dim: bounds for dim, bounds in region.items() if dim in free and dim in source.dims}
    dataset = located(source, slices(read, source.dims), worker.device)
    for offset, before in enumerate(earlier):
        dataset = apply(before, dataset, worker.fitted(plan.first + offset), read)
    rest = {dim: slice(*bounds) for dim, bounds in region.items() if dim not in read and dim in dataset.dims}
    return dataset.isel(rest)


def _bounds(region: Region, dataset: xr.Dataset) -> dict[str, Bounds]:
    return {dim: part.indices(dataset.sizes[dim])[:2] for dim, part in region.items()}


@contextmanager
def _interruptible() -> Iterator[Any]:
    """Turn the first Ctrl-C into a question that loops ask, so that no step is cut in two; the second stops at once."""
    asked: list[int] = []

    def note(number: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main thread: Ctrl-C does not come here
        yield lambda: False
        return
    try:
        yield lambda: bool(asked)
        if asked:
            raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Say what a full or read-only disk means for the run."""
    reasons = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.EROFS: "it is on a read-only disk",
        errno.EACCES: "writing there is not allowed",
    }
    try:
        yield
    except OSError as error:
        if error.errno not in reasons:
            raise
        raise RunError(
            f"{error.filename or path} could not be written: {reasons[error.errno]}. "
            "Finished blocks are kept: make room and run the same command again"
        ) from error
