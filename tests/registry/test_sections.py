"""Run files: every section by its method's own model, all mistakes at once, each with file, line and key."""

from __future__ import annotations

import json

import pytest

from preimage.errors import CapabilityError, RequestError
from preimage_registry.documents import Mistakes
from preimage_registry.runfile import bind_section, read_recipe, recipe_from_sections

SOUND = """\
seed = 7
[loader]
use = "files"
path = "data.npy"
dims = ["coil", "kz"]

[[preparation]]
use = "crop"

[operator]
use = "scale"

[[prior]]
use = "sparsity"
weight = 5e-3

[solver]
use = "fista"
max_iter = 50
"""


@pytest.fixture
def write(tmp_path):
    def written(text, name="scan.toml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return written


def complaints(base, path, *overrides, **options):
    """The lines of the error, the file's folder left out."""
    with pytest.raises(RequestError) as error:
        read_recipe(path, base.registry(), overrides, **options)
    return str(error.value).replace(f"{path.parent}/", "").splitlines()


def test_a_sound_file_is_read(base, write):
    path = write(SOUND)
    recipe = read_recipe(path, base.registry())
    assert recipe.seed == 7
    assert {kind: [one.name for one in several] for kind, several in recipe.parts.items()} == {
        "loader": ["files"],
        "preparation": ["crop"],
        "operator": ["scale"],
        "likelihood": ["gaussian"],  # by default
        "prior": ["sparsity"],
        "solver": ["fista"],
    }
    (sparsity,) = recipe.parts["prior"]
    assert (sparsity.distribution, sparsity.version, sparsity.entry_point) == ("lab-base", "1.0", "lab_base.sparsity")
    assert sparsity.settings == {"weight": 5e-3, "transform": "wavelet", "levels": "all"}
    assert recipe.parts["loader"][0].settings["path"] == str(path.parent.resolve() / "data.npy")
    assert (recipe.simulate, recipe.output) == (None, None)
    assert recipe.compute.device == "auto"


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(base, write):
    path = write(
        """\
seed = -1
[loader]
use = "files"
path = 3

[operator]
use = "scael"

[[prior]]
use = "sparsity"
weight = -1

[[prior]]
use = "sparsity"
weight = 1
wieght = [
  1,
]
levels = "many"

[[prior]]
weight = 1

[sovler]
use = "fista"

[compute]
device = "gpu"
blocks = { x = 8, y = 0 }
checkpoint = "5 days"

[output]
path = "out/brain"
"""
    )
    assert complaints(base, path) == [
        "scan.toml:1: seed: a seed is an integer from 0, not -1",
        "scan.toml:4: loader.path: a path is expected, not 3",
        "scan.toml:7: operator.use: there is no operator 'scael' (did you mean 'scale'?)",
        "scan.toml:11: prior.1.weight: should be greater than 0, not -1",
        "scan.toml:16: prior.2.wieght: sparsity has no such setting (did you mean 'weight'?)",
        "scan.toml:19: prior.2.levels: should be a valid integer, unable to parse string as an integer, not 'many', "
        "or should be 'all', not 'many'",
        'scan.toml:21: prior.3: say which one by use = "..." (installed: smooth, sparsity)',
        "scan.toml:24: sovler: there is no such section (did you mean 'solver'?)",
        "scan.toml:28: compute.device: string should match pattern '^(auto|cpu|cuda(:\\d+)?)$', not 'gpu'",
        "scan.toml:29: compute.blocks.y: should be greater than 0, not 0",
        'scan.toml:30: compute.checkpoint: write a duration such as "30 s", "5 min" or "2 h"',
        "scan.toml:33: output.path: a run store's name ends in .zarr, such as out/brain.zarr",
    ]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("[operator]\n", 'scan.toml:1: operator: say which one by use = "..." (installed: scale)'),
        ("[operator]\nuse = 3\n", "scan.toml:2: operator.use: a name is expected, not 3"),
        ("operator = 3\n", 'scan.toml:1: operator: a section is expected, with use = "...", not 3'),
        ("[[operator]]\nuse = 'scale'\n", "scan.toml:1: operator: there is only one: write [operator]"),
        ("[prior]\nuse = 'smooth'\n", "scan.toml:1: prior: there may be several: write [[prior]]"),
        ("prior = [3]\n", 'scan.toml:1: prior.1: a section is expected, with use = "...", not 3'),
        ("[[prior]]\nuse = 'smooth'\non = 3\n", "scan.toml:3: prior.1.on: a name is expected, not 3"),
        ("[[prior]]\nuse = 'sparsity'\n", "scan.toml:1: prior.1.weight: sparsity needs this setting: λ."),
        ("[solver]\nuse = 'fista'\non = 'x'\n", "scan.toml:3: solver.on: fista has no such setting (it has max_iter)"),
        (
            "[likelihood]\nuse = 'gaussian'\nstd = 1\n",
            "scan.toml:3: likelihood.std: gaussian has no such setting (it has none)",
        ),
        ("compute = 1\n", "scan.toml:1: compute: a section is expected, not 1"),
        (
            "[compute]\ndevices = 'cpu'\n",
            "scan.toml:2: compute.devices: [compute] has no such setting (did you mean 'device'?)",
        ),
        ("seed = true\n", "scan.toml:1: seed: a seed is an integer from 0, not True"),
        ("seed = 1.5\n", "scan.toml:1: seed: a seed is an integer from 0, not 1.5"),
    ],
)
def test_one_mistake(base, write, wrong, message):
    assert message in complaints(base, write(wrong))


