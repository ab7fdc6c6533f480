"""What a run does with several unknowns; see also the end-to-end tests."""

import pytest
import torch
from support import toy_chain

from preimage.errors import RequestError
from preimage.space import ProductSpace, Space


@pytest.fixture
def with_gain(make_run, monkeypatch):
    """Makes runs of an operator that says it splits x, with a second unknown that all rows share."""
    build = toy_chain.build

    def built(recipe):
        chain = build(recipe)
        spaces = chain.operator.hooks["preimage_spaces"]

        def with_another(dataset):
            domain, codomain = spaces(dataset)
            return ProductSpace(image=domain, gain=Space(("n",), (4,), torch.complex64)), codomain

        chain.operator.hooks["preimage_spaces"] = with_another
        chain.operator.hooks["preimage_unknowns"] = lambda: ("image", "gain")
        return chain

    monkeypatch.setattr(toy_chain, "build", built)
    return make_run


def test_an_unknown_that_blocks_would_share_keeps_a_run_in_one_block(with_gain):
    run = with_gain()
    assert not run.plan.solve.sizes
    assert run.resolved.reasons["x"].who == "unknown gain"
    assert list(run.plan.solve.outputs) == ["estimate_image", "estimate_gain"]
    with pytest.raises(RequestError, match="'x' cannot be cut: unknown gain needs it whole"):
        with_gain(compute={"blocks": {"x": 4}})
