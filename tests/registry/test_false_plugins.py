"""Plugins that say what is not so: one clear error each, from `preimage check`, and from a run that uses them."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import preimage
from preimage.errors import CapabilityError
from preimage_registry.cli import main

OPERATOR = '''
    """Twice the image."""
    from preimage import LinearOperator, Settings as Base, Space, hookimpl
    from preimage.data import torch_dtype
    import numpy as np, xarray as xr

    requires = {"measurement": ()}

    class Settings(Base):
        """None."""

    class Twice(LinearOperator):
        """y = 2 x."""
        def _apply(self, x):
            return 2 * x
        def _apply_adjoint(self, y):
            return 2 * y

    @hookimpl
    def preimage_spaces(dataset):
        found = dataset["measurement"]
        space = Space(tuple(found.dims), tuple(found.shape), torch_dtype(dataset, "measurement"))
        return space, space

    @hookimpl
    def preimage_operator(settings, dataset) -> Twice:
        return Twice(*preimage_spaces(dataset))

    @hookimpl
    def preimage_examples():
        for shape in ((4, 5), (3, 1)):
            yield Settings(), xr.Dataset({"measurement": (("z", "y"), np.ones(shape, np.float32))})
'''

PRIOR = '''
    """Small."""
    from preimage import Settings as Base, Space, hookimpl
    from preimage.priors import Proximable
    import torch

    class Settings(Base):
        """None."""

    class Small:
        def prox(self, x, step):
            return x / (1 + step)

    class Smooth:
        """It has a gradient and no prox."""
        def grad(self, x):
            return x

    @hookimpl
    def preimage_prior(settings) -> Proximable:
        return Small()

    @hookimpl
    def preimage_examples():
        yield Settings(), Space(("z", "y"), (3, 1), torch.float64)
'''

IMAGE = xr.Dataset({"measurement": (("z", "y"), np.ones((4, 5), np.float32))})


@pytest.fixture
def install(lab, tmp_path, monkeypatch):
    """Installs an operator and a prior of this laboratory, and lets ours in too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PREIMAGE_PLUGINS", raising=False)

    def installed(operator=OPERATOR, prior=PRIOR, **names):
        modules = {"lab_false.twice": operator, "lab_false.small": prior}
        points = {
            "preimage.operators": {names.get("operator_name", "twice"): "lab_false.twice"},
            "preimage.priors": {names.get("prior_name", "small"): "lab_false.small"},
        }
        lab.install(modules, points, name="lab-false", version="1.0")

    return installed


def broken(capsys, method):
    """What `preimage check` says of a method that is broken: a line for each law, or one if it is no plugin at all."""
    assert main(["check", method]) == 1
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    heading, *laws = out.splitlines()
    return [line.strip() for line in laws or [heading]]


def solved(prior="small", operator="twice", solver="fista"):
    return preimage.reconstruct(IMAGE, operator=operator, prior=prior, solver=solver)


def test_the_true_ones_are_sound(install, capsys):
    """The control: what is changed below is all that is wrong."""
    install()
    assert main(["check", "lab-false"]) == 0
    np.testing.assert_allclose(solved().values, 0.4, rtol=1e-4)  # of ½(2x − s)² + ½x², unscaled: 2/5


def test_a_false_annotation(install, capsys):
    install(prior=PRIOR.replace("return Small()", "return Smooth()"))
    assert broken(capsys, "prior.small") == [
        "annotation: BROKEN. on example 1: preimage_prior makes a Smooth, and declares "
        "Proximable: annotate it -> Smooth"
    ]
    with pytest.raises(CapabilityError, match=r"^Fista cannot solve this: prior 1 \(Smooth\) is no Proximable$"):
        solved()


def test_a_false_adjoint(install, capsys):
    install(operator=OPERATOR.replace("return 2 * y", "return 3 * y"))
    lines = broken(capsys, "operator.twice")
    (adjoint,) = [line for line in lines if line.startswith("adjoint:")]
    assert "⟨Ax, y⟩ = " in adjoint
    assert "differ by the factor 0.6667: a missing scale in _apply_adjoint" in adjoint


@pytest.mark.parametrize(
    ("hook", "wrong", "message"),
    [
        (
            "preimage_prior(settings)",
            "preimage_prior(setings)",
            "preimage_prior has an argument 'setings' (did you mean 'settings'?): "
            "it may take settings, domain, dataset, shared",
        ),
        (
            "preimage_examples()",
            "preimage_examples(settings)",
            "preimage_examples has an argument 'settings': it may take folder",
        ),
    ],
)
def test_a_hook_with_a_wrong_argument(install, capsys, hook, wrong, message):
    install(prior=PRIOR.replace(hook, wrong))
    (line,) = broken(capsys, "prior.small")
    assert line == f"BROKEN prior.small of lab-false 1.0 is broken: {message}"
    with pytest.raises(preimage.PreimageError) as error:
        solved()
    assert str(error.value).endswith(f"prior.small of lab-false 1.0 is broken: {message}")
    assert "\n" not in str(error.value)


def test_a_name_that_is_taken(install, capsys):
    install(prior_name="sparsity")
    message = (
        "prior 'sparsity' is offered by lab-false and preimage-variational: write 'lab-false:sparsity', "
        'or "prior.sparsity" = "lab-false" under [prefer] in plugins.toml'
    )
    assert main(["describe", "prior.sparsity"]) == 2
    assert capsys.readouterr().err == f"{message}\n"
    with pytest.raises(preimage.PreimageError) as error:
        solved(prior="sparsity")
    assert str(error.value) == f"prior.1.use: {message}"
    solved(prior="lab-false:sparsity")


def test_a_setting_called_use(install, capsys):
    install(prior=PRIOR.replace('"""None."""', "use: int = 1", 1))
    (line,) = broken(capsys, "prior.small")
    assert line == (
        "BROKEN prior.small of lab-false 1.0 is broken: no setting may be called 'use': that key of a section is the "
        "platform's"
    )
    with pytest.raises(preimage.PreimageError, match="no setting may be called 'use'"):
        solved()
