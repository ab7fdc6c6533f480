"""What is measured side by side is the same problem, solved to the same end; in tiny sizes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

SIZE = 24
MRI = ["normal", "normal-large", "cg-sense", "cg-sense-large", "l1-wavelet-fista", "tv-pdhg", "tv-admm"]
CASES = [*MRI, "tv-denoise", "phase-retrieval"]
PEERS = {
    "sigpy": CASES,
    "deepinv": [*MRI[:4], "tv-pdhg", "tv-denoise", "phase-retrieval"],
    "bart": ["cg-sense-large", "cg-sense", "l1-wavelet-fista", "tv-admm"],
}
"""Those that solve the same problem; deepinv's wavelet prior shrinks other things."""


@pytest.fixture(scope="module")
def solved(benchmarks, tmp_path_factory):
    """A function that gives what an implementation makes of a case, and its error."""
    folder = tmp_path_factory.mktemp("problems")
    cases, problems, measure = map(benchmarks, ("cases", "problems", "measure"))

    def solve(implementation: str, name: str) -> tuple[np.ndarray, float]:
        case = replace(next(case for case in cases.CASES if case.name == name), size=SIZE)
        problem = folder / case.problem
        if not problem.exists():
            problems.save(problems.PROBLEMS[case.problem](SIZE), problem)
        module = benchmarks(cases.IMPLEMENTATIONS[implementation])
        estimate = np.asarray(getattr(module, case.function)(problem, case)())
        truth = problems.load(problem, case.truth)
        return estimate, measure.nrmse(estimate, truth, up_to_phase=case.up_to_phase)

    return solve


def test_these_are_all_cases(benchmarks):
    assert [case.name for case in benchmarks("cases").CASES] == CASES


@pytest.mark.parametrize("case", [case for case in CASES if case != "phase-retrieval"])
def test_the_platform_and_the_limit_take_the_same_steps(case, solved):
    (limit, error), (ours, our_error) = solved("limit", case), solved("preimage", case)
    # Rounding in single precision over a hundred iterations that do not amplify it, 100 · 2⁻²⁴; conjugate gradients
    # amplify it by a condition of some ten. The results of another weight or step differ in the third digit.
    assert np.linalg.norm(ours - limit) < 6e-5 * np.linalg.norm(limit)
    assert our_error == pytest.approx(error, rel=1e-4, abs=1e-7)  # where the error is rounding
    assert error < 0.5


def test_the_platform_and_the_limit_retrieve_the_same_object(solved):
    """From other starts, so that only the ends are alike: a linear rate of 0.8 leaves 0.8⁵⁰ of what was missing."""
    (limit, error), (ours, our_error) = solved("limit", "phase-retrieval"), solved("preimage", "phase-retrieval")
    overlap = abs(np.vdot(ours, limit)) / (np.linalg.norm(ours) * np.linalg.norm(limit))
    assert overlap == pytest.approx(1, abs=1e-6)
    assert our_error == pytest.approx(error, rel=1e-3)
    assert error < 0.03  # the noise is 0.02 of the amplitudes


@pytest.mark.parametrize(("peer", "case"), [(peer, case) for peer, cases in PEERS.items() for case in cases])
def test_a_peer_comes_to_the_same_error(peer, case, solved):
    """To some percent: its wavelets or differences end otherwise, and its iterates are others."""
    try:
        _, error = solved(peer, case)
    except (ImportError, RuntimeError) as problem:
        pytest.skip(f"{peer} cannot be imported: {problem}")
    _, expected = solved("limit", case)
    assert error == pytest.approx(expected, rel=1e-2 if case in ("cg-sense", "phase-retrieval") else 5e-2, abs=1e-6)
