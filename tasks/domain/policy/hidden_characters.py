"""What is read is what is written: no text that turns around, hides letters or piles up marks."""

import re
import unicodedata

from tasks.domain.policy.finding import Case, Finding, Rule

RULE = Rule(
    "hidden-characters",
    "refuse",
    x_policy=False,
    source="https://www.unicode.org/reports/tr36/",
    advice="type the text anew; it was perhaps copied from a page that hides characters",
)

ALWAYS = frozenset("\u00ad\u115f\u1160\u180e\u200b\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063")
ALSO = frozenset(
    "\u2064\u2066\u2067\u2068\u2069\u206a\u206b\u206c\u206d\u206e\u206f\u3164\ufeff\uffa0\ufff9\ufffa\ufffb"
)
DIRECTION_MARKS = frozenset("\u200e\u200f\u061c")
ZERO_WIDTH_NON_JOINER, ZERO_WIDTH_JOINER = "\u200c", "\u200d"
# A flag of a region is spelt with tags after a black flag, and ends with one.
_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f")
_TAGS = re.compile("[\U000e0000-\U000e007f]")
# What no database stores is refused before any rule is asked.
_CONTROLS = re.compile(r"[\x01-\x08\x0b-\x1f\x7f-\x9f]")
# Vietnamese and Hebrew take two marks on a letter, Thai and careful transcriptions three.
MARKS_MAX = 3


def judge(case: Case) -> Finding | None:
    """Refuses direction overrides, zero-width signs where no script wants them, fillers, tags and piles of marks."""
    text = case.draft.text
    rest = _FLAG.sub("", text)
    found = [sign for place, sign in enumerate(rest) if _is_hidden(rest, place, sign)]
    if found:
        return RULE.finds(", ".join(dict.fromkeys(_named(sign) for sign in found[:5])))
    return RULE.finds("marks piled up on one letter") if _piles_up(text) else None


def _is_hidden(text: str, place: int, sign: str) -> bool:
    if sign in ALWAYS or sign in ALSO or _TAGS.match(sign):
        return True
    if sign != "\r" and _CONTROLS.match(sign):
        return True
    if sign in DIRECTION_MARKS:
        return not any(
            unicodedata.bidirectional(other) in ("R", "AL") for other in text if other not in DIRECTION_MARKS
        )
    if sign == ZERO_WIDTH_JOINER:
        return not (_joins(text, place) or _joins_emoji(text, place))
    return sign == ZERO_WIDTH_NON_JOINER and not _joins(text, place)


def _joins(text: str, place: int) -> bool:
    """Between two letters of a script that is shaped: Arabic, Persian, and those of India and its neighbours."""
    around = (text[place - 1 : place], text[place + 1 : place + 2])
    return all(near and 0x0600 <= ord(near) <= 0x1BFF and unicodedata.category(near)[0] in "LM" for near in around)


def _joins_emoji(text: str, place: int) -> bool:
    before, after = text[max(place - 2, 0) : place], text[place + 1 : place + 2]
    pictures = [sign for sign in before if unicodedata.category(sign) in ("So", "Sk")]
    return bool(pictures) and unicodedata.category(after or " ") == "So"


def _piles_up(text: str) -> bool:
    run = 0
    for sign in unicodedata.normalize("NFD", text):
        run = run + 1 if unicodedata.category(sign) in ("Mn", "Me") and not 0xFE00 <= ord(sign) <= 0xFE0F else 0
        if run > MARKS_MAX:
            return True
    return False


def _named(sign: str) -> str:
    return f"U+{ord(sign):04X} {unicodedata.name(sign, 'a control character')}"
