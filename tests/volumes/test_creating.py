"""What a run's store is made of is on the disk before a marker speaks of it, and leftovers of killed writers go."""

import os
from pathlib import Path

from preimage.volumes.creating import sweep

BLOCKS = {"blocks": {"x": 4}}


def test_all_of_a_store_is_flushed(make_run, monkeypatch):
    flushed, real = set(), os.fsync

    def fsync(descriptor):
        flushed.add(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    run = make_run(compute=BLOCKS, gain=True)
    run.execute()
    left = [path for path in run.output.path.rglob("*") if path.is_file() and path.stat().st_ino not in flushed]
    assert left == []


def test_a_leftover_that_cannot_be_removed_is_in_nobodys_way(tmp_path, monkeypatch):
    """A disk on the network keeps files that others have open, under names of its own."""
    output = tmp_path / "out.zarr"
    beside = tmp_path / "out.zarr.blocks" / "1"
    beside.mkdir(parents=True)
    kept, gone = beside / ".nfs0001", beside / ".0.json.x7"
    for path in (kept, gone):
        path.touch()
    real = Path.unlink

    def unlink(path, **how):
        if path == kept:
            raise OSError(16, "Device or resource busy")
        real(path, **how)

    monkeypatch.setattr(Path, "unlink", unlink)
    sweep(output)
    assert (kept.exists(), gone.exists()) == (True, False)
