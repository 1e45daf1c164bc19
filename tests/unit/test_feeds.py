"""RSS and Atom as they are met: what can be read is read, what is no feed says what it is."""

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.documents import UnreadableError
from blocks.feeds import parse_feed

RSS = b"""\n
<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE rss [<!ENTITY % HTMLlat1 PUBLIC "-//W3C//ENTITIES Latin 1 for XHTML//EN" "xhtml-lat1.ent"> %HTMLlat1;]>
<rss version="2.0" xmlns:media="http://search.yahoo.com/mrss/" xmlns:content="http://purl.org/rss/1.0/modules/content/">
<channel><title>City &amp;amp; Sea</title><link>https://news.example/</link><language>pt-BR</language>
<image><title>Not the channel's</title></image>
<item><title><![CDATA[
  Ferry&nbsp;back, AT&amp;T <b>out</b>
]]></title><media:content><media:title>Not the item's</media:title></media:content><media:title></media:title>
<link>/2026/ferry?a=1&amp;b=2</link><guid isPermaLink="false">42</guid>
<description>&lt;p&gt;Caf&eacute; &amp;lt;3&lt;/p&gt;&lt;script&gt;evil()&lt;/script&gt;
&lt;p&gt;Two&lt;/p&gt;</description>
<pubDate>Mon, 28 Sep 2026 12:10:00 PDT</pubDate></item>
<item><description>No title & a bare ampersand</description><guid>https://news.example/2</guid><unknown:x>y</unknown:x></item>
<item><title></title></item>
</channel></rss>"""
ATOM = b"""<a:feed xmlns:a="http://www.w3.org/2005/Atom" xml:base="https://blog.example/en/" xml:lang="en">
<a:title>Notes</a:title><a:updated>2026-07-03T19:47:18+02:00</a:updated>
<a:entry xml:lang="de-AT"><a:id>tag:blog.example,2026:1</a:id>
<a:title type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">Use <b>bold</b> &lt;b&gt;</div></a:title>
<a:link rel="self" href="1.atom"/><a:link rel="alternate" type="text/html" href="../1?x=1&amp;y=2"/>
<a:summary>1 &lt; 2 &amp;amp; <![CDATA[<i>]]></a:summary><a:published>2026-07-01T00:00:00Z</a:published>
<a:updated>2026-07-02T00:00:00Z</a:updated></a:entry>
<a:entry><a:id>2</a:id><a:title type="html">&lt;b&gt;Slack&lt;/b&gt; &amp;amp; co</a:title>
<a:link href="https://www.google.com/url?rct=j&amp;url=https://target.example/a%3Fb&amp;ct=ga"/></a:entry></a:feed>"""
RDF = b"""<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="https://n.example/"><title>N</title>
<dc:language>fr</dc:language></channel><item rdf:about="https://n.example/1"><title>Un</title>
<link>https://n.example/1</link><dc:date>2026-07-03</dc:date></item></rdf:RDF>"""
BOMB = b'<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">' + b"".join(
    b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9)
)


def test_rss_as_it_is_met() -> None:
    feed = parse_feed(RSS)
    assert (feed.title, feed.link, feed.language) == ("City & Sea", "https://news.example/", "pt")
    assert (feed.stood, len(feed.entries), feed.complete) == (3, 2, True)
    first, second = feed.entries
    assert (first.guid, first.title) == ("42", "Ferry back, AT&T out")
    assert first.link == "https://news.example/2026/ferry?a=1&b=2"
    assert first.summary == "Café <3 Two"
    assert first.published_at == datetime(2026, 9, 28, 19, 10, tzinfo=UTC)
    assert first.updated_at is None
    assert second.title == second.summary == "No title & a bare ampersand"
    assert second.link == second.guid == "https://news.example/2"


def test_atom_says_itself_what_is_markup() -> None:
    first, second = parse_feed(ATOM).entries
    assert (first.title, first.language) == ("Use bold <b>", "de")
    assert first.link == "https://blog.example/1?x=1&y=2"
    assert first.summary == "1 < 2 &amp; <i>"
    assert (first.published_at, first.updated_at) == (
        datetime(2026, 7, 1, tzinfo=UTC),
        datetime(2026, 7, 2, tzinfo=UTC),
    )
    assert (second.title, second.link, second.language) == ("Slack & co", "https://target.example/a?b", "en")


