"""The driver: plans a run, creates its store, has its tasks done, and finishes it. Run again, it goes on."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from preimage.chain import Chain
from preimage.errors import RequestError, RunError
from preimage.files import remove_folder
from preimage.record import (
    deciding,
    described_parts,
    differences,
    differing_versions,
    digest,
    input_identities,
    library_versions,
)
from preimage.report import ensure_report, report_path
from preimage.run_settings import ComputeSettings, OutputSettings
from preimage.volumes import stores
from preimage.volumes.creating import create_scratch, create_store, sweep
from preimage.volumes.devices import choose_device, worker_memory
from preimage.volumes.engines import Engine, choose_engine
from preimage.volumes.lease import Heartbeat
from preimage.volumes.markers import Beside
from preimage.volumes.memory import release_heap
from preimage.volumes.planning.axes import split_dims
from preimage.volumes.planning.layouts import check_write_units
from preimage.volumes.planning.memory_model import Model, settled_process
from preimage.volumes.planning.plan import Plan
from preimage.volumes.planning.planner import NothingFits, make_plan
from preimage.volumes.planning.probing import Probe, measured_model, probe, probe_process, worth_probing
from preimage.volumes.progress import Progress, Several
from preimage.volumes.resolve import Resolved, resolve
from preimage.volumes.scoring import misfit_totals, score
from preimage.volumes.tasks.guards import disk_errors, interruptible
from preimage.volumes.tasks.numbers import merged, run_numbers
from preimage.volumes.tasks.task import Facts, Task
from preimage.volumes.verifying import lost


@dataclass
class Run:
    """A run from its recipe.

    Attributes
    ----------
    chain : its parts.
    builder : dotted name of the function that makes the chain of the recipe in a worker.
    recipe : the resolved run file as plain data.
    progress : who watches.
    planned : the plan to follow, such as that of an earlier run of this recipe; else one is made.
    probed : what blocks of stages of the plan took, as it was before; None if nobody has measured.
    """

    chain: Chain
    builder: str
    recipe: Mapping[str, Any]
    progress: Progress = field(default_factory=Progress)
    planned: Plan | None = None

    def __post_init__(self) -> None:
        """Resolve and plan, from headers alone."""
        self.compute = ComputeSettings.model_validate(self.recipe["compute"])
        self.output = OutputSettings.model_validate(self.recipe["output"])
        if not self.compute.on_a_cluster:
            choose_device(self.compute.device)  # that it is not there is better said now
        self.resolved: Resolved = resolve(self.chain, rewrite=self.compute.rewrite)
        self.plan: Plan = self.planned or self._declared_plan()
        self.probed: Mapping[int, Probe] | None = None
        for stage in self.plan.stages:
            check_write_units(stage)
        self.beside = Beside(self.output.path)
        self.heartbeat = Heartbeat(self.beside.lease)
        self.progress = Several((self.progress, self.heartbeat))

    def execute(self, *, fresh: bool = False, verify: bool = False) -> Mapping[str, Any]:
        """Run, or go on where the same run was left, and return the record.

        Blocks that are done are kept where what they stored is still there in its size.

        Parameters
        ----------
        fresh : forget what is stored under the output's path.
        verify : read what finished blocks stored, and compare its digest with that in the marker.

        Raises
        ------
        RequestError : the output exists with other settings, other data or an unfinished run of other versions, or
            another process writes it.
        DataError : a dataset that the run reads lacks a chunk, or cannot be read.
        RunError : a block could not be computed or stored; finished blocks are kept.
        """
        try:
            record = self._executed(fresh, verify)
        finally:
            release_heap()
        return record

    def _executed(self, fresh: bool, verify: bool) -> Mapping[str, Any]:
        with interruptible() as interrupted, choose_engine(self.compute, interrupted, self.progress) as engine:
            record = self._new_record(engine.device(self.compute.device))
            found = self._stored(record, fresh)
            if found and found.get("finished") and not any(lost(self.output.path, found, verify)):
                if verify and not self.beside.folder.exists():
                    self.progress.noted(f"{self.beside.folder} is gone: there is nothing to compare the result with")
                if changed := [line for lines in differing_versions(found, record) for line in lines]:
                    self.progress.noted(f"{self.output.path} was made with other versions: {'; '.join(changed)}")
                ensure_report(self.output.path, self.resolved.source)
                return found
            self._make_folder()
            with self.heartbeat, disk_errors(self.output.path):
                record = self._open(record, fresh=fresh, verify=verify)
                self.beside = Beside(self.output.path, record["run"])
                engine.open(self.output.path, record["run"], self.builder, self.resolved)
                self.progress.started(record)
                record = self._compute(record, engine)
                record = self._finish(record)
                self.progress.working("report", 0, 1)
                ensure_report(self.output.path, self.resolved.source)
        self.progress.finished(record)
        return record

    @property
    def to_probe(self) -> tuple[int, ...]:
        """The stages of which the plan relies on what methods declare where it matters, and nobody has measured yet."""
        unseen = self.compute.probe and self.planned is None and self.probed is None
        return worth_probing(self.plan, self.compute) if unseen else ()

    def probe(self, stages: Iterable[int] | None = None) -> Mapping[int, Probe] | None:
        """Do a block of these stages, or of all, in other processes, and plan anew by what that takes."""
        stages = range(len(self.plan.stages)) if stages is None else stages
        try:
            self.probed = probe(self.builder, self.recipe, self.plan, stages)
        except RunError as error:  # such as on a machine without the workers' GPU
            self.progress.noted(f"the plan relies on what methods declare: {error}")
            return None
        if self.planned is None:
            self.plan = make_plan(self.resolved, self.compute, measured_model(self.plan, self.compute, self.probed))
        return self.probed

    def _declared_plan(self) -> Plan:
        """The plan by what is declared; of a worker's process what is assumed is measured before a run is refused."""
        device = worker_memory(self.compute)
        try:
            return make_plan(self.resolved, self.compute, Model(device=device))
        except NothingFits as error:
            refused = error
        if self.compute.probe:
            with contextlib.suppress(RunError):
                process = probe_process(self.builder, self.recipe, self.compute.threads)
                return make_plan(self.resolved, self.compute, Model(settled_process(process), device=device))
        raise refused

    def _new_record(self, device: str) -> dict[str, Any]:
        parts = self.resolved.parts
        inputs = input_identities(parts)
        for found in inputs.values():
            stores.check_complete(Path(found["path"]))  # else a store that is mended later is another
        identity = stores.plain({"recipe": deciding(self.recipe), "inputs": inputs, "device": device})
        return {
            "key": digest(identity),
            "identity": identity,
            "run": uuid.uuid4().hex,
            "builder": self.builder,
            "recipe": stores.plain(dict(self.recipe)),
            "parts": described_parts(parts),
            "plan": stores.plain(self.plan.to_json()),
            "versions": library_versions(),
            "device": device,
            "threads": self.compute.threads,
            "seed": self.chain.seed,
        }

    def _stored(self, record: Mapping[str, Any], fresh: bool) -> dict[str, Any] | None:
        """The record of this very run as it is stored; None if there is none, or it is to be forgotten.

        What is no run is never replaced, and another run only if that is asked for.
        """
        path = self.output.path
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):  # as a full disk may have left it
            return None
        found = stores.read_attributes(path)
        if "key" not in found:
            raise RequestError(f"output.path: {path} is a dataset and not the store of a run: choose another path")
        if fresh or "plan" not in found:
            return None
        if found["key"] != record["key"]:
            changed = differences(found.get("identity"), record["identity"])[:8]
            raise RequestError(
                f"output.path: {path} holds a run with other settings:\n  "
                + "\n  ".join(changed)
                + "\nchoose another output.path, or run with --fresh to replace it"
            )
        return found

    def _make_folder(self) -> None:
        try:
            self.beside.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._cannot_create(error) from error

    def _cannot_create(self, error: OSError) -> RequestError:
        return RequestError(f"output.path: {self.output.path} cannot be created: {error.strerror or error}")

    def _open(self, record: dict[str, Any], *, fresh: bool, verify: bool) -> dict[str, Any]:
        """The record of the run that is there, or that of a new store."""
        found = self._stored(record, fresh)
        if found:
            self._check_versions(found, record)
            self.plan = Plan.of(found)  # made once: what is done was done by it
            return self._reopened(found, verify)
        if self.to_probe:  # before anything goes: it may come to that nothing fits
            self.progress.working("probe", 0, 1)
            self.probe(self.to_probe)
            record["plan"] = stores.plain(self.plan.to_json())
        try:
            self.beside.clear()
            report_path(self.output.path).unlink(missing_ok=True)
            create_store(self.output, self.plan, self.resolved, record)
        except OSError as error:
            raise self._cannot_create(error) from error
        return record

    def _check_versions(self, found: Mapping[str, Any], record: Mapping[str, Any]) -> None:
        """Refuse to go on where blocks would be of two versions of what computes; other libraries are told of."""
        computing, rest = differing_versions(found, record)
        if computing:
            raise RequestError(
                f"output.path: {self.output.path} was begun with other versions:\n  "
                + "\n  ".join(computing)
                + "\ninstall those again, choose another output.path, or run with --fresh to replace it"
            )
        if rest:
            self.progress.noted(f"the run goes on with other versions than it was begun with: {'; '.join(rest)}")

    def _reopened(self, record: dict[str, Any], verify: bool) -> dict[str, Any]:
        """A run that goes on. Blocks whose results are lost are done again, each with what it needs.

        Every step follows from what is stored, so that a process that is killed here is followed by one that goes on.
        """
        sweep(self.output.path)
        last, finished = len(self.plan.stages) - 1, record.get("finished")
        gone = list(lost(self.output.path, record, verify))
        if finished:
            self._clear_work()  # which a kill at its end may have left half done
            record = {name: value for name, value in record.items() if name not in ("finished", "summary", "rounds")}
            stores.write_attributes(self.output.path, record)  # before any marker goes: it must not look finished
        self.beside.create(last + 1)
        for stage, index, why in gone:
            self.beside.unmark(stage, [index])
            what = f"the fit of preparation {index}" if stage == "fits" else f"block {index} of stage {stage + 1}"
            self.progress.noted(f"{what} is done again: {why}")
        for index in set(range(self.plan.solve.last)) - set(self.beside.done("fits")):
            remove_folder(stores.calibration(self.output.path, index))  # it would be kept by whoever fits it again
        if self.plan.solve.overlap and "rounds" not in record:  # of blocks that agree none is done again alone
            self.beside.unmark(last, self.beside.done(last))
        for stage in range(last):
            if not self.beside.scratch(stage).exists():
                if (done := self.beside.done(stage)) and not finished:
                    self.progress.noted(f"stage {stage + 1} is done again: what its {len(done)} blocks stored is gone")
                self.beside.unmark(stage, done)
                create_scratch(self.output.path, self.plan, stage)
        return record

    def _clear_work(self) -> None:
        """Remove what only a run in work needs."""
        self.beside.clear_scratch()
        self.beside.clear_rounds(len(self.plan.stages) - 1)

    def _compute(self, record: dict[str, Any], engine: Engine) -> dict[str, Any]:
        for index, stage in enumerate(self.plan.stages):
            done = self.beside.sound(index)
            todo = [block for block in range(stage.n_blocks) if block not in done]
            self._fit(engine, index)
            if todo:
                if stage.solves and self.plan.scalars and "scalars" not in record:
                    record = {**record, "scalars": self._reduce(engine, index)}
                    stores.write_attributes(self.output.path, record)
                if stage.overlap and "rounds" not in record:
                    record = {**record, "rounds": self._agree(engine, index)}
                    stores.write_attributes(self.output.path, record)
                self._run_stage(record, engine, index, todo)
        return record

    def _run_stage(self, record: Mapping[str, Any], engine: Engine, index: int, todo: list[int]) -> None:
        stage = self.plan.stages[index]
        label = " → ".join(stage.labels)
        done = stage.n_blocks - len(todo)
        self.progress.working(label, done, stage.n_blocks)
        for facts in engine.run(Task("block", index, block) for block in todo):
            done += 1
            for said in facts.get("said", ()):
                self.progress.noted(said)
            self.progress.finished_block(record, facts)
            self.progress.working(label, done, stage.n_blocks)

    def _agree(self, engine: Engine, index: int) -> int:
        """Let blocks that share pixels agree in rounds, and return the last. A round is kept until the next is done."""
        stop, stage = self.chain.make_solver().stop, self.plan.stages[index]
        begun = self.beside.rounds(index)
        for number in range(begun[-1] if begun else 0, stop.max_iter + 1):
            tasks = (Task("round", index, block, number) for block in range(stage.n_blocks))
            found = {facts["block"]: facts for facts in engine.run(tasks)}
            in_order = [found[block] for block in range(stage.n_blocks)]  # so that sums are always the same
            moved2, size2 = (sum(facts[name] for facts in in_order) for name in ("moved2", "size2"))
            self.progress.working("rounds", number, stop.max_iter)
            self.beside.clear_rounds(index, before=number)
            if number and moved2 < stop.tolerance**2 * size2:
                return number
        return stop.max_iter

    def _fit(self, engine: Engine, index: int) -> None:
        """Fit the preparations of a stage, each once a run and after those before it."""
        stage = self.plan.stages[index]
        done = self.beside.sound("fits")
        for i in range(stage.first, stage.last):
            if i not in done:
                for _ in engine.run([Task("fit", index, i)]):
                    pass

    def _reduce(self, engine: Engine, index: int) -> dict[str, float]:
        """The numbers of the whole run: one pass over all blocks."""
        label, n_blocks = "numbers of the run", self.plan.stages[index].n_blocks
        found: dict[int, Mapping[str, float]] = {}
        self.progress.working(label, 0, n_blocks)
        for facts in engine.run(Task("numbers", index, block) for block in range(n_blocks)):
            found[facts["block"]] = facts["numbers"]
            self.progress.working(label, len(found), n_blocks)
        return merged(run_numbers(self.chain, self.plan.normalise), [found[block] for block in range(n_blocks)])

    def _finish(self, record: dict[str, Any]) -> dict[str, Any]:
        index = len(self.plan.stages) - 1
        summary: dict[str, Any] = {}
        ambiguity = frozenset(next(self._facts(index))["ambiguity"])
        independent = [dim for dim in split_dims(self.resolved.axes) if dim not in self.resolved.overlap]
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
        largest = max(facts["peak"] for stage in stages for facts in self._facts(stage))
        summary["peak_mib"] = round(largest / 2**20, 1)
        record = {**record, "summary": summary, "independent": independent, "finished": True}
        stores.write_attributes(self.output.path, record)
        self._clear_work()
        return record

    def _facts(self, stage: int) -> Iterator[Facts]:
        for block in range(self.plan.stages[stage].n_blocks):
            facts = self.beside.read(stage, block)
            if facts is None:
                raise RunError(f"{self.beside.marker(stage, block)} was damaged meanwhile: run the same command again")
            yield facts
