"""The catalogue of methods: what it says, and that the page in docs/ says it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from preimage_registry import Registry
from preimage_registry.catalogue import OURS, catalogue

PAGE = Path(__file__).parents[2] / "docs" / "catalogue.md"


def test_the_page_is_up_to_date():
    if PAGE.read_text(encoding="utf-8") != catalogue(Registry(OURS)):
        pytest.fail(f"{PAGE.name} is not what the installed packs say: `make docs` writes it anew", pytrace=False)


def test_every_method_has_an_entry_and_every_link_leads_to_one():
    text = catalogue(Registry(OURS))
    headings = re.findall(r"^### (.+)$", text, re.M)
    assert headings == [method.key for method in Registry(OURS).methods if not method.blocked]
    assert re.findall(r"\(#(.+?)\)", text) == [heading.replace(".", "") for heading in headings]


def test_an_entry_is_what_describe_says(base):
    entry = catalogue(base.registry()).partition("### prior.sparsity\n")[2].partition("\n### ")[0]
    assert entry.startswith("\nFew values are not zero. From `lab-base`.\n")
    assert '| `transform` | `"identity" \\| "wavelet"` | `"wavelet"` | Where they are few. |' in entry
    assert "| `weight` | `float > 0` | required | λ. |" in entry
    assert "Offers:\n\n- Proximable: " in entry
    solver = catalogue(base.registry()).partition("### solver.fista\n")[2]
    assert "Needs:\n\n- operator: LinearOperator\n- prior: Proximable\n- number of priors: 1\n" in solver
    assert "References: Euclid, Elements, 300 BC.\n" in catalogue(base.registry())


def test_what_may_not_be_used_is_left_out(base):
    assert "sparsity" not in catalogue(base.registry(trust={"allow": ["lab-*"], "deny": ["prior.*"]}))
