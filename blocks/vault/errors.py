"""What can go wrong between us and the vault.

VaultError          retryable  outcome_known
├─ Unreachable      yes        yes    no connection: nothing left this process
├─ Untrusted        no         yes    the certificate, or the CA file it is checked against
├─ NoAnswer         reads      reads  it left; no answer, half an answer, or 5xx
├─ Unavailable      yes        yes    503 and 501: sealed, standing by, not initialised
├─ Throttled        yes        yes    429
├─ SignedOut        yes        yes    the secret-id is missing, unknown or expired; the supervisor renews it
├─ Denied           no         yes    403 with a good token: the role's policy does not allow it
├─ Missing          no         yes    404: never written, or deleted
├─ Conflict         no         yes    somebody else wrote a newer version
└─ Refused          no         yes    400: the vault does not take the request as it is

The text names what was asked for and what happened. It never holds the vault's own words, which may repeat what was
sent, nor is the lower library's exception kept: that one holds the request with token and body.
"""

import ssl
from collections.abc import Mapping

from hvac import exceptions as hvac
from requests import exceptions as requests
from urllib3.exceptions import NewConnectionError


class VaultError(Exception):
    """The vault did not do what it was asked; `retryable` and `outcome_known` say what may be done about it."""

    retryable = False
    outcome_known = True


class Unreachable(VaultError):
    """No connection came about, so nothing was asked."""

    retryable = True


class Untrusted(VaultError):
    """The other side could not show that it is our vault."""


class NoAnswer(VaultError):
    """The request left and no usable answer came; a write may or may not have happened."""

    outcome_known = False

    @classmethod
    def on_read(cls, text: str) -> "NoAnswer":
        """The harmless kind: nothing can have changed, so it may be asked again."""
        error = cls(text)
        error.retryable = error.outcome_known = True
        return error


class Unavailable(VaultError):
    """The vault is there but does not serve: sealed, standing by or not initialised."""

    retryable = True


class Throttled(VaultError):
    """Too many requests at once."""

    retryable = True


class SignedOut(VaultError):
    """The vault did not take our role-id and secret-id."""

    retryable = True


class Denied(VaultError):
    """The role's policy does not allow this."""


class Missing(VaultError):
    """Nothing is stored there."""


class Conflict(VaultError):
    """The stored version is not the one the write was based on; nothing was written."""


class Refused(VaultError):
    """The vault does not take this request, however often it is sent."""


# One line for each exception of the two libraries below; a test fails on one that is not here.
KINDS: Mapping[type[Exception], type[VaultError]] = {
    hvac.VaultError: NoAnswer,
    hvac.InvalidRequest: Refused,
    hvac.Unauthorized: Denied,
    hvac.Forbidden: Denied,
    hvac.InvalidPath: Missing,
    hvac.UnsupportedOperation: Refused,
    hvac.PreconditionFailed: Unavailable,  # a standby that has not caught up
    hvac.RateLimitExceeded: Throttled,
    hvac.InternalServerError: NoAnswer,
    hvac.VaultNotInitialized: Unavailable,
    hvac.VaultDown: Unavailable,
    hvac.UnexpectedError: NoAnswer,
    hvac.BadGateway: NoAnswer,
    hvac.ParamValidationError: Refused,
    requests.RequestException: NoAnswer,
    requests.HTTPError: NoAnswer,
    requests.ConnectionError: NoAnswer,
    requests.ConnectTimeout: Unreachable,
    requests.ProxyError: Unreachable,
    requests.SSLError: NoAnswer,
    requests.Timeout: NoAnswer,
    requests.ReadTimeout: NoAnswer,
    requests.RetryError: NoAnswer,
    requests.TooManyRedirects: NoAnswer,
    requests.ChunkedEncodingError: NoAnswer,
    requests.ContentDecodingError: NoAnswer,
    requests.StreamConsumedError: NoAnswer,
    requests.JSONDecodeError: NoAnswer,
    requests.InvalidJSONError: Refused,
    requests.URLRequired: Refused,
    requests.MissingSchema: Refused,
    requests.InvalidSchema: Refused,
    requests.InvalidURL: Refused,
    requests.InvalidProxyURL: Refused,
    requests.InvalidHeader: Refused,
    requests.UnrewindableBodyError: Refused,
    OSError: Untrusted,  # requests says so when the CA file is not there
}

MEANINGS: Mapping[type[VaultError], str] = {
    Unreachable: "no connection to the vault",
    Untrusted: "the vault's certificate does not match the CA file, or that file is not there",
    NoAnswer: "no usable answer from the vault",
    Unavailable: "the vault is sealed, standing by or not initialised",
    Throttled: "the vault asks to slow down",
    Denied: "the role's policy does not allow it",
    Missing: "nothing is stored there",
    Refused: "the vault refused the request as it is",
}


def translate(error: Exception, asked: str, *, writes: bool) -> VaultError:
    """Our error for one of the lower libraries; `asked` says what was wanted and stands in the text."""
    kind = _kind(error)
    text = f"{asked}: {MEANINGS[kind]} ({type(error).__name__})"
    return NoAnswer.on_read(text) if kind is NoAnswer and not writes else kind(text)


def _kind(error: Exception) -> type[VaultError]:
    """By type alone, looking below where one type of requests stands for two things."""
    if isinstance(error, requests.SSLError):
        # A vault that dies within an answer looks like a fault of TLS too; only the handshake's verdict is known.
        return Untrusted if _caused_by(error, ssl.SSLCertVerificationError) else NoAnswer
    if isinstance(error, requests.ConnectionError) and _caused_by(error, NewConnectionError):
        return Unreachable
    return next(KINDS[kind] for kind in type(error).__mro__ if kind in KINDS)


def _caused_by(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether `kind` is below: requests hides it in the arguments, urllib3 in `reason`, Python in the context."""
    below: list[object] = [error]
    seen: set[int] = set()
    while below:
        found = below.pop()
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        if isinstance(found, kind):
            return True
        seen.add(id(found))
        below += [*found.args, getattr(found, "reason", None), found.__cause__, found.__context__]
    return False
