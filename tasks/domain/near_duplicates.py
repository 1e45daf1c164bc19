"""Whether two texts say the same to a reader, however they are dressed up, and how to find such pairs among many.

A text is folded to its bare letters and digits; what is compared are its runs of four. MinHash bands find candidates,
and the exact share of common runs decides. A text of few letters has no shape of its own: there only equality counts.
"""

import re
import unicodedata
import zlib
from collections.abc import Sequence

import numpy as np

RUN = 4
# Below so many letters and digits a different number or name is half of the text.
SHORT = 16
BANDS, ROWS = 24, 5
# Cyrillic and Greek letters that a reader takes for Latin ones.
_LOOKALIKES = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u0501\u04bb\u04cf\u051b\u051d\u043a\u043c\u0442\u0432\u043d"
    "\u03b1\u03bf\u03c1\u03bd\u03c4\u03b9\u03ba\u03c5\u03c7\u0131",
    "aeopcyxijsdhlqwkmtbhaopvtikuxi",
)
_LINK = re.compile(r"https?://\S+|(?<![\w@.])(?:[\w-]{1,63}\.){1,8}[a-z]{2,24}(?:/\S*)?(?![\w@])", re.IGNORECASE)
_MENTION = re.compile(r"(?<!\w)@\w{1,15}")
_MARKS = re.compile("[\u0300-\u036f]+")
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0f\U000e0000-\U000e01ef]")
LINK, MENTION = "\ue000", "\ue001"

_CHANCE = np.random.default_rng(20_261_125)
_FACTORS = _CHANCE.integers(1, 2**63, BANDS * ROWS, dtype=np.uint64) | np.uint64(1)
_OFFSETS = _CHANCE.integers(0, 2**63, BANDS * ROWS, dtype=np.uint64)
_MIXING = _CHANCE.integers(1, 2**63, ROWS, dtype=np.uint64) | np.uint64(1)


def plain(text: str) -> str:
    """The words as a reader takes them: one width, one case, no accents, nothing invisible, lookalikes as Latin."""
    seen = unicodedata.normalize("NFKC", text)
    seen = "".join(letter for letter in _INVISIBLE.sub("", seen) if unicodedata.category(letter) != "Cf")
    bare = _MARKS.sub("", unicodedata.normalize("NFD", seen.casefold()))
    return unicodedata.normalize("NFC", bare).translate(_LOOKALIKES)


def normal_form(text: str) -> str:
    """The bare letters and digits, each link and each mention as one sign; of a text without any, what is in it."""
    marked = _MENTION.sub(MENTION, _LINK.sub(LINK, plain(text)))
    bare = "".join(sign for sign in marked if sign.isalnum() or sign in (LINK, MENTION))
    return bare or re.sub(r"\s+", "", marked)


def similarity(one: str, other: str) -> float:
    """Share of common runs of two normal forms, from 0 to 1; short ones are equal or not."""
    if one == other:
        return 1.0
    if min(len(one), len(other)) < SHORT:
        return 0.0
    mine, theirs = _runs(one), _runs(other)
    return len(mine & theirs) / len(mine | theirs)


def bands(form: str) -> Sequence[int]:
    """What two alike normal forms have at least one of in common, as 32-bit integers; none where there is no text."""
    if not form:
        return ()
    if len(form) < SHORT:
        return (_signed(zlib.crc32(form.encode())),)
    hashes = np.fromiter((zlib.crc32(run.encode()) for run in _runs(form)), dtype=np.uint64)
    least = (hashes[:, None] * _FACTORS + _OFFSETS >> np.uint64(32)).min(axis=0).reshape(BANDS, ROWS)
    mixed = (least * _MIXING).sum(axis=1, dtype=np.uint64) + np.arange(BANDS, dtype=np.uint64) * np.uint64(0x9E3779B9)
    return tuple(_signed(int(band) & 0xFFFFFFFF) for band in mixed ^ (mixed >> np.uint64(32)))


def _runs(form: str) -> set[str]:
    return {form[at : at + RUN] for at in range(len(form) - RUN + 1)}


def _signed(number: int) -> int:
    return number - 2**32 if number >= 2**31 else number
