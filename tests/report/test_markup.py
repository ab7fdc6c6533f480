"""What is not an element is text."""

import pytest

from preimage.report.markup import Markup, element, escaped, joined, table


def test_text_is_escaped_and_elements_are_not():
    inner = element("span", "<b>", title='"&')
    assert inner == '<span title="&quot;&amp;">&lt;b&gt;</span>'
    assert joined([inner, "<i>"]) == f"{inner}&lt;i&gt;"
    assert isinstance(joined([inner]), Markup)


def test_names_of_attributes_may_be_words_of_python():
    assert element("p", class_="a", aria_labelledby="b") == '<p class="a" aria-labelledby="b"></p>'
    assert element("meta", name="viewport", http_equiv="x") == '<meta name="viewport" http-equiv="x">'


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x7f", "\x85", "\ud800", "\uffff"])
def test_what_no_document_may_hold_is_replaced(character):
    assert escaped(f"a{character}b") == "a\ufffdb"
    escaped(character).encode()


def test_a_table_has_its_titles():
    cells = table(["<a>", "b"], [["1", "2"]])
    assert '<th scope="col">&lt;a&gt;</th><th scope="col">b</th>' in cells
    assert '<th scope="row">1</th><td>2</td>' in cells
    assert 'scope="row"' not in table(["a"], [["1"]], named=False)
