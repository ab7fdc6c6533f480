"""Reading an HTML document strictly: what a browser would forgive is a mistake here."""

import base64
import io
import itertools
from html.parser import HTMLParser

from PIL import Image

VOID = {"img", "meta"}
ALLOWED = VOID | {
    *("html", "head", "title", "style", "body", "main", "header", "section", "footer"),
    *("h1", "h2", "h3", "h4", "p", "ul", "li", "pre", "div", "span", "figure", "figcaption"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}


class Document(HTMLParser):
    """A parsed document.

    Attributes
    ----------
    elements : (name, attributes) in order.
    texts : the text of every closed element, with that of those inside, by name.
    """

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.texts = []
        self._open = []
        assert text.startswith("<!DOCTYPE html>\n")
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        assert tag in ALLOWED, tag
        attributes = dict(attrs)
        assert len(attributes) == len(attrs), f"twice in {tag}: {attrs}"
        assert not any(name.startswith("on") for name in attributes), attrs
        self.elements.append((tag, attributes))
        if tag not in VOID:
            self._open.append((tag, []))

    def handle_endtag(self, tag):
        opened, pieces = self._open.pop()
        assert opened == tag, f"</{tag}> closes <{opened}>"
        text = "".join(pieces)
        self.texts.append((tag, text))
        if self._open:
            self._open[-1][1].append(text)

    def handle_data(self, data):
        if data.strip():
            assert self._open, data
        if self._open:
            self._open[-1][1].append(data)

    def of(self, tag):
        """Attributes of all elements of a name."""
        return [attributes for name, attributes in self.elements if name == tag]

    def text_of(self, tag):
        """Texts of all elements of a name, in the order in which they end."""
        return [text for name, text in self.texts if name == tag]

    def pictures(self):
        """Alternative text and pixels, RGBA, of every PNG of a plane or a scale."""
        return [
            (image["alt"], Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))))
            for image in self.of("img")
            if image["src"].startswith("data:image/png;base64,")
        ]


def check(text):
    """Parse a document, and check that it is whole, self-contained and accessible."""
    document = Document(text)
    for tag, attributes in document.elements:
        for name in ("src", "href", "srcset", "poster", "action", "data"):
            assert attributes.get(name, "#").startswith(("data:", "#")), (tag, attributes)
        assert "url(" not in attributes.get("style", "")
    (style,) = document.text_of("style")
    assert "url(" not in style
    assert "@import" not in style
    assert all(image["alt"] for image in document.of("img"))
    assert all(cell["scope"] in ("col", "row") for cell in document.of("th"))
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = {attributes["aria-labelledby"] for attributes in document.of("section")}
    assert labels <= set(ids)
    levels = [int(tag[1]) for tag, _ in document.elements if tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    for _, picture in document.pictures():
        picture.load()
        assert picture.mode == "RGBA"
    return document
