"""What is in a text: words, mentions, hashtags, links, as X and a reader take them."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

from twitter_text import extract_urls_with_indices

from tasks.domain.near_duplicates import plain

_MENTION = re.compile(r"(?<![\w@/.!#$%&*])[@＠]([A-Za-z0-9_]{1,15})(?![\w@＠]|://)")  # noqa: RUF001
_HASHTAG = re.compile(r"(?<![\w&/])[#＃]([\w]{1,100})")  # noqa: RUF001
_CASHTAG = re.compile(r"(?<![\w$])\$[A-Za-z]{1,6}(?:[._][A-Za-z]{1,2})?(?![\w$])")
# Scripts that put no space between words: there a term is found anywhere.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


def mentions(text: str) -> Sequence[str]:
    """Accounts that a text names, in lower case and in order."""
    return tuple(dict.fromkeys(found.lower() for found in _MENTION.findall(_without_links(text))))


def hashtags(text: str) -> Sequence[str]:
    """Hashtags without their sign, folded; one of digits alone is none."""
    found = _HASHTAG.findall(unicodedata.normalize("NFKC", _without_links(text)))
    return tuple(dict.fromkeys(tag.casefold() for tag in found if not tag.isdigit()))


def cashtags(text: str) -> Sequence[str]:
    """Every cashtag that X makes a link of."""
    return _CASHTAG.findall(_without_links(text))


def links(text: str) -> Sequence[str]:
    """Every link that X makes one of, in order, by twitter-text's own rules."""
    return tuple(dict.fromkeys(str(found["url"]) for found in extract_urls_with_indices(text)))


def terms_in(text: str, terms: Iterable[str]) -> Sequence[str]:
    """Those of the terms that a reader finds in the text, whatever it is dressed up in."""
    words = _words(text)
    return tuple(term for term in terms if (bare := _bare(term)) in words and _pattern(term, bare).search(words))


def _words(text: str) -> str:
    return " ".join(re.findall(r"[\w#@$]+", plain(text)))


@lru_cache(maxsize=50_000)
def _bare(term: str) -> str:
    # A term without any letter is found nowhere.
    return _words(term.removesuffix("*")) or "\n"


@lru_cache(maxsize=10_000)
def _pattern(term: str, bare: str) -> re.Pattern[str]:
    if _UNSPACED.search(bare):
        return re.compile(re.escape(bare))
    # A hashtag of the word is the word; a term that is a hashtag is that alone.
    begins = r"(?<![\w@$#])" if bare[0] in "#@$" else r"(?<![\w@$])#?(?<!\w)"
    return re.compile(begins + re.escape(bare) + ("" if term.endswith("*") else r"(?!\w)"))


def _without_links(text: str) -> str:
    for link in links(text):
        text = text.replace(link, " ")
    return text
