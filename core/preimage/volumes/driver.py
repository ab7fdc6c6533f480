"""The driver: plans a run, creates its store, runs its stages, and finishes it. Run again, it goes on."""

from __future__ import annotations

import resource
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from preimage.chain import Chain
from preimage.errors import RequestError, RunError
from preimage.nested import nested_parts
from preimage.record import differences, digest, input_identities, library_versions
from preimage.report import ensure_report, report_path
from preimage.run_settings import ComputeSettings, OutputSettings
from preimage.volumes import stores
from preimage.volumes.axes import split_dims
from preimage.volumes.block import QUANTITIES, Facts, Worker, open_worker
from preimage.volumes.devices import choose_device
from preimage.volumes.engines.serial import Serial
from preimage.volumes.fitting import read_for_fit
from preimage.volumes.guards import disk_errors, interruptible
from preimage.volumes.lease import Heartbeat
from preimage.volumes.markers import Beside
from preimage.volumes.plan import ArrayPlan, Plan
from preimage.volumes.planner import check_write_units, make_plan
from preimage.volumes.progress import Progress, Several
from preimage.volumes.resolve import Resolved, resolve
from preimage.volumes.scalars import run_scalars
from preimage.volumes.scoring import misfit_totals, score


@dataclass
class Run:
    """A run from its recipe.

    Attributes
    ----------
    chain : its parts.
    builder : dotted name of the function that makes the chain of the recipe in a worker.
    recipe : the resolved run file as plain data.
    progress : who watches.
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
        self.heartbeat = Heartbeat(self.beside.lease)
        self.progress = Several((self.progress, self.heartbeat))

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
            ensure_report(self.output.path, self.resolved.source)
            return record
        threads = torch.get_num_threads()
        torch.set_num_threads(self.compute.threads)
        try:
            with self.heartbeat, interruptible() as interrupted, disk_errors(self.output.path):
                self.progress.started(record)
                record = self._compute(record, open_worker(self.output.path, interrupted, self.resolved))
                record = self._finish(record)
                self.progress.working("report", 0, 1)
                ensure_report(self.output.path, self.resolved.source)
        finally:
            torch.set_num_threads(threads)
        self.progress.finished(record)
        return record

    def _open(self, fresh: bool) -> dict[str, Any]:
        """The record of a new store, or of the one that is there if it is of this run."""
        record = self._new_record()
        path = self.output.path
        found = self._found()
        if found and not fresh and "plan" in found:
            if found["key"] == record["key"] and (found.get("finished") or self.beside.complete(len(self.plan.stages))):
                return found
            if found["key"] != record["key"]:
                changed = differences(found.get("identity"), record["identity"])
                changed = sorted(changed, key=lambda line: line.startswith("plan."))[:8]  # the plan only follows
                raise RequestError(
                    f"output.path: {path} holds a run with other settings:\n  "
                    + "\n  ".join(changed)
                    + "\nchoose another output.path, or run with --fresh to replace it"
                )
        try:
            self.beside.clear()
            report_path(path).unlink(missing_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._create_store(record)
        except OSError as error:
            raise RequestError(f"output.path: {path} cannot be created: {error.strerror or error}") from error
        return record

    def _found(self) -> dict[str, Any] | None:
        """The record of the run that is stored under the output's path; what is no run is never replaced."""
        path = self.output.path
        if not path.exists():
            return None
        found = stores.read_attributes(path)
        if "key" not in found:
            raise RequestError(f"output.path: {path} is a dataset and not the store of a run: choose another path")
        return found

    def _new_record(self) -> dict[str, Any]:
        chain = self.chain
        prepared = [element.part for element in self.resolved.elements]
        parts = (chain.loader, *prepared, chain.operator, chain.likelihood, *chain.priors, chain.solver)
        recipe = {**self.recipe}
        deciding = {**recipe, "output": None, "compute": {**recipe["compute"], "checkpoint": None}}
        identity = {
            "recipe": deciding,
            "inputs": input_identities(parts),
            "plan": self.plan.to_json(),
            "device": str(self.device),
        }
        return {
            "key": digest(identity),
            "identity": stores.plain(identity),
            "builder": self.builder,
            "recipe": stores.plain(recipe),
            "parts": [{"kind": part.kind, "name": part.name, **part.origin} for part in nested_parts(parts)],
            "plan": stores.plain(self.plan.to_json()),
            "versions": library_versions(),
            "device": str(self.device),
            "threads": self.compute.threads,
            "seed": chain.seed,
        }

    def _create_store(self, record: Mapping[str, Any]) -> None:
        """Create every array before any task runs."""
        geometry = {k: v for k, v in stores.plain(dict(self.resolved.dataset.attrs)).items() if k != stores.ATTRIBUTE}
        key = {stores.ATTRIBUTE: {"schema": stores.SCHEMA, "key": record["key"]}}  # without a plan: not complete yet
        group = stores.create_group(self.output.path, {**geometry, **key})
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
        """Coordinates of the unknowns' dims, with their units, as the dataset has them."""
        for dim in dict.fromkeys(dim for array in self.plan.solve.outputs.values() for dim in array.dims):
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
                worker.stop_if_asked()
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
                fitted = self.resolved.elements[i].preparation.fit(read_for_fit(worker, index, i))
                if fitted.variables:
                    writing = path.with_name(f"{i}.writing")  # renamed when it is whole
                    stores.write_dataset(fitted, writing, overwrite=True)
                    writing.rename(path)

    def _reduce_scalars(self, worker: Worker, index: int) -> dict[str, float]:
        """The numbers of the whole run: one pass over all blocks."""
        wanted = run_scalars(self.chain, self.plan.normalise)
        numbers: dict[str, float] = {}
        stage = self.plan.stages[index]
        for block, region in enumerate(stage.regions()):
            worker.stop_if_asked()
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

    def _finish(self, record: dict[str, Any]) -> dict[str, Any]:
        index = len(self.plan.stages) - 1
        summary: dict[str, Any] = {}
        ambiguity, independent = frozenset(next(self._facts(index))["ambiguity"]), split_dims(self.resolved.axes)
        for name, array in self.plan.solve.outputs.items():
            truth = self.resolved.source.get(name.replace("estimate", "truth", 1))
            if truth is not None and truth.sizes == dict(zip(array.dims, array.shape, strict=True)):
                self.progress.working("metrics", 0, 1)
                found = score(self.output.path, name, truth, self.plan.solve, ambiguity, independent)
                suffix = name.removeprefix("estimate")  # psnr of estimate, psnr_image of estimate_image
                summary |= {metric + suffix: value for metric, value in found.items()}
        summary |= misfit_totals(self._facts(index))
        summary["iterations"] = max(facts["iterations"] for facts in self._facts(index))
        stages = range(len(self.plan.stages))  # in all blocks of all attempts: one that was killed says no more
        summary["seconds"] = round(sum(facts["seconds"] for stage in stages for facts in self._facts(stage)), 3)
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
