"""Trends by name: how spellings of one thing are told to be one, and what is no trend at all.

Names come from outside in any script, as hashtags and as headlines. The canonical name is what history is kept by; the
cluster is what two sources have in common that write it with and without spaces.
"""

import re
import unicodedata
from functools import lru_cache

NAME_CHARACTERS_MAX = 200
# A phone number has at least so many digits; a date or a score has fewer in a row.
PHONE_DIGITS_MIN = 9
# A name that changes its script this often within a word is no word of any language.
SWITCHES_MAX = 1
SCRIPTS_MAX = 2

_WORDS_OF_HASHTAG = re.compile(r"(?<=[a-zß-öø-ÿ\d])(?=[A-ZÀ-ÖØ-Þ])|(?<=[A-Z])(?=[A-Z][a-z])|_+")
_HASHES = ("#", "＃")  # noqa: RUF001 - the wide one is typed in Japan
_DIGITS_IN_A_ROW = re.compile(r"\+?\d(?:[\s().\-/]{0,2}\d)+")
_DATE = re.compile(r"(?:19|20)\d\d[./-]\d{1,2}[./-]\d{1,2}|\d{1,2}[./-]\d{1,2}[./-](?:19|20)\d\d")
# Letters that are drawn as a Latin one and are none.
_LOOKALIKES = frozenset("аеорсухіѕјһԁԛԝ" + "οαικυνχ")  # noqa: RUF001 - that is the point
# Alphabets whose words do not share their letters; others mix by right (Japanese) or know no space between words.
_ALPHABETS = ("LATIN", "CYRILLIC", "GREEK", "ARABIC", "HEBREW", "ARMENIAN", "GEORGIAN")


@lru_cache(maxsize=65_536)
def canonical(name: str) -> str:
    """The form by which names are compared; empty where nothing is left of it.

    Compatibility forms are one (NFKC), so are large and small letters and the four Turkish ones of i. Marks that nobody
    sees go, a hashtag is taken apart into its words: `#BlackFriday`, `#black_friday` and `Black Friday` are one.
    """
    seen = "".join(" " if mark.isspace() else mark for mark in unicodedata.normalize("NFKC", name) if _shows(mark))
    folded = " ".join(_folded(" ".join(map(_words, seen.split()))).split())
    return folded[:NAME_CHARACTERS_MAX].strip(" .,;:!?\"'()[]#-_")


def _words(word: str) -> str:
    return _WORDS_OF_HASHTAG.sub(" ", word.lstrip("#")) if word.startswith(_HASHES) else word


def _shows(mark: str) -> bool:
    """No control codes, and none of the marks that turn or hide text."""
    return mark.isspace() or unicodedata.category(mark) not in ("Cc", "Cf", "Cs", "Co", "Cn")


def _folded(seen: str) -> str:
    folded = unicodedata.normalize("NFKC", seen.casefold())
    # İ folds to an i with a dot above it, and ı to nothing else than itself.
    return unicodedata.normalize("NFKC", folded.replace("i\u0307", "i").replace("ı", "i"))  # noqa: RUF001


def cluster(canonical_name: str) -> str:
    """What spellings of one thing have in common: its letters and digits alone."""
    return "".join(mark for mark in canonical_name if mark.isalnum() or unicodedata.combining(mark)) or canonical_name


def spam(name: str) -> str | None:
    """Why a name is no trend; None where it may be one."""
    seen = unicodedata.normalize("NFKC", name)
    for found in _DIGITS_IN_A_ROW.finditer(_DATE.sub(" ", seen)):
        if sum(mark.isdigit() for mark in found[0]) >= PHONE_DIGITS_MIN:
            return "a phone number"
    words = [[script for mark in word if (script := _alphabet(mark))] for word in re.split(r"[\W\d_]+", seen)]
    if len({script for word in words for script in word}) > SCRIPTS_MAX or any(_switches(word) for word in words):
        return "mixed scripts"
    if any(_is_disguised(word) for word in re.split(r"[\W\d_]+", seen.casefold())):
        return "letters in disguise"
    return None


def _alphabet(mark: str) -> str | None:
    if mark.isascii():
        return "LATIN" if mark.isalpha() else None
    named = unicodedata.name(mark, "").partition(" ")[0]
    return named if named in _ALPHABETS else None


def _switches(scripts: list[str]) -> bool:
    return sum(one != two for one, two in zip(scripts, scripts[1:], strict=False)) > SWITCHES_MAX


def _is_disguised(word: str) -> bool:
    """A word in Latin letters, some of which are others that look like them."""
    strange = [mark for mark in word if not mark.isascii() and _alphabet(mark) in ("CYRILLIC", "GREEK")]
    return bool(strange) and any(mark.isascii() for mark in word) and all(mark in _LOOKALIKES for mark in strange)
