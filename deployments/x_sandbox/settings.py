"""What a test may change while the sandbox runs; `POST /sandbox/settings` merges into it."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


def _pair(value: Any) -> Any:
    return (value, value) if isinstance(value, int | float) else value


def _ordered(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] > span[1]:
        raise ValueError("the first number must not be above the second")
    return span


NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Span = Annotated[tuple[NotNegative, NotNegative], BeforeValidator(_pair), AfterValidator(_ordered)]
"""A number, or [lowest, highest] from which each request draws its own."""


EndpointName = Literal[
    "POST /2/tweets",
    "GET /2/tweets",
    "GET /2/tweets/{id}",
    "DELETE /2/tweets/{id}",
    "GET /2/users/me",
    "GET /2/users",
    "GET /2/users/by",
    "GET /2/users/{id}",
    "GET /2/users/by/username/{username}",
    "GET /2/users/{id}/tweets",
    "GET /2/users/{id}/mentions",
    "GET /2/users/personalized_trends",
    "GET /2/tweets/counts/recent",
    "GET /2/tweets/analytics",
    "GET /2/trends/by/woeid/{woeid}",
    "GET /2/usage/tweets",
    "POST /2/media/upload/initialize",
    "POST /2/media/upload/{id}/append",
    "POST /2/media/upload/{id}/finalize",
    "GET /2/media/upload",
    "POST /2/media/metadata",
    "POST /1.1/media/upload.json",
    "GET /1.1/media/upload.json",
    "POST /1.1/media/metadata/create.json",
    "POST /oauth2/token",
    "POST /2/oauth2/token",
    "POST /2/oauth2/revoke",
]
"""What limits and faults can be aimed at; a name that is not offered is refused instead of never matching."""


class Limit(BaseModel):
    """Requests that one endpoint takes; None means it is neither counted nor shown in a header."""

    model_config = ConfigDict(extra="forbid")

    user_15_minutes: int | None = Field(None, ge=0, description="Per account and app in 15 minutes.")
    user_24_hours: int | None = Field(None, ge=0, description="Per account and app in 24 hours.")
    app_15_minutes: int | None = Field(None, ge=0, description="Per app that acts for nobody, in 15 minutes.")
    app_24_hours: int | None = Field(None, ge=0, description="Per app over all its accounts in 24 hours.")


X_LIMITS: dict[EndpointName, Limit] = {
    # X names no daily limit of one user; the app's keeps its header in sight without ever binding first.
    "POST /2/tweets": Limit(user_15_minutes=100, user_24_hours=10_000, app_24_hours=10_000),
    "DELETE /2/tweets/{id}": Limit(user_15_minutes=50),
    "GET /2/tweets": Limit(user_15_minutes=5_000, app_15_minutes=3_500),
    "GET /2/tweets/{id}": Limit(user_15_minutes=900, app_15_minutes=450),
    "GET /2/users/me": Limit(user_15_minutes=75),
    "GET /2/users": Limit(user_15_minutes=900, app_15_minutes=300),
    "GET /2/users/by": Limit(user_15_minutes=900, app_15_minutes=300),
    "GET /2/users/{id}": Limit(user_15_minutes=900, app_15_minutes=300),
    "GET /2/users/by/username/{username}": Limit(user_15_minutes=900, app_15_minutes=300),
    "GET /2/users/{id}/tweets": Limit(user_15_minutes=900, app_15_minutes=10_000),
    "POST /2/media/upload/initialize": Limit(user_15_minutes=1_875, app_24_hours=180_000),
    "GET /2/users/{id}/mentions": Limit(user_15_minutes=300, app_15_minutes=450),
    "GET /2/trends/by/woeid/{woeid}": Limit(user_15_minutes=75, app_15_minutes=75),
    "GET /2/users/personalized_trends": Limit(user_15_minutes=10),
    "GET /2/tweets/counts/recent": Limit(user_15_minutes=300, app_15_minutes=300),
    "GET /2/tweets/analytics": Limit(user_15_minutes=300),
    "GET /2/usage/tweets": Limit(app_15_minutes=50),
}


PriceName = Literal[
    "post_create",
    "post_create_with_url",
    "post_create_summoned_reply",
    "post_delete",
    "post_read",
    "user_read",
    "analytics_read",
    "trend_read",
    "counts_recent",
    "media_metadata",
]

X_PRICES_USD: dict[PriceName, float] = {
    "post_create": 0.015,
    "post_create_with_url": 0.20,
    "post_create_summoned_reply": 0.010,
    "post_delete": 0.010,
    "post_read": 0.005,
    "user_read": 0.010,
    "analytics_read": 0.005,
    "trend_read": 0.010,
    "counts_recent": 0.005,
    "media_metadata": 0.005,
}
"""US dollars for a write or a count, and for each thing that a read brings.

Source: <https://docs.x.com/x-api/getting-started/pricing> as of 2026-08-22.
"""


class Settings(BaseModel):
    """How this X behaves beside its faults."""

    model_config = ConfigDict(extra="forbid")

    latency_ms: Span = Field((0, 0), description="What every X endpoint takes before it decides, in milliseconds.")
    duplicate_refusal: bool = Field(True, description="Refuse a text that the account posted within the window.")
    duplicate_window_seconds: float = Field(86_400, ge=0, description="How long a text counts as a duplicate.")
    reply_gate: bool = Field(True, description="Refuse replies to those who neither named nor quoted the caller.")
    visibility_lag_seconds: Span = Field((0, 0), description="Until an accepted post shows in its timeline.")
    seed: int | None = Field(
        None, description="The same seed plays the same lags, latencies and strikes; None is true chance."
    )
    media_processing_seconds: float = Field(2, ge=0, description="Until a finalized GIF or video can be posted.")
    code_seconds: float = Field(30, gt=0, description="Life of an authorization code.")
    access_token_seconds: float = Field(7_200, gt=0, description="Life of an access token.")
    oauth1_base_urls: list[str] = Field(
        ["https://api.x.com", "https://api.twitter.com", "https://upload.x.com", "https://upload.twitter.com"],
        description="Addresses that OAuth 1.0a clients may have signed for; the sandbox's own always counts.",
    )
    new_names: bool = Field(False, description="Answer in X's newer names and problem types without being asked.")
    prices_usd: dict[PriceName, NotNegative] = Field(
        default_factory=lambda: dict(X_PRICES_USD), description="What X charges, in US dollars."
    )
    usage_cap_posts: int = Field(
        3_000_000, ge=0, description="Posts that an app may read in a calendar month (UTC), each once a day."
    )
    limits: dict[EndpointName, Limit] = Field(
        default_factory=lambda: dict(X_LIMITS), description="Requests by endpoint."
    )

    def changed(self, change: dict[str, Any]) -> "Settings":
        """A copy with this change merged in; limits and prices merge by name and field. Raises ValidationError."""
        whole = self.model_dump()
        for name, value in change.items():
            if name == "limits" and isinstance(value, dict):
                value = {
                    **whole["limits"],
                    **{at: _merged(whole["limits"].get(at), part) for at, part in value.items()},
                }
            whole[name] = {**whole[name], **value} if name == "prices_usd" and isinstance(value, dict) else value
        return Settings.model_validate(whole)


def _merged(before: dict[str, Any] | None, part: Any) -> Any:
    return {**(before or {}), **part} if isinstance(part, dict) else part
