"""Where keys stand: compared with documents whose writer kept count, and whose values tomllib and json read."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preimage_registry.documents.json_keys import json_lines
from preimage_registry.documents.toml_keys import read_toml_key, toml_lines

ROOT = Path(__file__).parents[2]
TRICKY = "ab0_-.=[]{}#,'\" \\\té∑\U0001f9e0"
NAMES = st.one_of(st.from_regex(r"[A-Za-z0-9_-]{1,4}", fullmatch=True), st.text(TRICKY, max_size=4))
TEXTS = st.one_of(
    st.text(TRICKY + "\n", max_size=12),
    st.sampled_from(["", '"', '""', "'", "''", '"""', "'''", "\\", "\\\\", "[x]\na = 1\n", "# no\n", "a = '''\n"]),
)
SCALARS = st.sampled_from(
    [
        "1",
        "-2.5e-3",
        "true",
        "inf",
        "0x1F",
        "1979-05-27",
        "1979-05-27 07:32:00",
        "1979-05-27T00:32:00.5-07:00",
        "07:32:00",
    ]
)


def leaves(value, key=()):
    """Every scalar with its key; empty tables and arrays count too."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [one for name, content in inner for one in leaves(content, (*key, name))]
    return found or [key]


class Writer:
    """Writes a document and keeps count of lines."""

    def __init__(self, draw):
        self.draw = draw
        self.text = ""
        self.expected = {}

    def mark(self, key):
        self.expected.setdefault(key, self.text.count("\n") + 1)

    def write(self, text):
        self.text += text

    def one_of(self, *choices):
        return self.draw(st.sampled_from(choices))

    def names(self, least=0):
        return self.draw(st.lists(NAMES, min_size=least, max_size=3, unique=True))


class TomlWriter(Writer):
    def blank(self):
        self.write(self.one_of("", "", " ", "\t "))

    def gap(self):
        self.write(self.one_of("", " ", "\n", "\n\n  ", " # [no]\n", " # a = '''\n\t"))

    def line_end(self):
        self.write(self.one_of("\n", ' # x = """\n', "\n\n", "\n# [[no]]\n  "))

    def key(self, name):
        quoted = [self.basic(name)]
        if re.fullmatch(r"[A-Za-z0-9_-]+", name):
            quoted += [name, name]
        if "'" not in name:
            quoted.append(f"'{name}'")
        self.write(self.one_of(*quoted))

    def dotted(self, names):
        for i, name in enumerate(names):
            if i:
                self.blank()
                self.write(".")
                self.blank()
            self.key(name)

    @staticmethod
    def basic(text):
        return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

    def string(self, text):
        several = text.replace("\\", "\\\\").replace('"""', '""\\"')
        forms = [self.basic(text), '"""' + several + '"""', '"""\n' + several + '"""', '"""\\\n   ' + several + '"""']
        if "'" not in text and "\n" not in text:
            forms.append(f"'{text}'")
        if "'''" not in text:
            forms.append(f"'''{text}'''")
        self.write(self.one_of(*forms))

    def value(self, key, depth):
        sort = self.one_of("scalar", "string", "string", *(("array", "inline") if depth < 3 else ()))
        if sort == "scalar":
            self.write(self.draw(SCALARS))
        elif sort == "string":
            self.string(self.draw(TEXTS))
        elif sort == "array":
            self.array(key, depth)
        else:
            self.inline(key, depth)

    def array(self, key, depth):
        self.write("[")
        n = self.draw(st.integers(0, 3))
        for i in range(n):
            self.gap()
            self.mark((*key, i))
            self.value((*key, i), depth + 1)
            self.gap()
            self.write("," if i < n - 1 else self.one_of("", ","))
        self.gap()
        self.write("]")

    def inline(self, key, depth):
        self.write("{")
        for i, name in enumerate(self.names()):
            self.write("," if i else "")
            self.blank()
            self.pair(key, name, depth + 1)
            self.blank()
        self.write("}")

    def pair(self, table, name, depth):
        """`a = value` or `a.b = value`."""
        names = (name, *self.names()[: self.one_of(0, 0, 1, 2)])
        for i in range(len(names)):
            self.mark((*table, *names[: i + 1]))
        self.dotted(names)
        self.blank()
        self.write("=")
        self.blank()
        self.value((*table, *names), depth)

    def table(self, key, path, depth):
        """The pairs of a table, then its sub-tables; `path` is the key without indices, as headers write it."""
        names = self.names()
        inner = self.draw(st.integers(0, len(names))) if depth < 3 else len(names)
        for name in names[:inner]:
            self.pair(key, name, 1)
            self.line_end()
        for name in names[inner:]:
            if self.one_of(True, False):
                for i in range(self.one_of(1, 2, 3)):
                    self.header("[[", (*path, name), [(*key, name), (*key, name, i)])
                    self.table((*key, name, i), (*path, name), depth + 1)
            else:
                self.header("[", (*path, name), [(*key, name)])
                self.table((*key, name), (*path, name), depth + 1)

    def header(self, brackets, path, keys):
        self.write(self.one_of("", "  "))
        for key in keys:
            self.mark(key)
        self.write(brackets)
        self.blank()
        self.dotted(path)
        self.blank()
        self.write(brackets.replace("[", "]"))
        self.line_end()


