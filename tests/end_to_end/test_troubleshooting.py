"""Every message of the guide to trouble is one that is really told: this brings about each of them."""

import errno
import json
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import zarr
from support.dask_processes import Scheduler

import preimage
from preimage.volumes.engines.workforce import Workforce
from preimage.volumes.tasks import block
from preimage_registry.cli import main

DOCS = Path(__file__).parents[2] / "docs"
TEXT = re.compile(r"^```text\n(.*?)\n```$", re.M | re.S)


def entries():
    """The message under every heading that has one."""
    page = (DOCS / "troubleshooting.md").read_text()
    found = {}
    for part in re.split(r"^#{2,3} ", page, flags=re.M):
        heading, _, body = part.partition("\n")
        if message := TEXT.search(body):
            found[heading] = message[1]
    return found


def setting(*overrides, code=2):
    """What a run says with these settings."""
    options = [word for one in overrides for word in ("--set", one)]
    return lambda shell: shell("run", "scan.toml", *options, code=code)


def edited(old, new):
    """What a run says of the run file with a change."""

    def trouble(shell):
        path = shell.folder / "scan.toml"
        path.write_text(path.read_text().replace(old, new))
        return shell("run", "scan.toml", code=2)

    return trouble


def install(shell, source, name):
    """A distribution lab-x with a prior, as if it were installed."""
    info = shell.folder / "lab_x-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-x\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[preimage.priors]\n{name} = lab_x_{name}\n")
    (shell.folder / f"lab_x_{name}.py").write_text(source)
    shell.monkeypatch.syspath_prepend(str(shell.folder))


def broken(shell):
    install(shell, "import nowhere", "smooth")
    return shell("run", "scan.toml", "--set", "prior.1.use=smooth", code=2)


def clash(shell):
    install(shell, "", "sparsity")
    return shell("run", "scan.toml", code=2)


BUG = """
import preimage

class Settings(preimage.Settings):
    pass

class Proximable:
    def prox(self, x, step):
        return x

@preimage.hookimpl
def preimage_prior(settings: Settings) -> Proximable:
    return 1 / 0
"""


def bug(shell):
    install(shell, BUG, "buggy")
    shell.capsys.readouterr()
    code = main(["run", "scan.toml", "--set", "prior=[{use='buggy'}]", "--set", "compute.blocks={}"])
    said = shell.capsys.readouterr().err
    assert code == 1, said
    return said


def denied(shell):
    (shell.folder / "plugins.toml").write_text('[trust]\ndeny = ["solver.fista"]\n')
    return shell("run", "scan.toml", code=2)


def with_data(change, code):
    """What a run says of the volume after a change."""

    def trouble(shell):
        volume = preimage.open_dataset(shell.folder / "data.zarr").load()
        preimage.write_dataset(change(volume), shell.folder / "data.zarr", overwrite=True)
        return shell("run", "scan.toml", code=code)

    return trouble


def broken_values(volume):
    return volume.assign(truth=volume["truth"].where(volume["truth"] < 1, np.nan))


