"""Curves of convergence."""

import numpy as np

from preimage.report.charts import converged


def test_a_block_that_stopped_early_keeps_its_last_values():
    nan = np.nan
    values = np.array([[[8.0], [4.0], [2.0], [1.0]], [[9.0], [nan], [nan], [3.0]]])
    iterations, curves = converged(values, [10, 20, 30, 40], [35, 17])
    assert iterations == [10, 20, 30, 35]
    assert curves[..., 0].tolist() == [[8, 4, 2, 1], [9, 3, 3, 3]]


def test_all_blocks_may_stop_before_the_first_note():
    iterations, curves = converged(np.array([[[np.nan], [5.0]], [[np.nan], [6.0]]]), [10, 20], [3, 4])
    assert iterations == [4]
    assert curves[..., 0].tolist() == [[5], [6]]
