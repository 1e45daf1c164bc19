"""The X API as this product uses it. It likes nothing, follows nobody and sends no direct messages."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import SecretStr

from blocks.x.answers import Answer, ask
from blocks.x.calls import Call, Caller, Latch
from blocks.x.lanes import Lanes
from blocks.x.wire import CreatedPost, CreatePost, DeletedPost, Envelope, Page, Post, User

T = TypeVar("T")

_POST_FIELDS = (
    "attachments,conversation_id,created_at,entities,lang,note_post,possibly_sensitive,public_metrics,reply_settings"
)
# X gives references to other posts as an expansion, not as a field.
_POST_EXPANSIONS = "referenced_posts"
_USER_FIELDS = (
    "created_at,description,entities,location,name,profile_image_url,protected,public_metrics,url,username,"
    "verified,verified_type"
)


class XClient:
    """X at one address, over `lanes` connections; use as an async context manager.

    Every call raises errors of `blocks.x.errors` and nothing else, save CancelledError. `deadline_seconds` spans
    a whole request, the wait for a free connection included.
    """

    def __init__(
        self,
        base_url: str,
        *,
        lanes: int,
        connect_timeout_seconds: float,
        deadline_seconds: float,
        ca_file: Path | None = None,
    ) -> None:
        self.caller = Caller(
            base_url,
            Lanes(httpx.URL(base_url), lanes, ca_file=ca_file),
            connect_timeout_seconds=connect_timeout_seconds,
            deadline_seconds=deadline_seconds,
        )
        self._posts_url = self.caller.url("/2/tweets")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.caller.lanes.aclose()

    @property
    def lanes_free(self) -> int:
        """Connections that no request holds; more posts than this wait for one another."""
        return self.caller.lanes.free

    async def create_post(
        self,
        access_token: SecretStr,
        post: CreatePost,
        *,
        latch: Latch | None = None,
        traceparent: str | None = None,
        deadline_seconds: float | None = None,
    ) -> Answer[CreatedPost]:
        """Publish a post.

        `latch` is called immediately before the first byte and must not block; when it raises, nothing is written
        and NotSent is raised. X takes no idempotency key: after NoAnswer only the timeline tells.
        """
        call = Call(
            "POST",
            self._posts_url,
            repeatable=False,
            authorization=_bearer(access_token),
            content=post.model_dump_json(exclude_none=True).encode(),
            traceparent=traceparent,
        )
        return await ask(self.caller, call, Envelope[CreatedPost], latch=latch, deadline_seconds=deadline_seconds)

    async def delete_post(
        self, access_token: SecretStr, post_id: str, *, latch: Latch | None = None
    ) -> Answer[DeletedPost]:
        """Delete a post of the token's account; deleting it twice does no harm."""
        url = self.caller.url(f"/2/tweets/{quote(post_id, safe='')}")
        call = Call("DELETE", url, repeatable=True, authorization=_bearer(access_token))
        return await ask(self.caller, call, Envelope[DeletedPost], latch=latch)

    async def me(self, access_token: SecretStr) -> Answer[User]:
        """The account that the token belongs to."""
        return await self._get("/2/users/me", {"user.fields": _USER_FIELDS}, access_token, Envelope[User])

    async def user_timeline(
        self,
        access_token: SecretStr,
        user_id: str,
        *,
        since_id: str | None = None,
        until_id: str | None = None,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        max_results: int = 100,
        pagination_token: str | None = None,
    ) -> Answer[list[Post]]:
        """One page (5 to 100) of an account's posts, newest first; `meta.next_token` leads to the next.

        Times are widened to whole seconds. An account that cannot be read is an error, never an empty page.
        """
        wanted = {
            "max_results": str(max_results),
            "since_id": since_id,
            "until_id": until_id,
            "start_time": None if start_time is None else _second(math.floor(start_time.timestamp())),
            "end_time": None if end_time is None else _second(math.ceil(end_time.timestamp())),
            "pagination_token": pagination_token,
            "post.fields": _POST_FIELDS,
            "expansions": _POST_EXPANSIONS,
        }
        params = {name: value for name, value in wanted.items() if value is not None}
        return await self._get(f"/2/users/{quote(user_id, safe='')}/tweets", params, access_token, Page[Post])

    async def _get(
        self, path: str, params: Mapping[str, str], access_token: SecretStr, envelope: type[Envelope[T]]
    ) -> Answer[T]:
        url = self.caller.url(path, params)
        return await ask(self.caller, Call("GET", url, repeatable=True, authorization=_bearer(access_token)), envelope)


def _bearer(access_token: SecretStr) -> SecretStr:
    return SecretStr(f"Bearer {access_token.get_secret_value()}")


def _second(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
