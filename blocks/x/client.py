"""The X API as this product uses it. It likes nothing, follows nobody and sends no direct messages."""

from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar
from urllib.parse import quote

import httpx

from blocks.x.answers import Answer, ask
from blocks.x.calls import Call, Caller, Latch
from blocks.x.instants import second_after, second_before
from blocks.x.lanes import Lanes
from blocks.x.signing import Authorization
from blocks.x.wire import CreatedPost, CreatePost, DeletedPost, Envelope, Lookup, Page, Post, User

T = TypeVar("T")

_POST_FIELDS = (
    "attachments,conversation_id,created_at,entities,lang,note_post,possibly_sensitive,public_metrics,reply_settings"
)
_PRIVATE_METRICS = "non_public_metrics,organic_metrics"
_USER_FIELDS = (
    "created_at,description,entities,location,name,profile_image_url,protected,public_metrics,url,username,"
    "verified,verified_type"
)
_MEDIA_FIELDS = "alt_text,duration_ms,height,media_key,preview_image_url,public_metrics,type,url,variants,width"
_POLL_FIELDS = "duration_minutes,end_datetime,id,options,voting_status"

# What X gives of a post only as an expansion: its author and the posts it refers to are not even fields.
Expansion = Literal["attachments.media_keys", "attachments.poll_ids", "author_id", "referenced_posts"]
_REFERENCES: tuple[Expansion, ...] = ("referenced_posts",)


class XClient:
    """X at one address, over `lanes` connections; use as an async context manager.

    Every call raises errors of `blocks.x.errors` and nothing else, save CancelledError. `deadline_seconds` spans
    a whole request, the wait for a free connection included. `authorization` is a bearer token, of a user or
    app-only, or OAuth 1.0a credentials; which of them a call takes is X's to say.
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

    async def resize(self, lanes: int) -> None:
        """Have so many lanes from here on; a request on one that is too many comes to its end."""
        await self.caller.lanes.resize(lanes)

    async def create_post(
        self,
        authorization: Authorization,
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
            authorization=authorization,
            content=post.model_dump_json(exclude_none=True).encode(),
            traceparent=traceparent,
        )
        return await ask(self.caller, call, Envelope[CreatedPost], latch=latch, deadline_seconds=deadline_seconds)

    async def delete_post(
        self, authorization: Authorization, post_id: str, *, latch: Latch | None = None
    ) -> Answer[DeletedPost]:
        """Delete a post of the token's account; deleting it twice does no harm."""
        url = self.caller.url(f"/2/tweets/{quote(post_id, safe='')}")
        call = Call("DELETE", url, repeatable=True, authorization=authorization)
        return await ask(self.caller, call, Envelope[DeletedPost], latch=latch)

    async def me(self, authorization: Authorization) -> Answer[User]:
        """The account that the token belongs to."""
        return await self._get("/2/users/me", {"user.fields": _USER_FIELDS}, authorization, Envelope[User])

    async def users(self, authorization: Authorization, ids: Collection[str]) -> Answer[list[User]]:
        """1 to 100 accounts by their ids; those that cannot be had stand in `errors`, and none at all is an answer."""
        params = {"ids": ",".join(ids), "user.fields": _USER_FIELDS}
        return await self._get("/2/users", params, authorization, Lookup[User])

    async def users_by(self, authorization: Authorization, usernames: Collection[str]) -> Answer[list[User]]:
        """1 to 100 accounts by their usernames, without @; those that cannot be had stand in `errors`."""
        params = {"usernames": ",".join(usernames), "user.fields": _USER_FIELDS}
        return await self._get("/2/users/by", params, authorization, Lookup[User])

    async def posts(
        self,
        authorization: Authorization,
        ids: Collection[str],
        *,
        expand: Collection[Expansion] = _REFERENCES,
        private_metrics: bool = False,
    ) -> Answer[list[Post]]:
        """1 to 100 posts by their ids; those that cannot be had stand in `errors`, and none at all is an answer.

        What `expand` names comes in `includes`, and X bills it. `private_metrics` are for posts of one's own
        account, 30 days long; for others X names each field it withholds in `errors`.
        """
        params = {"ids": ",".join(ids), **_fields_of_posts(expand, private_metrics)}
        return await self._get("/2/tweets", params, authorization, Lookup[Post])

    async def user_timeline(
        self,
        authorization: Authorization,
        user_id: str,
        *,
        since_id: str | None = None,
        until_id: str | None = None,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        max_results: int = 100,
        pagination_token: str | None = None,
        expand: Collection[Expansion] = _REFERENCES,
    ) -> Answer[list[Post]]:
        """One page (5 to 100) of an account's posts, newest first; `meta.next_token` leads to the next.

        Times are widened to whole seconds. An account that cannot be read is an error, never an empty page.
        """
        params = _page(since_id, until_id, start_time, end_time, max_results, pagination_token)
        path = f"/2/users/{quote(user_id, safe='')}/tweets"
        return await self._get(path, params | _fields_of_posts(expand), authorization, Page[Post])

    async def mentions(
        self,
        authorization: Authorization,
        user_id: str,
        *,
        since_id: str | None = None,
        until_id: str | None = None,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        max_results: int = 100,
        pagination_token: str | None = None,
        expand: Collection[Expansion] = ("author_id", *_REFERENCES),
    ) -> Answer[list[Post]]:
        """One page (5 to 100) of posts that mention an account, newest first; otherwise as `user_timeline`.

        Without the expansion author_id X does not say who mentioned it.
        """
        params = _page(since_id, until_id, start_time, end_time, max_results, pagination_token)
        path = f"/2/users/{quote(user_id, safe='')}/mentions"
        return await self._get(path, params | _fields_of_posts(expand), authorization, Page[Post])

    async def _get(
        self, path: str, params: Mapping[str, str], authorization: Authorization, envelope: type[Envelope[T]]
    ) -> Answer[T]:
        url = self.caller.url(path, params)
        return await ask(self.caller, Call("GET", url, repeatable=True, authorization=authorization), envelope)


def _fields_of_posts(expand: Collection[Expansion], private_metrics: bool = False) -> dict[str, str]:
    fields = {"post.fields": f"{_POST_FIELDS},{_PRIVATE_METRICS}" if private_metrics else _POST_FIELDS}
    if expand:
        fields["expansions"] = ",".join(expand)
    if "author_id" in expand:
        fields["user.fields"] = _USER_FIELDS
    if "attachments.media_keys" in expand:
        fields["media.fields"] = _MEDIA_FIELDS
    if "attachments.poll_ids" in expand:
        fields["poll.fields"] = _POLL_FIELDS
    return fields


def _page(
    since_id: str | None,
    until_id: str | None,
    start_time: datetime | None,
    end_time: datetime | None,
    max_results: int,
    pagination_token: str | None,
) -> dict[str, str]:
    wanted = {
        "max_results": str(max_results),
        "since_id": since_id,
        "until_id": until_id,
        "start_time": None if start_time is None else second_before(start_time),
        "end_time": None if end_time is None else second_after(end_time),
        "pagination_token": pagination_token,
    }
    return {name: value for name, value in wanted.items() if value is not None}
