"""A bot as the API takes it in, alone and with the credentials of its account."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from tasks.domain.personas import Handle, Label, LabelConfirmation, TimeZoneName

# What X's access tokens live for.
USUAL_LIFE_SECONDS = 7200

Secret = Annotated[SecretStr, Field(min_length=1, max_length=1000)]


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OAuth2Credentials(_Given):
    """Tokens as X's token endpoint answered them. Without a refresh token the bot needs a sign-in when they end."""

    type: Literal["oauth2"]
    access_token: Secret
    refresh_token: Secret | None = None
    expires_in: Annotated[int, Field(ge=60, le=2_592_000, description="Seconds from now.")] = USUAL_LIFE_SECONDS
    scope: Annotated[str, Field(max_length=500, description="As X wrote it: names with spaces in between.")] = ""


class OAuth1Credentials(_Given):
    """OAuth 1.0a credentials of X's developer portal: the app's pair and the account's pair. They do not end."""

    type: Literal["oauth1"]
    api_key: Annotated[str, Field(pattern=r"^[!-~]{1,200}$")]
    api_key_secret: Secret
    access_token: Secret
    access_token_secret: Secret


Credentials = Annotated[OAuth2Credentials | OAuth1Credentials, Field(discriminator="type")]


class NewBot(_Given):
    """A bot for an account on X.

    What is left out: the bot shows its handle as its name, speaks with a plain persona of the same name, and says
    nothing until an operator handle and the automation label are there.
    """

    bot_name: Annotated[Handle, Field(description="The account's handle on X.", examples=["city_weather"])]
    credentials: Credentials | None = None
    display_name: Annotated[str, Field(min_length=1, max_length=50)] | None = None
    description: Annotated[str, Field(min_length=1, max_length=160)] | None = None
    operator_handle: Handle | None = None
    time_zone: TimeZoneName = "UTC"
    labels: Annotated[tuple[Label, ...], Field(max_length=50)] = ()
    posts_per_day_max: Annotated[int, Field(ge=1, le=2400)] = 48
    app: (
        Annotated[str, Field(min_length=1, max_length=100, description="May be left out where there is one.")] | None
    ) = None
    automation_label: LabelConfirmation | None = None
    persona: Annotated[str, Field(min_length=1, max_length=80, description="Name of a persona that stands.")] | None = (
        None
    )
