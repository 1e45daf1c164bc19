"""What the control plane takes, and within which bounds."""

from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from deployments.x_sandbox.oauth import SCOPES
from deployments.x_sandbox.queries import USERNAME

BATCH_MAX = 10_000
SPEED_MOST = 100_000
DEFAULT_SCOPES = ("tweet.read", "tweet.write", "users.read", "media.write", "offline.access")


def _known_scopes(scopes: list[str]) -> list[str]:
    if strange := set(scopes) - SCOPES:
        raise ValueError(f"X has no scope {', '.join(sorted(strange))}")
    return scopes


class Strict(BaseModel):
    """What the control plane reads; a word that it does not know is refused."""

    model_config = ConfigDict(extra="forbid")


class NewApp(Strict):
    """A developer app; the same name twice is the same app, with its redirect addresses brought up to date."""

    name: str = Field(min_length=1, max_length=100)
    redirect_uris: list[str] = Field(min_length=1)
    confidential: bool = True


class NewSecret(Strict):
    """A new client secret of an app; as a rule X ends the old one with it, and every token that the app was given."""

    app: str
    old_works: bool = False


class NewAccount(Strict):
    """An account; the same username twice is the same account, and what is left out stays as it was."""

    username: str = Field(pattern=f"^{USERNAME.pattern}$")
    name: str | None = Field(None, max_length=50)
    description: str | None = Field(None, max_length=160)
    protected: bool | None = Field(None, description="Its posts are for itself alone.")
    suspended: bool | None = Field(None, description="It may do nothing, and nobody sees it.")


class NewTokens(Strict):
    """Tokens without a consent page: one family for each account."""

    client_id: str
    accounts: list[str] = Field(min_length=1, max_length=BATCH_MAX)
    scopes: Annotated[list[str], AfterValidator(_known_scopes)] = list(DEFAULT_SCOPES)


class NewOAuth1Tokens(Strict):
    """OAuth 1.0a tokens, which X hands out in its developer portal: one for each account."""

    client_id: str
    accounts: list[str] = Field(min_length=1, max_length=BATCH_MAX)
    read_only: bool = Field(False, description="The app may read alone.")


class NewCredits(Strict):
    """What an app or an account may still spend; None is as much as it likes."""

    client_id: str | None = None
    account: str | None = None
    usd: float | None = Field(allow_inf_nan=False)

    @model_validator(mode="after")
    def _one_owner(self) -> "NewCredits":
        if (self.client_id is None) == (self.account is None):
            raise ValueError("name either a client_id or an account")
        return self


class NewRevocation(Strict):
    """An account whose every token ends, as if its owner had taken all consents back."""

    account: str


class NewTime(Strict):
    """A change of the clock: where it is set to, at most one of three ways, and how fast it runs from then on."""

    now: AwareDatetime | None = Field(None, description="This instant.")
    ahead_seconds: float | None = Field(None, allow_inf_nan=False, description="This far ahead of the wall clock.")
    forward_seconds: float | None = Field(None, allow_inf_nan=False, description="This far on from where it is.")
    speed: float | None = Field(None, ge=0, le=SPEED_MOST, description="0 stands still; None goes on as before.")

    @model_validator(mode="after")
    def _one_way(self) -> "NewTime":
        if sum(each is not None for each in (self.now, self.ahead_seconds, self.forward_seconds)) > 1:
            raise ValueError("say one of now, ahead_seconds and forward_seconds")
        return self


class Reset(Strict):
    """What to forget; the ledger itself keeps everything."""

    keep_accounts: bool = Field(False, description="Forget posts, limits, money and faults only.")