class JsonWriter(Writer):
    def gap(self):
        self.write(self.one_of("", " ", "\n", "\n\n  "))

    def value(self, key, depth):
        sort = self.one_of("object", "array", *(("text", "number") if depth else ()))
        if depth > 3 or sort == "text":
            self.write(json.dumps(self.draw(TEXTS), ensure_ascii=self.one_of(True, False)))
        elif sort == "number":
            self.write(self.one_of("1", "-2.5e-3", "true", "null"))
        elif sort == "object":
            self.several("{}", key, self.names(), depth)
        else:
            self.several("[]", key, range(self.one_of(0, 1, 3)), depth)

    def several(self, brackets, key, names, depth):
        self.write(brackets[0])
        for i, name in enumerate(names):
            self.write("," if i else "")
            self.gap()
            self.mark((*key, name))
            if brackets == "{}":
                self.write(json.dumps(name))
                self.gap()
                self.write(":")
                self.gap()
            self.value((*key, name), depth + 1)
            self.gap()
        self.gap()
        self.write(brackets[1])


@st.composite
def toml_documents(draw):
    writer = TomlWriter(draw)
    writer.write(writer.one_of("", "\n", "# a = 1\n\n"))
    writer.table((), (), 0)
    return writer.text, writer.expected


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@FUZZ
@given(toml_documents())
def test_every_key_of_a_toml_document_has_its_line(document):
    text, expected = document
    lines = toml_lines(text)
    for key in leaves(tomllib.loads(text)):
        if key:
            assert lines[key] == expected[key], (key, text)
    assert {key: lines.get(key) for key in expected} == expected, text  # tables, arrays and elements too


@st.composite
def json_documents(draw):
    writer = JsonWriter(draw)
    writer.gap()
    writer.value((), 0)
    return writer.text, writer.expected


@FUZZ
@given(json_documents())
def test_every_key_of_a_json_document_has_its_line(document):
    text, expected = document
    assert json_lines(text) == expected, text
    assert set(expected) >= {key for key in leaves(json.loads(text)) if key}


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.toml"), key=str)[:40], ids=lambda path: path.name)
def test_every_key_of_a_real_document_is_on_its_line(path):
    text = path.read_text()
    lines = toml_lines(text)
    for key in leaves(tomllib.loads(text)):
        name = next((part for part in reversed(key) if isinstance(part, str)), None)
        if name is not None:
            of_name = key[: len(key) - key[::-1].index(name)]
            assert name in text.splitlines()[lines[of_name] - 1]


@pytest.mark.parametrize(
    ("text", "names", "rest"),
    [
        ("solver.max_iter=80", ("solver", "max_iter"), "=80"),
        (" \"a.b\" . 'c d' = 1", ("a.b", "c d"), "= 1"),
        (r'"\u00e9\"" = 1', ('é"',), "= 1"),
    ],
)
def test_a_dotted_key_is_read_with_its_quotes(text, names, rest):
    found, end = read_toml_key(text)
    assert (found, text[end:]) == (names, rest)


@pytest.mark.parametrize("text", ["", "= 1", "a. = 1", '"open = 1', "!"])
def test_what_is_no_key_is_an_error(text):
    with pytest.raises(ValueError, match="a key is expected"):
        read_toml_key(text)