def test_what_is_missing_is_said_with_what_could_be_there(base, write):
    assert complaints(base, write("seed = 1\n"), required=("loader", "operator", "solver", "output")) == [
        'scan.toml:1: loader: the section is missing: add [loader] with use = "..." (installed: files)',
        'scan.toml:1: operator: the section is missing: add [operator] with use = "..." (installed: scale)',
        "scan.toml:1: solver: the section is missing: "
        'add [solver] with use = "..." (installed: descent, fista, inverse, net)',
        "scan.toml:1: output: the section is missing: add [output]",
    ]


def test_a_broken_plugin_is_a_mistake_among_others(base, write):
    base.install({"bad": "import nowhere"}, {"preimage.priors": {"bad": "bad"}})
    found = complaints(base, write("[[prior]]\nuse = 'bad'\n[operator]\nuse = 'x'\n"))
    assert found[-2:] == [
        "scan.toml:2: prior.1.use: prior.bad of lab-x 1.2 is broken: ModuleNotFoundError: No module named 'nowhere'",
        "scan.toml:4: operator.use: there is no operator 'x' (installed: scale)",
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("scan.toml", "a = 1\nb = = 2\n", "scan.toml:2: Invalid value"),
        ("scan.toml", 'a = 1\n\nb = """x\n', "scan.toml:3: Unterminated string"),
        ("scan.toml", "a = 1\na = 2\n", "scan.toml:2: Cannot overwrite a value"),
        ("scan.json", '{"a": 1,\n "b": }', "scan.json:2: Expecting value"),
        ("scan.json", '{"a": 1, "a": 2}', "scan.json: the key a is there twice"),
        ("scan.json", "[1]", "scan.json: an object is expected, { ... }"),
        ("scan.json", "[" * 100_000, "scan.json: it is nested too deeply"),
    ],
)
def test_wrong_syntax_has_its_line(base, write, name, text, message):
    assert complaints(base, write(text, name)) == [message]


def test_a_file_that_cannot_be_read_is_named(base, tmp_path):
    assert complaints(base, tmp_path / "none.toml") == ["none.toml: there is no such file"]
    assert complaints(base, tmp_path)[0].endswith(": it cannot be read: Is a directory")
    (tmp_path / "scan.toml").write_bytes(b"a = '\xff'")
    assert complaints(base, tmp_path / "scan.toml") == [
        "scan.toml: it is not UTF-8 text: invalid start byte at byte 5",
    ]


