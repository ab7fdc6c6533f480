"""Loaded by pytest wherever preimage is installed; imports nothing else, so that pytest starts as quickly as before."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("preimage.testing.classes", "preimage.testing.laws")
