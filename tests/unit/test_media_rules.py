"""What a file is, and whether X takes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.media import BYTES_MAX, HEAD_BYTES, Kind, MediaError, check_size, check_together, kind_of

HEADS = {
    b"\xff\xd8\xff\xe0": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"RIFF\x10\x00\x00\x00WEBP": "image/webp",
    b"GIF89a": "image/gif",
    b"GIF87a": "image/gif",
    b"\x00\x00\x00\x18ftypmp42": "video/mp4",
    b"\x00\x00\x00\x14ftypqt  ": "video/quicktime",
    b"\x1a\x45\xdf\xa3": "video/webm",
}


@pytest.mark.parametrize(("head", "media_type"), HEADS.items())
def test_a_file_is_known_by_its_first_bytes(head: bytes, media_type: str) -> None:
    assert kind_of(head.ljust(HEAD_BYTES, b"\0")).media_type == media_type


@given(st.binary(max_size=HEAD_BYTES))
def test_anything_else_is_refused_and_never_a_crash(head: bytes) -> None:
    try:
        kind_of(head)
    except MediaError as error:
        assert "none of JPEG, PNG" in str(error)


@pytest.mark.parametrize("kind", [Kind("image/png", "tweet_image"), Kind("video/mp4", "tweet_video")])
def test_both_sides_of_the_largest_size(kind: Kind) -> None:
    check_size(kind, BYTES_MAX[kind.category])
    with pytest.raises(MediaError, match=f"and X takes {BYTES_MAX[kind.category]:,}"):
        check_size(kind, BYTES_MAX[kind.category] + 1)


def test_only_pictures_go_together() -> None:
    check_together(["tweet_image"] * 4)
    check_together(["tweet_video"])
    for others in (["tweet_video", "tweet_image"], ["tweet_gif", "tweet_gif"]):
        with pytest.raises(MediaError, match="stands alone"):
            check_together(others)  # type: ignore[arg-type]