def test_a_json_file_says_the_same_as_a_toml_file(base, write):
    sections = {
        "seed": 7,
        "loader": {"use": "files", "path": "data.npy", "dims": ["coil", "kz"]},
        "preparation": [{"use": "crop"}],
        "operator": {"use": "scale"},
        "prior": [{"use": "sparsity", "weight": 5e-3}],
        "solver": {"use": "fista", "max_iter": 50},
    }
    path = write(json.dumps(sections, indent=2), "scan.json")
    assert read_recipe(path, base.registry()) == read_recipe(write(SOUND), base.registry())
    sections["prior"][0]["wieght"] = 1
    path = write(json.dumps(sections, indent=2), "scan.json")
    line = 1 + path.read_text().splitlines().index('      "wieght": 1')
    assert complaints(base, path) == [
        f"scan.json:{line}: prior.1.wieght: sparsity has no such setting (did you mean 'weight'?)"
    ]


def test_the_address_of_a_schema_is_for_editors_alone(base, write):
    sections = {"operator": {"use": "scale"}, "prior": [{"use": "smooth"}], "solver": {"use": "descent"}}
    sections["loader"] = {"use": "files", "path": "data.npy"}
    plain = read_recipe(write(json.dumps(sections), "scan.json"), base.registry())
    path = write(json.dumps({"$schema": "preimage.schema.json", **sections}), "scan.json")
    assert (found := read_recipe(path, base.registry())) == plain
    assert (found.to_json(), found.digest()) == (plain.to_json(), plain.digest())
    assert read_recipe(write(f'"$schema" = "preimage.schema.json"\n{SOUND}'), base.registry()).seed == 7
    sections["solver"]["$schema"] = "preimage.schema.json"
    assert complaints(base, write(json.dumps(sections), "scan.json")) == [
        "scan.json:1: solver.'$schema': descent has no such setting (it has max_iter)"
    ]


@pytest.mark.parametrize(
    ("assignment", "of", "setting", "value"),
    [
        ("solver.max_iter=80", "solver", "max_iter", 80),
        ("prior.1.weight = 2", "prior", "weight", 2.0),
        ("prior.1.transform=identity", "prior", "transform", "identity"),  # no TOML: text
        ('prior.1."transform"="identity"', "prior", "transform", "identity"),
        ('loader.dims=["x", "y"]', "loader", "dims", ["x", "y"]),
        ("loader.dims.2=ky", "loader", "dims", ["coil", "ky"]),
        ("loader.path=/a=b", "loader", "path", "/a=b"),
        ("likelihood.use=gaussian", "likelihood", None, None),
    ],
)
def test_set_goes_over_the_file(base, write, assignment, of, setting, value):
    part = read_recipe(write(SOUND), base.registry(), [assignment]).parts[of][0]
    assert part.settings.get(setting) == value


def test_set_adds_sections(base, write):
    overrides = [
        "compute.threads=2",
        "preparation.2.use=crop",
        "preparation.2.margin=3",
        "output.path=/x/y.zarr",
        "seed=9",
    ]
    recipe = read_recipe(write(SOUND), base.registry(), overrides)
    assert [one.settings["margin"] for one in recipe.parts["preparation"]] == [1, 3]
    assert (recipe.compute.threads, str(recipe.output.path), recipe.seed) == (2, "/x/y.zarr", 9)
    without_prior = SOUND.replace('[[prior]]\nuse = "sparsity"\nweight = 5e-3\n', "")
    recipe = read_recipe(write(without_prior), base.registry(), ["prior.1.use=sparsity", "prior.1.weight=1"])
    assert recipe.parts["prior"][0].settings["weight"] == 1


