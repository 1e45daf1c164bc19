"""How long X counts a text to be, and whether it takes it."""

from twitter_text import parse_tweet

WEIGHTED_LENGTH_MAX = 280
REFUSED_CHARACTERS = "\ufeff\ufffe\uffff"
"""A byte order mark and what Unicode sets aside as no characters."""


def weighted_length(text: str) -> int:
    """Length in X's weighted characters: most Latin ones count 1, others and emoji 2, any URL 23 (twitter-text v3)."""
    return int(parse_tweet(text).weightedLength)


def why_refused(text: str) -> str | None:
    """What X has against a text by itself (twitter-text v3); None where it takes it."""
    if not text.strip():
        return "nothing but white space"
    if strange := sorted({f"U+{ord(character):04X}" for character in text if character in REFUSED_CHARACTERS}):
        return f"{', '.join(strange)} in it, which X takes in no text"
    length = weighted_length(text)
    return f"{length} weighted characters, X takes {WEIGHTED_LENGTH_MAX}" if length > WEIGHTED_LENGTH_MAX else None
