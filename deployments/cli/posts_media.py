"""Files that posts show: looked at here first, then given to the gateway."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from deployments.cli.client import Api
from tasks.domain.media import (
    ALT_TEXT_CHARACTERS_MAX,
    HEAD_BYTES,
    IMAGES_MAX,
    MediaError,
    check_size,
    check_together,
    kind_of,
)


@dataclass(frozen=True)
class MediaFile:
    """A file of this machine, and what it shows for those who cannot see it."""

    path: Path
    alt_text: str | None


def files(paths: Sequence[str], alt_texts: Sequence[str], folder: Path) -> tuple[MediaFile, ...]:
    """The files that were named, paths being relative to `folder`; raises MediaError for what X would not take."""
    if len(alt_texts) > len(paths):
        raise MediaError(f"there are {len(alt_texts)} alternative texts for {len(paths)} files")
    if len(paths) > IMAGES_MAX:
        raise MediaError(f"there are {len(paths)} files, and a post shows {IMAGES_MAX} at most")
    categories = []
    for written in paths:
        path = folder / written
        try:
            with path.open("rb") as file:
                kind = kind_of(file.read(HEAD_BYTES))
            check_size(kind, path.stat().st_size)
        except OSError as error:
            raise MediaError(f"{path}: cannot be read: {error.strerror}") from None
        except MediaError as error:
            raise MediaError(f"{path}: {error}") from None
        categories.append(kind.category)
    check_together(categories)
    for alt_text in alt_texts:
        if len(alt_text) > ALT_TEXT_CHARACTERS_MAX:
            raise MediaError(f"an alternative text has {len(alt_text)} characters, X takes {ALT_TEXT_CHARACTERS_MAX}")
    said = [*alt_texts, *[""] * (len(paths) - len(alt_texts))]
    return tuple(MediaFile(folder / path, text.strip() or None) for path, text in zip(paths, said, strict=True))


def upload(gateway: Api, bot: str, wanted: Sequence[MediaFile]) -> tuple[UUID, ...]:
    """Give the files to the gateway; what it has already is not kept twice."""
    ids = []
    for one in wanted:
        with one.path.open("rb") as content:
            found = gateway.upload("/media", content, bot=bot, file_name=one.path.name[-255:], alt_text=one.alt_text)
        ids.append(UUID(found["id"]))
    return tuple(ids)
