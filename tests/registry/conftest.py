"""A laboratory in a temporary folder: distributions that are on sys.path as if they were installed."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from preimage_registry import Policy, Registry


class Lab:
    """Writes distributions into a folder that is on sys.path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.packages: set[str] = set()
        self.distributions: set[str] = set()

    def install(
        self,
        modules: Mapping[str, str],
        entry_points: Mapping[str, Mapping[str, str]],
        name: str = "lab-x",
        version: str = "1.2",
        requires: tuple[str, ...] = ("preimage>=1,<2",),
        folder: Path | None = None,
    ) -> None:
        """Write a distribution: `modules` are sources by dotted name, `entry_points` targets by group and name."""
        self.distributions.add(name)
        folder = folder or self.folder
        folder.mkdir(exist_ok=True)
        for module, source in modules.items():
            path = folder.joinpath(*module.split(".")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            for package in path.relative_to(folder).parents[:-1]:
                init = folder / package / "__init__.py"
                if not init.exists():
                    init.write_text("raise RuntimeError('a package was imported')\n" if "untouched" in module else "")
            path.write_text(textwrap.dedent(source))
            self.packages.add(module.partition(".")[0])
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        (info / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {one}" for one in requires), ""]))
        groups = (
            "\n".join([f"[{group}]", *(f"{key} = {target}" for key, target in targets.items()), ""])
            for group, targets in entry_points.items()
        )
        (info / "entry_points.txt").write_text("\n".join(groups))
        importlib.invalidate_caches()

    def registry(self, **policy: object) -> Registry:
        """The registry of the labs that are installed here alone, whatever packs and labs the environment has."""
        ours = sorted(name for name in self.distributions if name.startswith("lab-"))
        return Registry(Policy.model_validate({"trust": {"allow": ours or ["lab-none"]}, **policy}))

    def forget(self) -> None:
        """Forget what was imported."""
        for module in [one for one in sys.modules if one.partition(".")[0] in self.packages]:
            del sys.modules[module]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """An empty laboratory."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    one = Lab(site)
    yield one
    one.forget()


PRIOR = '''
    """A prior."""
    from preimage import Settings as Base, hookimpl

    class Settings(Base):
        weight: float = 1.0

    class Prior:
        def prox(self, x, step):
            return x

    @hookimpl
    def preimage_prior(settings: Settings) -> Prior:
        return Prior()
'''

MODULES = {
    "lab_base.files": '''
        """Files."""
        from pathlib import Path
        from preimage import Settings as Base, hookimpl

        class Settings(Base):
            path: Path
            """The file."""
            dims: tuple[str, ...] = ()

        @hookimpl
        def preimage_loader(settings: Settings) -> object:
            return settings
    ''',
    "lab_base.crop": '''
        """Crop."""
        from preimage import Settings as Base, hookimpl

        provides = {"cropped": ("x",)}

        class Settings(Base):
            margin: int = 1

        @hookimpl
        def preimage_preparation(settings: Settings, dataset) -> object:
            return settings
    ''',
    "lab_base.scale": '''
        """y = a x."""
        from preimage import Settings as Base, hookimpl, split
        from preimage.operators import LinearOperator

        requires = {"measurement": ("x",)}

        class Settings(Base):
            factor: float = 2.0

        class Scale(LinearOperator):
            """A multiple.

            References
            ----------
            Euclid, Elements, 300 BC.
            """

        @hookimpl
        def preimage_operator(settings: Settings, dataset) -> Scale:
            return (settings.factor, dataset)

        @hookimpl
        def preimage_axes(settings: Settings) -> dict:
            return {"x": split}

        @hookimpl
        def preimage_unknowns() -> tuple:
            return ("image", "field")
    ''',
    "lab_base.gaussian": '''
        """White noise."""
        from preimage import Settings as Base, hookimpl
        from preimage.likelihoods import Gaussian

        class Settings(Base):
            pass

        @hookimpl
        def preimage_likelihood(settings: Settings) -> Gaussian:
            return Gaussian()
    ''',
    "lab_base.sparsity": '''
        """Few values are not zero."""
        from typing import Literal
        from pydantic import PositiveFloat
        from preimage import Settings as Base, hookimpl

        class Settings(Base):
            weight: PositiveFloat
            """λ."""
            transform: Literal["identity", "wavelet"] = "wavelet"
            """Where they are few."""
            levels: int | Literal["all"] = "all"

        class Sparsity:
            def prox(self, x, step):
                return x

        @hookimpl
        def preimage_prior(settings: Settings) -> Sparsity:
            return Sparsity()
    ''',
    "lab_base.smooth": '''
        """Small differences."""
        from preimage import Settings as Base, hookimpl

        class Settings(Base):
            weight: float = 1.0

        class Smooth:
            def grad(self, x):
                return x

        @hookimpl
        def preimage_prior(settings: Settings) -> Smooth:
            return Smooth()
    ''',
    **{
        f"lab_base.{name}": f'''
        """{name}."""
        from types import SimpleNamespace
        from preimage import Settings as Base, hookimpl
        from preimage.likelihoods import Gaussian
        from preimage.operators import LinearOperator, PseudoInvertible
        from preimage.priors import Differentiable, Proximable
        from preimage.solving import Needs

        class Settings(Base):
            max_iter: int {"" if name == "net" else "= 10"}

        @hookimpl
        def preimage_solver(settings: Settings) -> object:
            return SimpleNamespace(needs=Needs({needs}))

        @hookimpl
        def preimage_examples(folder):
            (folder / "written").touch()
            yield Settings(max_iter=3), "a problem"
        '''
        for name, needs in {
            "fista": "operator=(LinearOperator,), prior=(Proximable,), priors=range(1, 2)",
            "descent": "prior=(Differentiable,), priors=range(10**6)",
            "inverse": "operator=(PseudoInvertible,)",
            "net": "priors=range(10**6)",
        }.items()
    },
}

GROUPS = {
    "preimage.loaders": ("files",),
    "preimage.preparations": ("crop",),
    "preimage.operators": ("scale",),
    "preimage.likelihoods": ("gaussian",),
    "preimage.priors": ("sparsity", "smooth"),
    "preimage.solvers": ("fista", "descent", "inverse", "net"),
}


@pytest.fixture
def base(lab: Lab) -> Lab:
    """A laboratory with a method or more of every kind."""
    points = {group: {name: f"lab_base.{name}" for name in names} for group, names in GROUPS.items()}
    lab.install(MODULES, points, name="lab-base", version="1.0")
    return lab


@pytest.fixture
def prior_source() -> str:
    """The source of a sound prior."""
    return PRIOR
