"""What X says and what it is told, in X's words.

Source: X API v2, OpenAPI document 2.167 (https://api.x.com/2/openapi.json). Two generations of names
live side by side; the newer one is the field, the older one an alias. Absent is None, never 0.
"""

from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

T = TypeVar("T")

Id = Annotated[str, Field(pattern=r"^[0-9]{1,19}$")]


def _encodable(text: str) -> str:
    text.encode()  # a lone surrogate would otherwise surface only when the request is being written
    return text


Text = Annotated[str, AfterValidator(_encodable)]
ReplySettings = Literal["following", "mentionedUsers", "subscribers", "verified"]


class Told(BaseModel):
    """What X is told."""

    # X refuses a body with a field it does not know: better here, where nothing has been sent yet.
    model_config = ConfigDict(extra="forbid", frozen=True)


class Said(BaseModel):
    """What X says; words that we do not know yet are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, validate_by_name=True, validate_by_alias=True)


class CreateMedia(Told):
    """Media of a new post, by the ids that the upload gave; schema CreatePostsMedia."""

    media_ids: list[Id] = Field(min_length=1, max_length=4)
    tagged_user_ids: list[Id] | None = Field(None, max_length=10)


class CreatePoll(Told):
    """Poll of a new post; schema CreatePostsPoll."""

    options: list[Annotated[Text, Field(min_length=1, max_length=25)]] = Field(min_length=2, max_length=4)
    duration_minutes: int = Field(ge=5, le=10_080)


class CreateReply(Told):
    """The post that a new post answers; schema CreatePostsReply."""

    in_reply_to_tweet_id: Id
    exclude_reply_user_ids: list[Id] | None = None


class CreatePost(Told):
    """Body of POST /2/tweets; schema CreatePostsRequest.

    Media, poll and quote exclude each other; the text may be empty only beside media.
    """

    text: Text = ""
    media: CreateMedia | None = None
    poll: CreatePoll | None = None
    quote_tweet_id: Id | None = None
    reply: CreateReply | None = None
    reply_settings: ReplySettings | None = None
    made_with_ai: bool | None = None
    paid_partnership: bool | None = None

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        attached = [name for name in ("media", "poll", "quote_tweet_id") if getattr(self, name) is not None]
        if len(attached) > 1:
            raise ValueError(f"{' and '.join(attached)} exclude each other")
        if not self.text and self.media is None:
            raise ValueError("text is required unless there is media")
        return self


class CreatedPost(Said):
    """Data of the answer to POST /2/tweets; schema CreatePostsResponseData."""

    id: Id
    text: str | None = None
    edit_history_post_ids: list[str] | None = Field(
        None, validation_alias=AliasChoices("edit_history_post_ids", "edit_history_tweet_ids")
    )


class DeletedPost(Said):
    """Data of the answer to DELETE /2/tweets/{id}; schema DeletePostsResponseData."""

    deleted: bool


class UrlEntity(Said):
    """A link in a text: `url` is the t.co form that stands in the text, `expanded_url` what was written."""

    url: str | None = None
    expanded_url: str | None = None
    unwound_url: str | None = None
    display_url: str | None = None
    media_key: str | None = None


class TagEntity(Said):
    """A hashtag or cashtag, without its sign."""

    tag: str


class MentionEntity(Said):
    """An account named in a text."""

    username: str | None = None
    id: str | None = None


class Entities(Said):
    """What X recognised in a text; schema PostEntities."""

    urls: list[UrlEntity] | None = None
    hashtags: list[TagEntity] | None = None
    cashtags: list[TagEntity] | None = None
    mentions: list[MentionEntity] | None = None


class Attachments(Said):
    """Keys of what is attached to a post; schema PostAttachments."""

    media_keys: list[str] | None = None
    poll_ids: list[str] | None = None


class ReferencedPost(Said):
    """Another post that a post refers to: `type` is retweeted, quoted or replied_to; schema PostReferencedPosts."""

    type: str
    id: str


class NotePost(Said):
    """The whole text of a post longer than 280; schema PostNotePost."""

    text: str
    entities: Entities | None = None


class PostPublicMetrics(Said):
    """Counts that anybody may see; schema PostPublicMetrics."""

    repost_count: int | None = Field(None, validation_alias=AliasChoices("repost_count", "retweet_count"))
    reply_count: int | None = None
    like_count: int | None = None
    quote_count: int | None = None
    bookmark_count: int | None = None
    impression_count: int | None = None


class PostNonPublicMetrics(Said):
    """Counts that the author alone may see, for 30 days.

    The schema is open; names by https://docs.x.com/x-api/fundamentals/metrics.
    """

    impression_count: int | None = None
    engagements: int | None = None
    url_link_clicks: int | None = None
    user_profile_clicks: int | None = None


class PostOrganicMetrics(Said):
    """Counts without paid promotion, for the author alone and 30 days.

    The schema is open; names by https://docs.x.com/x-api/fundamentals/metrics.
    """

    impression_count: int | None = None
    repost_count: int | None = Field(None, validation_alias=AliasChoices("repost_count", "retweet_count"))
    reply_count: int | None = None
    like_count: int | None = None
    url_link_clicks: int | None = None
    user_profile_clicks: int | None = None


class Post(Said):
    """A post as X shows it; schema Post. The text is HTML-escaped and carries t.co links."""

    id: Id
    text: str | None = None
    author_id: str | None = None
    created_at: AwareDatetime | None = None
    conversation_id: str | None = None
    in_reply_to_user_id: str | None = None
    lang: str | None = None
    possibly_sensitive: bool | None = None
    reply_settings: str | None = None
    attachments: Attachments | None = None
    entities: Entities | None = None
    public_metrics: PostPublicMetrics | None = None
    non_public_metrics: PostNonPublicMetrics | None = None
    organic_metrics: PostOrganicMetrics | None = None
    note_post: NotePost | None = Field(None, validation_alias=AliasChoices("note_post", "note_tweet"))
    referenced_posts: list[ReferencedPost] | None = Field(
        None, validation_alias=AliasChoices("referenced_posts", "referenced_tweets")
    )
    edit_history_post_ids: list[str] | None = Field(
        None, validation_alias=AliasChoices("edit_history_post_ids", "edit_history_tweet_ids")
    )


class UserPublicMetrics(Said):
    """Counts of an account; schema UserPublicMetrics."""

    followers_count: int | None = None
    following_count: int | None = None
    listed_count: int | None = None
    like_count: int | None = None
    media_count: int | None = None
    post_count: int | None = Field(None, validation_alias=AliasChoices("post_count", "tweet_count"))


class UserEntities(Said):
    """What X recognised in a bio and in the address beside it; schema UserEntities."""

    description: Entities | None = None
    url: Entities | None = None


class User(Said):
    """An account as X shows it; schema User. `description` is the bio."""

    id: Id
    username: str
    name: str | None = None
    description: str | None = None
    created_at: AwareDatetime | None = None
    location: str | None = None
    url: str | None = None
    profile_image_url: str | None = None
    protected: bool | None = None
    verified: bool | None = None
    verified_type: str | None = None
    entities: UserEntities | None = None
    public_metrics: UserPublicMetrics | None = None
    pinned_post_id: str | None = Field(None, validation_alias=AliasChoices("pinned_post_id", "pinned_tweet_id"))


class MediaVariant(Said):
    """One form of a video or GIF; schema MediaVariants. Playlists have no bit rate."""

    bit_rate: int | None = None
    content_type: str | None = None
    url: str | None = None


class MediaPublicMetrics(Said):
    """Counts of a video that anybody may see; schema MediaPublicMetrics."""

    view_count: int | None = None


class Media(Said):
    """A photo, video or animated_gif of a post; schema Media."""

    media_key: str
    type: str | None = None
    url: str | None = None
    preview_image_url: str | None = None
    alt_text: str | None = None
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    variants: list[MediaVariant] | None = None
    public_metrics: MediaPublicMetrics | None = None


class PollOption(Said):
    """One choice of a poll; `position` counts from 1; schema PollOptions."""

    position: int
    label: str
    votes: int | None = None


class Poll(Said):
    """A poll and its votes so far; schema Poll."""

    id: str
    options: list[PollOption] | None = None
    duration_minutes: int | None = None
    end_datetime: AwareDatetime | None = None
    voting_status: str | None = None


class Includes(Said):
    """What the data refers to, where it was asked for and is to be had; schema Expansions."""

    posts: list[Post] = Field([], validation_alias=AliasChoices("posts", "tweets"))
    users: list[User] = []
    media: list[Media] = []
    polls: list[Poll] = []


class Problem(Said):
    """One thing that X could not do; schema Problem. Beside data it is a partial error, and itself data.

    `value` is what was asked for, in the words of the request; `resource_id` is its id, where it has one.
    """

    type: str | None = None
    title: str | None = None
    detail: str | None = None
    status: int | None = None
    parameter: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    value: str | None = None


class Meta(Said):
    """Where a page lies in its list; `next_token` is absent on the last one; schema GetUsersPostsResponse.

    `total_post_count` is what a page of counts adds up to; schema GetPostsCountsRecentResponse.
    """

    result_count: int | None = None
    newest_id: str | None = None
    oldest_id: str | None = None
    next_token: str | None = None
    previous_token: str | None = None
    total_post_count: int | None = Field(None, validation_alias=AliasChoices("total_post_count", "total_tweet_count"))


class Envelope(Said, Generic[T]):
    """What every answer of X comes in."""

    data: T | None = None
    errors: list[Problem] = []
    includes: Includes | None = None
    meta: Meta | None = None

    def kept(self) -> T | None:
        """The data that was asked for; None where there is none, or errors stand in its place."""
        return None if self.data == [] and self.errors else self.data


class Page(Envelope[list[T]], Generic[T]):
    """The envelope of a list: X leaves `data` out of an empty one and says so by result_count 0."""

    @model_validator(mode="before")
    @classmethod
    def _empty_is_a_list(cls, raw: Any) -> Any:
        meta = raw.get("meta") if isinstance(raw, dict) else None
        if isinstance(meta, dict) and meta.get("result_count") == 0:
            return {"data": [], **raw}
        return raw


class Lookup(Envelope[list[T]], Generic[T]):
    """The envelope of a lookup: each thing asked for is in `data` or named by an error, and either may be all."""

    def kept(self) -> list[T] | None:
        """What was found; None where X said nothing at all."""
        return [] if self.data is None and self.errors else self.data


class TokenAnswer(Said):
    """Answer of POST /2/oauth2/token (RFC 6749, section 5.1)."""

    access_token: SecretStr = Field(min_length=1)
    token_type: str
    expires_in: int = Field(ge=1, le=10 * 365 * 86_400)
    scope: str | None = None
    refresh_token: SecretStr | None = Field(None, min_length=1)


class AppTokenAnswer(Said):
    """Answer of POST /oauth2/token to client credentials (RFC 6749, section 4.4.3); the token does not expire."""

    access_token: SecretStr = Field(min_length=1)
    token_type: str = Field(pattern="^(?i:bearer)$")
