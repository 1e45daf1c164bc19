"""How long X counts a text to be."""

from twitter_text import parse_tweet

WEIGHTED_LENGTH_MAX = 280


def weighted_length(text: str) -> int:
    """Length in X's weighted characters: most Latin ones count 1, others and emoji 2, any URL 23 (twitter-text v3)."""
    return int(parse_tweet(text).weightedLength)
