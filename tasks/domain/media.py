"""What a file is, as X takes it: by its first bytes, never by its name."""

from dataclasses import dataclass
from typing import Literal

Category = Literal["tweet_image", "tweet_gif", "tweet_video"]

# Source: https://docs.x.com/x-api/media/quickstart/best-practices, read 2026-08-22.
BYTES_MAX: dict[Category, int] = {
    "tweet_image": 5 * 1024 * 1024,
    "tweet_gif": 15 * 1024 * 1024,
    "tweet_video": 512 * 1024 * 1024,
}
# How much of a file tells what it is.
HEAD_BYTES = 16
ALT_TEXT_CHARACTERS_MAX = 1000
IMAGES_MAX = 4


class MediaError(ValueError):
    """A file that X does not take as media of a post; the message says why and what it takes."""


@dataclass(frozen=True)
class Kind:
    """How X calls a file."""

    media_type: str
    category: Category


@dataclass(frozen=True)
class UploadedKey:
    """What X calls media that lies there for one attempt."""

    x_media_id: str
    media_key: str | None


def kind_of(head: bytes) -> Kind:
    """What a file is that begins with these bytes; raises MediaError."""
    if head.startswith(b"\xff\xd8\xff"):
        return Kind("image/jpeg", "tweet_image")
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return Kind("image/png", "tweet_image")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Kind("image/webp", "tweet_image")
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return Kind("image/gif", "tweet_gif")
    if head[4:8] == b"ftyp":
        return Kind("video/quicktime" if head[8:12] == b"qt  " else "video/mp4", "tweet_video")
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return Kind("video/webm", "tweet_video")
    raise MediaError("it is none of JPEG, PNG, WebP, GIF, MP4, QuickTime or WebM by its first bytes")


def check_size(kind: Kind, total_bytes: int) -> None:
    """Raises MediaError for a file that is too large for its kind."""
    most = BYTES_MAX[kind.category]
    if total_bytes > most:
        raise MediaError(f"it has {total_bytes:,} bytes, and X takes {most:,} of {kind.media_type}")


def check_together(categories: list[Category]) -> None:
    """Raises MediaError where X would not take these in one post: pictures alone, or one film or GIF by itself."""
    if len(categories) > 1 and any(category != "tweet_image" for category in categories):
        raise MediaError("a GIF or a film stands alone in a post; only pictures go together")
