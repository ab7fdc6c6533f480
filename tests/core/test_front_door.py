"""`import preimage` is the front door: every name is there, and none costs anything before it is used."""

import preimage
from preimage import _HOMES


def test_every_public_name_has_a_home_and_is_there():
    assert {*preimage.__all__} == {*_HOMES, "__version__"}
    for name in preimage.__all__:
        assert getattr(preimage, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(preimage, "no_such_name")
