"""Counting what the tasks of a run read and write."""

from __future__ import annotations

import threading
from collections import Counter

import numpy as np
from zarr.codecs import BytesCodec

from preimage.volumes.tasks import block
from preimage.volumes.tasks.worker import Worker


def count_traffic(monkeypatch):
    """Count from now on: bytes of decoded chunks and of results to store, by stage of the plan, not compressed.

    Returns
    -------
    read, written : filled while runs are done in this process.
    """
    read, written, stage, lock = Counter(), Counter(), [], threading.Lock()
    do, decode, store = Worker.do, BytesCodec._decode_sync, block.store_region

    def doing(self, task):
        stage.append(task.stage)
        try:
            return do(self, task)
        finally:
            stage.pop()

    def decoding(self, *arguments):
        values = decode(self, *arguments)
        if stage and values.shape and values.dtype != np.uint64:  # no number that was fitted, and no index of a shard
            with lock:
                read[stage[-1]] += values.as_ndarray_like().nbytes
        return values

    def storing(path, name, dims, region, values):
        if name != "history":
            written[stage[-1]] += values.nbytes
        return store(path, name, dims, region, values)

    monkeypatch.setattr(Worker, "do", doing)
    monkeypatch.setattr(BytesCodec, "_decode_sync", decoding)
    monkeypatch.setattr(block, "store_region", storing)
    return read, written
