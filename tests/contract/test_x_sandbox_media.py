"""The sandbox takes media in pieces, processes them for a while and shows them with their posts."""

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.x_sandbox_process import Caller, XSandboxProcess

PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 10
MP4 = b"\x00\x00\x00\x18ftypmp42" + b"film" * 20


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XSandboxProcess]:
    with XSandboxProcess(tmp_path_factory.mktemp("x")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(process: XSandboxProcess) -> XSandboxProcess:
    process.reset()
    return process


class Uploader(Caller):
    """An account that sends media."""

    def initialize(self, media_type: str = "image/png", total_bytes: int = len(PNG), **more: Any) -> httpx.Response:
        body = {"media_type": media_type, "total_bytes": total_bytes, **more}
        return self.http.post("/2/media/upload/initialize", json=body)

    def append(self, media_id: str, piece: bytes, index: int = 0) -> httpx.Response:
        path = f"/2/media/upload/{media_id}/append"
        return self.http.post(path, data={"segment_index": str(index)}, files={"media": ("blob", piece)})

    def finalize(self, media_id: str) -> httpx.Response:
        return self.http.post(f"/2/media/upload/{media_id}/finalize")

    def status(self, media_id: str) -> dict[str, Any]:
        return dict(self.get("/2/media/upload", media_id=media_id, command="STATUS")["data"]["processing_info"])

    def opened(self, *how: Any, **more: Any) -> str:
        return str(self.initialize(*how, **more).raise_for_status().json()["data"]["id"])

    def uploaded(self, content: bytes = PNG, media_type: str = "image/png", **more: Any) -> str:
        media_id = self.opened(media_type, len(content), **more)
        self.append(media_id, content).raise_for_status()
        self.finalize(media_id).raise_for_status()
        return media_id


@pytest.fixture
def alice(sandbox: XSandboxProcess) -> Uploader:
    return Uploader(sandbox, "alice")


def test_pictures_are_posted_and_shown_with_their_alt_texts(sandbox: XSandboxProcess, alice: Uploader) -> None:
    media_id = alice.uploaded()
    described = {"id": media_id, "metadata": {"alt_text": {"text": "A rainy street"}}}
    answer = alice.http.post("/2/media/metadata", json=described).json()["data"]
    assert answer["associated_metadata"]["alt_text"]["text"] == "A rainy street"
    sandbox.restart()
    alice.posted("", media={"media_ids": [media_id, alice.uploaded()]})
    page = alice.timeline(expansions="attachments.media_keys", **{"media.fields": "alt_text,url"})
    assert page["data"][0]["attachments"]["media_keys"] == [media["media_key"] for media in page["includes"]["media"]]
    first = page["includes"]["media"][0]
    assert (first["media_key"], first["type"], first["alt_text"]) == (f"3_{media_id}", "photo", "A rainy street")
    assert sandbox.ledger("create")[0]["media_ids"][0] == media_id


def test_a_video_comes_in_pieces_of_either_kind_and_takes_its_time(sandbox: XSandboxProcess, alice: Uploader) -> None:
    sandbox.settings(media_processing_seconds=100)
    media_id = alice.opened("video/mp4", len(MP4), media_category="tweet_video")
    assert alice.status(media_id)["state"] == "pending"
    piece = {"segment_index": 1, "media": base64.b64encode(MP4[40:]).decode()}
    assert alice.http.post(f"/2/media/upload/{media_id}/append", json=piece).status_code == 200
    assert alice.finalize(media_id).status_code == 400
    assert "expires_at" in alice.append(media_id, MP4[:40]).json()["data"]
    finalized = alice.finalize(media_id).json()["data"]
    assert (finalized["size"], finalized["media_key"]) == (len(MP4), f"7_{media_id}")
    assert finalized["processing_info"]["state"] == "pending"
    assert finalized["processing_info"]["check_after_secs"] >= 1
    assert alice.post("early", media={"media_ids": [media_id]}).status_code == 400
    sandbox.clock(ahead_seconds=50)
    assert (alice.status(media_id)["state"], alice.status(media_id)["progress_percent"] >= 50) == ("in_progress", True)
    sandbox.clock(ahead_seconds=101)
    assert alice.status(media_id) == {"state": "succeeded", "progress_percent": 100}
    assert alice.post("film", media={"media_ids": [media_id]}).status_code == 201


def test_a_file_that_is_not_what_it_claims_fails(sandbox: XSandboxProcess, alice: Uploader) -> None:
    sandbox.settings(media_processing_seconds=0)
    film = alice.uploaded(PNG, "video/mp4")
    assert alice.status(film)["state"] == "failed"
    assert alice.post("film", media={"media_ids": [film]}).status_code == 400
    picture = alice.opened(total_bytes=len(MP4))
    alice.append(picture, MP4)
    assert alice.finalize(picture).status_code == 400


@pytest.mark.parametrize(
    ("media_type", "total_bytes", "more"),
    [
        ("image/png", 5 * 1024**2 + 1, {}),
        ("image/gif", 15 * 1024**2 + 1, {"media_category": "tweet_gif"}),
        ("video/mp4", 512 * 1024**2 + 1, {}),
        ("image/png", 10, {"media_category": "tweet_video"}),
        ("image/png", 10, {"colour": "red"}),
        ("image/png", 0, {}),
        ("text/plain", 10, {}),
    ],
)
def test_an_upload_that_x_would_refuse_is_refused(
    alice: Uploader, media_type: str, total_bytes: int, more: dict[str, Any]
) -> None:
    answer = alice.initialize(media_type, total_bytes, **more)
    assert (answer.status_code, answer.json()["title"]) == (400, "Invalid Request")


def test_pieces_have_their_limits(alice: Uploader) -> None:
    media_id = alice.opened()
    assert alice.append(media_id, PNG, index=999).status_code == 200
    assert alice.append(media_id, b"x", index=1_000).status_code == 400
    assert alice.append(media_id, PNG + b"x", index=999).status_code == 400
    assert alice.http.post(f"/2/media/upload/{media_id}/append", json={"media": "?"}).status_code == 400
    assert alice.append("7", PNG).status_code == 404


def test_media_belong_to_their_account_unless_lent(sandbox: XSandboxProcess, alice: Uploader) -> None:
    bob = Uploader(sandbox, "bob")
    own, lent = alice.uploaded(), alice.uploaded(additional_owners=[bob.id])
    assert bob.post("not mine", media={"media_ids": [own]}).json()["errors"][0]["message"] == (
        "Your media IDs are invalid."
    )
    assert bob.post("lent", media={"media_ids": [lent]}).status_code == 201
    assert bob.finalize(own).status_code == 403
    sandbox.settings(access_token_seconds=10**6)
    sandbox.clock(ahead_seconds=86_401)
    assert Caller(sandbox, "alice").post("late", media={"media_ids": [own]}).status_code == 400


def test_what_goes_together_is_limited(sandbox: XSandboxProcess, alice: Uploader) -> None:
    sandbox.settings(media_processing_seconds=0)
    gif = alice.uploaded(b"GIF89a" + b"x" * 10, "image/gif", media_category="tweet_gif")
    picture = alice.uploaded()
    for media_ids in ([gif, picture], [picture, picture], [picture] * 5, [], ["x"]):
        assert alice.post("no", media={"media_ids": media_ids}).status_code == 400
    poll = {"options": ["a", "b"], "duration_minutes": 5}
    assert alice.post("no", media={"media_ids": [picture]}, poll=poll).status_code == 400
    assert alice.post("no", media={"media_ids": [picture], "tagged_user_ids": ["1"]}).status_code == 400
    assert alice.post("yes", media={"media_ids": [gif]}).status_code == 201
    assert Caller(sandbox, "alice", scopes=["tweet.read"]).http.get("/2/media/upload?media_id=1").status_code == 403