NUMBER = "stands for an element of a list: write its number, 1 to 1, or 2 to add one"
INTEGER = "should be a valid integer, unable to parse string as an integer"
FORM = "write key=value, such as solver.max_iter=80 or prior.1.weight=2"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("prior.1.wieght=1", "--set prior.1.wieght: sparsity has no such setting (did you mean 'weight'?)"),
        ("solver.max_iter=lots", f"--set solver.max_iter: {INTEGER}, not 'lots'"),
        ("solver.max_iter=1\nseed=2", f"--set solver.max_iter: {INTEGER}, not '1\\nseed=2'"),  # one value, not two
        ("seed=x", "--set seed: a seed is an integer from 0, not 'x'"),
        ("slover.use=fista", "--set slover: there is no such section (did you mean 'solver'?)"),
        ("prior=[{use='smoth'}]", "--set prior.1.use: there is no prior 'smoth' (did you mean 'smooth'?)"),
        ("prior.2.use=smoth", "--set prior.2.use: there is no prior 'smoth' (did you mean 'smooth'?)"),
        ("prior.2.weight=1", '--set prior.2: say which one by use = "..." (installed: smooth, sparsity)'),
        ("solver.max_iter", f"--set solver.max_iter: {FORM}"),
        ("=3", f"--set =3: {FORM}"),
        ("", f"--set : {FORM}"),
        ("prior.weight=1", f"--set prior.weight: 'weight' {NUMBER}"),
        ("prior.3.weight=1", f"--set prior.3.weight: '3' {NUMBER}"),
        ("prior.0.weight=1", f"--set prior.0.weight: '0' {NUMBER}"),
        ("solver.use.x=1", "--set solver.use.x: there is nothing in 'fista' to be called 'x'"),
    ],
)
def test_what_set_gave_is_named_as_its_place(base, write, assignment, message):
    assert complaints(base, write(SOUND), assignment) == [message]


def test_mistakes_of_the_file_come_before_those_of_set(base, write):
    found = complaints(base, write(SOUND.replace("max_iter", "maxiter")), "prior.1.weight=-1")
    assert [line.split(":")[0] for line in found] == ["scan.toml", "--set prior.1.weight"]


def test_a_prior_says_which_unknown_it_is_on(base, write):
    recipe = read_recipe(write(SOUND.replace("weight", 'on = "image"\nweight')), base.registry())
    assert recipe.parts["prior"][0].on == "image"
    assert [part.on for part in recipe.bind(base.registry())["prior"]] == ["image"]


def test_a_prior_on_an_unknown_that_is_not_there_is_told_with_its_place_and_those_that_are(base, write):
    path = write(SOUND.replace("weight", 'on = "imge"\nweight'))
    with pytest.raises(Mistakes) as error:
        read_recipe(path, base.registry())
    line = path.read_text().splitlines().index('on = "imge"') + 1
    says = "there is no unknown 'imge': those of operator scale are image, field (did you mean 'image'?)"
    assert str(error.value) == f"{path}:{line}: prior.1.on: {says}"


def test_what_a_solver_lacks_does_not_hide_a_wrong_name(base, write):
    path = write(SOUND.replace("weight", 'on = "imge"\nweight').replace('"fista"', '"inverse"'))
    with pytest.raises(CapabilityError) as error:
        read_recipe(path, base.registry())
    first, second = str(error.value).splitlines()
    assert "prior.1.on: there is no unknown 'imge'" in first
    assert "solver: inverse cannot be used here" in second


def test_sections_in_python_are_the_same_without_a_place(base):
    registry = base.registry()
    recipe = recipe_from_sections(
        {"operator": "scale", "prior": "smooth", "solver": "descent", "simulate": None}, registry
    )
    assert [one.name for one in recipe.parts["prior"]] == ["smooth"]
    several = ({"use": "sparsity", "weight": 1}, "smooth")
    with pytest.raises(
        RequestError, match=r"^prior\.1\.wieght: sparsity has no such setting \(did you mean 'weight'\?\)$"
    ):
        recipe_from_sections(
            {"operator": "scale", "prior": {"use": "sparsity", "weight": 1, "wieght": 1}, "solver": "fista"}, registry
        )
    recipe = recipe_from_sections(
        {"operator": "scale", "prior": several, "solver": "net"} | {"solver": {"use": "net", "max_iter": 1}}, registry
    )
    assert [one.name for one in recipe.parts["prior"]] == ["sparsity", "smooth"]
    with pytest.raises(RequestError, match="^solver: the section is missing: add"):
        recipe_from_sections({"operator": "scale"}, registry)


def test_one_section_is_bound_alone(base, tmp_path):
    part = bind_section(base.registry(), "preparation", {"use": "crop", "margin": 2}, tmp_path)
    assert (part.name, part.settings.margin) == ("crop", 2)
    with pytest.raises(RequestError, match=r"^preparation\.margin: should be a valid integer"):
        bind_section(base.registry(), "preparation", {"use": "crop", "margin": "wide"}, tmp_path)
