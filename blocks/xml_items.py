"""The items of an XML document, read without building a tree: neither size nor depth nor entities can hurt.

What strangers send is seldom well-formed: bare `&nbsp;`, prefixes that nobody declared, bytes of another encoding, an
end that is missing. What can be read is read, and `complete` says whether the document came to its end.
"""

import codecs
import html.entities
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from lxml import etree

from blocks.documents import HTML_PAGE, UnreadableError, look

XML_BYTES_MOST = 10_000_000
ITEMS_MOST = 1000
FIELDS_MOST = 120
NAMES_MOST = 500
DEPTH_MOST = 60
TEXT_CHARACTERS_MOST = 200_000
LEVELS = 2  # of an item: its elements, and those directly inside them
CHUNK_BYTES = 65_536
# A prefix of ours for each vocabulary, whatever prefix the document has for it.
PREFIXES = (
    ("http://www.w3.org/2005/Atom", ""),
    ("http://purl.org/atom/ns#", ""),
    ("http://purl.org/rss/1.0/modules/content/", "content:"),
    ("http://purl.org/rss/1.0/modules/syndication/", "sy:"),
    ("http://purl.org/rss/1.0/", ""),
    ("http://my.netscape.com/", ""),
    ("http://backend.userland.com/", ""),
    ("http://blogs.law.harvard.edu/tech/rss", ""),
    ("http://www.w3.org/1999/02/22-rdf-syntax-ns#", "rdf:"),
    ("http://www.w3.org/XML/1998/namespace", "xml:"),
    ("http://purl.org/dc/", "dc:"),
    ("http://rssnamespace.org/feedburner/", "feedburner:"),
    ("https://trends.google.com/", "ht:"),
    ("http://trends.google.com/", "ht:"),
    ("https://www.google.com/trends/", "ht:"),
    ("http://www.google.com/trends/", "ht:"),
)
DOCTYPE = re.compile(rb"<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>", re.DOTALL | re.IGNORECASE)
ENTITY = re.compile(rb"&(?:(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});|([^#&;<>\s][^&;<>\s]{0,60});)?")
AMPERSAND = b"&#38;"
ENTITY_BYTES_MOST = 70
DECLARED = re.compile(rb"^<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"'][^>]{0,200}\?>")
NO_XML = bytes(code for code in range(32) if code not in (9, 10, 13))
WIDE = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
# Encodings that a page may declare; all else is read as UTF-8.
EIGHT_BIT = re.compile(
    r"(?:iso-8859-(?:[1-9]|1[03-6])|windows-125[0-8]|koi8-[ru]|shift_jis|euc-(?:jp|kr)|iso-2022-jp|gbk|gb2312|gb18030|big5"
    r"|us-ascii|macintosh|tis-620)$"
)
AS_BROWSERS_DO = {
    "iso-8859-1": "cp1252",
    "us-ascii": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
}
LOOKED_AT_BYTES = 20_000


@dataclass(slots=True)
class Field:
    """An element of an item: its name by our prefixes, its attributes, its text with that of all inside it."""

    name: str
    attributes: Mapping[str, str]
    parts: list[str] = field(default_factory=list)
    inside: list["Field"] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All the text inside."""
        return "".join(self.parts).strip()

    def one(self, *names: str) -> "Field | None":
        """The first element directly inside that has one of these names and any text; an earlier name wins."""
        return next((each for name in names for each in self.inside if each.name == name and each.text), None)

    def first(self, *names: str) -> str:
        """Its text, or none."""
        found = self.one(*names)
        return found.text if found else ""

    def all(self, name: str) -> list["Field"]:
        """The elements directly inside that have this name."""
        return [each for each in self.inside if each.name == name]


@dataclass(slots=True)
class _Room:
    """What is still taken of an item, or of the head."""

    fields: int = FIELDS_MOST
    characters: int = TEXT_CHARACTERS_MOST


@dataclass(frozen=True)
class Items:
    """`head` is what stands beside the items (a channel's title, its language); `root` the name of the document."""

    root: str
    namespaces: frozenset[str]
    head: Field
    items: tuple[Field, ...]
    complete: bool


class _Enough(Exception):  # noqa: N818 - no error: the rest is not needed
    """As many items as are wanted."""


@dataclass(slots=True)
class _Open:
    """An element that has begun: what it became, if anything, and whose text its own is part of."""

    field: Field | None
    heard_by: tuple[Field, ...] = ()


IGNORED = _Open(None)


class _Reader:
    """Takes lxml's calls; what stands inside one of `channels` belongs to the head, as what stands beside them does."""

    def __init__(self, item_names: Collection[str], channels: Collection[str]) -> None:
        self._item_names, self._channels = item_names, channels
        self.root = ""
        self.namespaces: set[str] = set()
        self.head = Field("", {})
        self.items: list[Field] = []
        self._open: list[_Open] = []
        self._names: dict[str, str] = {}
        self._head_room = self._room = _Room()
        self._item_depth = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if len(self._open) >= DEPTH_MOST:
            raise UnreadableError(f"XML nested more than {DEPTH_MOST} deep")
        name = self._names.get(tag) or self._known(tag)
        if self._open:
            self._open.append(self._place(name, attributes, self._open[-1]))
        elif not self.root:
            self.root = name
            self.head = Field(name, _ours(attributes))
            self._open.append(_Open(self.head))
        else:
            self._open.append(IGNORED)

    def _place(self, name: str, attributes: Mapping[str, str], outer: _Open) -> _Open:
        if outer.field is self.head:
            if name in self._item_names:
                return self._item(name, attributes)
            if name in self._channels:
                self.head.attributes = {**self.head.attributes, **_ours(attributes)}
                return _Open(self.head)
        if outer.field is None or len(outer.heard_by) >= LEVELS or self._room.fields <= 0:
            return _Open(None, outer.heard_by) if outer.heard_by else IGNORED
        self._room.fields -= 1
        found = Field(name, _ours(attributes))
        outer.field.inside.append(found)
        return _Open(found, (*outer.heard_by, found))

    def _item(self, name: str, attributes: Mapping[str, str]) -> _Open:
        if len(self.items) >= ITEMS_MOST:
            raise _Enough
        self._room, self._item_depth = _Room(), len(self._open)
        self.items.append(Field(name, _ours(attributes)))
        return _Open(self.items[-1])

    def end(self, tag: str) -> None:
        if self._open:
            self._open.pop()
            if len(self._open) == self._item_depth:
                self._room = self._head_room

    def data(self, text: str) -> None:
        if self._open and self._open[-1].heard_by and self._room.characters > 0:
            self._room.characters -= len(text)
            for each in self._open[-1].heard_by:
                each.parts.append(text)

    def close(self) -> None:
        """The end of the document."""

    def _known(self, tag: str) -> str:
        namespace, _, local = tag[1:].rpartition("}") if tag.startswith("{") else ("", "", tag)
        name = _prefixed(namespace, local) if namespace else local
        if len(self._names) < NAMES_MOST:
            self._names[tag] = name
            self.namespaces.add(namespace)
        return name


def read_items(page: bytes, item_names: Collection[str], channels: Collection[str] = ("channel",)) -> Items:
    """The first 1,000 items of a document; raises UnreadableError for what is no XML at all."""
    if len(page) > XML_BYTES_MOST:
        raise UnreadableError(f"{len(page):,} bytes, of which at most {XML_BYTES_MOST:,} are read")
    text = _plain(page)
    if not text.startswith(b"<") or look(text) == HTML_PAGE:
        raise UnreadableError("nothing was sent" if not text else f"not XML, but {look(text)}")
    reader = _Reader(item_names, channels)
    complete = False
    try:
        _feed(reader, text)
        complete = _is_whole(text, reader.root)
    except _Enough:
        complete = True
    except (etree.LxmlError, LookupError, ValueError, AssertionError):
        if not reader.root:
            raise UnreadableError(f"not XML, but {look(text)}") from None
    return Items(reader.root, frozenset(reader.namespaces), reader.head, tuple(reader.items), complete)


def _feed(reader: _Reader, text: bytes) -> None:
    parser = etree.XMLParser(
        target=reader,
        recover=True,
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    at = 0
    while at < len(text):
        end = at + CHUNK_BYTES
        cut = text.rfind(b"&", max(at + 1, end - ENTITY_BYTES_MOST), end) if end < len(text) else -1
        end = cut if cut > at else end
        parser.feed(ENTITY.sub(_numbered, text[at:end]))
        at = end
    parser.close()


def _plain(page: bytes) -> bytes:
    """The page in UTF-8, without what makes the parser give up: a start that is none, a document type, bad bytes."""
    text = _decoded(page).lstrip().encode("utf-8", "replace")
    text = DECLARED.sub(b"", text, count=1).translate(None, NO_XML).lstrip()
    at = text[:LOOKED_AT_BYTES].upper().find(b"<!DOCTYPE")
    found = DOCTYPE.match(text, at) if at >= 0 else None
    if found:
        text = text[:at] + text[found.end() :]
    return text.lstrip()


def _decoded(page: bytes) -> str:
    for mark, encoding in WIDE:
        if page.startswith(mark):
            return page.decode(encoding, "replace").lstrip("\ufeff")
    page = page.removeprefix(codecs.BOM_UTF8).lstrip()
    declared = DECLARED.match(page)
    named = declared[1].decode().lower() if declared else "utf-8"
    return page.decode(AS_BROWSERS_DO.get(named, named) if EIGHT_BIT.match(named) else "utf-8", "replace")


def _numbered(found: re.Match[bytes]) -> bytes:
    """An entity as a number, so that none is left to be looked up; a bare ampersand as one, too."""
    if found[1]:
        return found[0]
    return _number_of(found[2]) if found[2] else AMPERSAND


@lru_cache(4096)
def _number_of(name: bytes) -> bytes:
    """Nothing for a name that HTML does not know."""
    characters = html.entities.html5.get(name.decode("utf-8", "replace") + ";", "")
    return "".join(f"&#{ord(each)};" for each in characters).encode()


def _is_whole(text: bytes, root: str) -> bool:
    """Whether the last thing in the document is the end of its root; the parser mends a missing one silently."""
    end = text[-4000:]
    at = end.rfind(b"</")
    local = root.rpartition(":")[2].encode()
    return (
        bool(re.match(rb"</(?:[A-Za-z0-9_.-]{1,40}:)?" + re.escape(local) + rb"\s*>", end[at:]))
        if at >= 0
        else (bool(re.search(rb"/>\s*$", end)))
    )


def _prefixed(namespace: str, local: str) -> str:
    return next((prefix + local for start, prefix in PREFIXES if namespace.startswith(start)), "other:" + local)


def _ours(attributes: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in attributes.items():
        if len(found) == 20:
            break
        namespace, _, local = name[1:].rpartition("}") if name.startswith("{") else ("", "", name)
        found[_prefixed(namespace, local) if namespace else local] = value[:4000].replace("&#38;", "&")
    return found
