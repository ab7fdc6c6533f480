"""Who watches a run is told how far its blocks are, whoever does them."""

from pathlib import Path

import pytest

from preimage.volumes.progress import InWork, Progress


class Told(Progress):
    """Keeps what it is told of iterations, and which blocks were done."""

    def __init__(self):
        self.steps, self.done = [], []

    def stepped(self, block, iteration, total):
        assert block not in self.done
        self.steps.append((block, iteration, total))

    def finished_block(self, record, facts):
        if "iterations" in facts:
            self.done.append(facts["block"])


@pytest.mark.parametrize("workers", [1, 2])
def test_every_block_tells_its_iterations(make_run, monkeypatch, workers):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    told = Told()
    compute = {"blocks": {"x": 4}, "workers": workers}
    make_run(compute=compute, solver={"max_iter": 12}, progress=told).execute()
    assert sorted(told.done) == [0, 1, 2]
    first = {block: (iteration, total) for block, iteration, total in reversed(told.steps)}
    assert first == dict.fromkeys(range(3), (1, 12))


def test_it_is_told_now_and_then_only(make_run):
    told = Told()
    make_run(solver={"max_iter": 60, "pause": 0.02}, progress=told).execute()  # 1.2 seconds at least
    assert 2 <= len(told.steps) < 30


def test_what_an_earlier_attempt_did_is_done_and_tells_no_rate():
    known = InWork()
    known.stepped(0, 41, 100, now=7.0)
    assert (known.part, known.part_here, known.block_seconds) == (0.41, 0.0, None)
    known.stepped(0, 51, 100, now=12.0)
    assert (known.iterations, known.part_here, known.block_seconds) == ([(51, 100)], 0.1, 50.0)


def test_a_block_that_begins_anew_is_as_far_as_it_says():
    known = InWork()
    known.stepped(0, 41, 100, now=7.0)
    known.stepped(0, 51, 100, now=12.0)
    known.stepped(0, 1, 100, now=20.0)
    known.stepped(0, 2, 100, now=21.0)
    assert (known.iterations, known.block_seconds) == ([(2, 100)], 100.0)
    known.finished(0)
    known.finished(0)
    assert (known.iterations, known.part, known.block_seconds) == ([], 0, None)


def test_what_waits_to_be_tried_again_is_not_timed():
    known = InWork()
    for block in (0, 1):
        known.stepped(block, 1, 100, now=0.0)
        known.stepped(block, 11, 100, now=10.0)
    known.interrupted()
    assert (known.part, known.part_here, known.block_seconds) == (0.22, 0.2, None)
    known.stepped(0, 16, 100, now=90.0)  # after a pause, from what was saved later than told
    assert known.block_seconds is None
    known.stepped(0, 26, 100, now=100.0)
    assert (known.iterations, known.part_here, known.block_seconds) == ([(26, 100), (11, 100)], 0.35, 50.0)


def test_several_at_a_time_come_one_sooner_after_another():
    known = InWork()
    for block, seconds in ((0, 1.0), (1, 3.0)):
        known.stepped(block, 10, 100, now=0.0)
        known.stepped(block, 20, 100, now=10 * seconds)
    assert known.block_seconds == 100.0  # of blocks that take 100 s and 300 s, two at a time