def test_rss_1_keeps_its_items_beside_the_channel() -> None:
    feed = parse_feed(RDF)
    [entry] = feed.entries
    assert (feed.title, entry.guid, entry.language) == ("N", "https://n.example/1", "fr")
    assert entry.published_at == datetime(2026, 7, 3, tzinfo=UTC)


@pytest.mark.parametrize("encoding", ["utf-8", "windows-1251", "koi8-r", "utf-16", "utf-16-le", "iso-2022-jp"])
def test_other_encodings_are_read(encoding: str) -> None:
    title = "日本語" if encoding == "iso-2022-jp" else "Привет"
    declared = encoding.removesuffix("-le")
    page = (
        f'<?xml version="1.0" encoding="{declared}"?><rss><channel><item><title>{title}</title></item></channel></rss>'
    )
    assert parse_feed(page.encode(encoding)).entries[0].title == title


def test_bytes_of_another_encoding_than_declared_are_lost_and_nothing_else() -> None:
    page = b"<rss><channel><item><title>caf\xe9 \x00\x08ok</title></item></channel></rss>"
    assert parse_feed(page).entries[0].title == "caf\ufffd ok"


@pytest.mark.parametrize("cut", range(300, len(ATOM) - 9, 97))
def test_a_feed_that_was_cut_off_says_so(cut: int) -> None:
    feed = parse_feed(ATOM[:cut])
    assert not feed.complete


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (b"", "nothing was sent"),
        (b"{}", "not XML, but JSON"),
        (b"<!DOCTYPE html><title>x</title>", "an HTML page"),
        (b"<opml><body/></opml>", "not a feed"),
        (b"<rss>" * 100_000, "nested more than 60 deep"),
        (b"<rss>" + b" " * 10_000_000, "of which at most"),
        (b"\x1f\x8b\x08\x00", "something else"),
    ],
)
def test_what_is_no_feed_says_what_it_is(page: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        parse_feed(page)


@pytest.mark.parametrize(
    "page",
    [
        BOMB + b"]><rss><item><title>&j;&j;ok</title></item></rss>",
        b"<!--" + b"x" * 30_000 + b"-->" + BOMB + b"]><rss><item><title>&j;&j;ok</title></item></rss>",
        b"<rss><item><title>" + b"&j;" * 300_000 + b"ok</title></item></rss>",
        b"<rss><item><title>ok</title><description>" + b"&lt;script&gt;" * 150_000 + b"</description></item></rss>",
        b"<rss><item><title>ok</title>" + b"<a><b>c</b></a>" * 100_000 + b"</item></rss>",
        b"<rss><item><title>ok</title></item>" + b"<item><title>x</title></item>" * 50_000 + b"</rss>",
        b"<!DOCTYPE[" * 100 + b"<rss><item><title>ok</title></item></rss>",
    ],
    ids=["bomb", "late bomb", "entities", "scripts", "fields", "items", "doctypes"],
)
def test_a_hostile_feed_costs_little(page: bytes) -> None:
    started = time.process_time()
    try:
        feed = parse_feed(page)
        assert len(feed.entries) <= 1000
        assert not feed.entries or feed.entries[0].title == "ok"
    except UnreadableError:
        pass
    assert time.process_time() - started < 10


@settings(max_examples=150)
@given(st.lists(st.sampled_from([*RSS.split(b"<"), *ATOM.split(b"<"), b"<", b"&", b"\xff", b"]]>"]), max_size=40))
def test_pieces_of_feeds_in_any_order_raise_nothing_else(pieces: list[bytes]) -> None:
    try:
        feed = parse_feed(b"<rss>" + b"<".join(pieces))
    except UnreadableError:
        return
    assert all(entry.guid and entry.title and "\x00" not in entry.title for entry in feed.entries)