def damaged(shell):
    chunk = next(path for path in (shell.folder / "data.zarr" / "truth" / "c").rglob("*") if path.is_file())
    values = bytearray(chunk.read_bytes())
    values[len(values) // 2] ^= 1
    chunk.write_bytes(values)
    return shell("run", "scan.toml", code=1)


def run_twice(shell):
    shell("run", "scan.toml")
    return shell("run", "scan.toml", "--set", "solver.max_iter=6", code=2)


def diverging(shell):
    solver = "solver={use='gradient-descent', rule='fixed', step=5.0, max_iter=200}"
    return shell("run", "scan.toml", "--set", solver, "--set", "prior=[]", code=1)


def full(shell):
    def refuse(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device", str(shell.folder / "out.zarr"))

    shell.monkeypatch.setattr(block, "store_region", refuse)
    return shell("run", "scan.toml", code=1)


def unfinish(shell):
    """A run that looks as if its process had been killed."""
    shell("run", "scan.toml")
    metadata = shell.folder / "out.zarr" / "zarr.json"
    group = json.loads(metadata.read_text())
    del group["attributes"]["preimage"]["finished"]
    metadata.write_text(json.dumps(group))
    lease = shell.folder / "out.zarr.blocks" / "lease.json"
    lease.write_text(json.dumps(json.loads(lease.read_text()) | {"state": "running", "pid": 2**22 + 1}))


def of_another_torch(shell):
    unfinish(shell)
    metadata = shell.folder / "out.zarr" / "zarr.json"
    group = json.loads(metadata.read_text())
    group["attributes"]["preimage"]["versions"]["torch"] = "1.0"
    metadata.write_text(json.dumps(group))
    return shell("run", "scan.toml", code=2)


def killed(shell):
    unfinish(shell)
    return shell("status", "out.zarr")


def unfinished(shell):
    unfinish(shell)
    return shell("compare", "out.zarr", code=2)


def other_data(shell):
    shell("run", "scan.toml")
    volume = preimage.open_dataset(shell.folder / "data.zarr").load()
    preimage.write_dataset(volume, shell.folder / "copy.zarr")
    shell("run", "scan.toml", "--set", "loader.path=copy.zarr", "--set", "output.path=other.zarr")
    return shell("compare", "out.zarr", "other.zarr", code=2)


def written_again(shell):
    shell("run", "scan.toml")
    volume = preimage.open_dataset(shell.folder / "data.zarr").load()
    preimage.write_dataset(-volume, shell.folder / "data.zarr", overwrite=True)
    return shell("reproduce", "out.zarr", code=2)


def different(shell):
    shell("run", "scan.toml")
    zarr.open_group(shell.folder / "out.zarr", mode="r+")["estimate"][2:4] = 7.0
    return shell("reproduce", "out.zarr", code=1)


def newer(shell):
    shell("run", "scan.toml")
    metadata = shell.folder / "out.zarr" / "zarr.json"
    metadata.write_text(metadata.read_text().replace('"schema": 1', '"schema": 2'))
    return shell("status", "out.zarr", code=2)


def of_a_cluster(stops=False):
    """What a run says of a scheduler without workers, or of one that is stopped once it was asked for them."""

    def trouble(shell):
        folder = shell.folder / "dask"
        folder.mkdir()
        with Scheduler(folder) as scheduler:
            options = [f"compute.scheduler={scheduler.address}", "compute.stall=2"]
            if not stops:
                return setting(*options)(shell)
            scheduler.add_workers(1)
            admit_to = Workforce.admit_to

            def stop(force, *arguments):
                scheduler.process.send_signal(signal.SIGSTOP)
                admit_to(force, *arguments)

            shell.monkeypatch.setattr(Workforce, "admit_to", stop)
            return setting(*options, code=1)(shell)

    return trouble


TROUBLES = {
    "A setting is not known": edited("weight", "wieght"),
    "A method is not known": edited('"fista"', '"magic"'),
    "A path names a variable that is not set": edited('"data.zarr"', '"$LAB_DATA/scan.zarr"'),
    "A solver does not fit": setting("solver={use='conjugate-gradient'}"),
    "A list on the command line is not one": setting("prior.1.dims=[z, y]"),
    "A plugin is broken": broken,
    "Two distributions offer one name": clash,
    "A plugin may not be used": denied,
    "There is no measurement": edited("[simulate]\nnoise = 0.1\n", ""),
    "There is no such dataset": setting("loader.path=nowhere.zarr"),
    "Dims have other names": setting("prior.1.dims=['q']"),
    "A prior is for an unknown that is not there": setting("prior.1.on=kernel"),
    "Values are not finite": with_data(broken_values, code=1),
    "A file is damaged": damaged,
    "A dim cannot be cut": setting("compute.blocks={z=2}"),
    "No block fits": setting("compute.memory=100 MiB", "compute.blocks={}"),
    "There is no such device": setting("compute.device=cuda:7"),
    "The output holds another run": run_twice,
    "A run was begun with other versions": of_another_torch,
    "The output is a dataset": setting("output.path=data.zarr"),
    "The disk is full": full,
    "A solver diverges": diverging,
    "A run seems to hang": killed,
    "A scheduler has no workers": of_a_cluster(),
    "A scheduler does not answer": of_a_cluster(stops=True),
    "A run is not finished": unfinished,
    "Runs cannot be compared": other_data,
    "A result cannot be reproduced": written_again,
    "A result is different when it is reproduced": different,
    "A store is of a newer version": newer,
    "When it is not your mistake": bug,
}


def test_every_entry_of_the_guide_is_brought_about():
    assert entries().keys() == TROUBLES.keys()


@pytest.mark.parametrize("name", TROUBLES)
def test_what_is_told_is_what_the_guide_says(name, scan, monkeypatch):
    scan.monkeypatch = monkeypatch
    monkeypatch.delenv("LAB_DATA", raising=False)
    said = TROUBLES[name](scan)
    for line in entries()[name].splitlines():
        pattern = ".*".join(map(re.escape, line.split("…")))
        assert re.search(f"{pattern}$", said, re.M), said


def test_the_messages_of_the_page_on_policy(scan, monkeypatch):
    taken, misspelt = TEXT.findall((DOCS / "plugins-toml.md").read_text())
    scan.monkeypatch = monkeypatch
    (scan.folder / "plugins.toml").write_text('extensions = []\n[trust]\nalow = ["*"]\n')
    assert misspelt.removeprefix("…") in scan("list", code=2)
    (scan.folder / "plugins.toml").unlink()
    info = scan.folder / "lab_optics-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-optics\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[preimage.operators]\nblur = lab_optics.blur\n")
    monkeypatch.syspath_prepend(str(scan.folder))
    assert taken in scan("run", "scan.toml", "--set", "operator.use=blur", code=2)
