"""Markers and the word to stop: what lies beside a store is believed only as far as it is what was written."""

import pytest

from preimage.volumes.markers import Beside


@pytest.fixture
def beside(tmp_path):
    found = Beside(tmp_path / "out.zarr")
    found.create(1)
    return found


def test_a_marker_says_what_was_known(beside):
    facts = {"stage": 0, "block": 3, "region": {"x": [0, 4]}, "misfit": 0.1 + 0.2, "nothing": float("inf")}
    beside.mark(0, 3, facts)
    assert beside.read(0, 3) == facts
    assert beside.done(0) == [3]
    beside.unmark(0, [3])
    assert beside.read(0, 3) is None
    assert beside.done(0) == []


def test_a_bit_that_is_flipped_anywhere_in_a_marker_makes_it_none(beside):
    beside.mark(0, 3, {"stage": 0, "block": 3, "seconds": 1.5})
    good = beside.marker(0, 3).read_bytes()
    for i in range(len(good)):
        for bit in range(8):
            damaged = bytearray(good)
            damaged[i] ^= 1 << bit
            beside.marker(0, 3).write_bytes(damaged)
            assert beside.read(0, 3) is None


def test_a_word_to_stop_that_is_taken_back_counts_no_more(beside):
    assert not beside.asked_to_stop()
    beside._ask_next = 0.0  # a second later
    beside.stop.touch()
    assert beside.asked_to_stop()
    beside.stop.unlink()
    assert not beside.asked_to_stop()  # at once: the same worker may be given the run that goes on
