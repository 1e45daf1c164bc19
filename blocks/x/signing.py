"""How a request says whose it is: a bearer token, OAuth 1.0a credentials that sign it (RFC 5849), or an app's own."""

import base64
import hmac
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import parse_qsl, quote

import httpx
from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class AppKeys:
    """An app by its API key and API key secret; OAuth 1.0a calls them consumer key and consumer secret."""

    api_key: str
    api_key_secret: SecretStr


@dataclass(frozen=True, slots=True)
class OAuth1:
    """One account's credentials with one app. They sign each request, bind it to its address, and do not expire."""

    app: AppKeys
    access_token: SecretStr
    access_token_secret: SecretStr

    def header(self, method: str, url: httpx.URL, form: Mapping[str, str] | None = None) -> str:
        """The Authorization header of one request, good for a few minutes and one use."""
        return self.header_at(int(time.time()), secrets.token_hex(16), method, url, form)

    def header_at(
        self, timestamp: int, nonce: str, method: str, url: httpx.URL, form: Mapping[str, str] | None = None
    ) -> str:
        """As `header`, for the given second and nonce."""
        told = {
            "oauth_consumer_key": self.app.api_key,
            "oauth_nonce": nonce,
            "oauth_signature_method": "HMAC-SHA1",
            "oauth_timestamp": str(timestamp),
            "oauth_token": self.access_token.get_secret_value(),
            "oauth_version": "1.0",
        }
        told["oauth_signature"] = signature(
            base_string(method, url, [*told.items(), *(form or {}).items()]),
            self.app.api_key_secret,
            self.access_token_secret,
        )
        return "OAuth " + ", ".join(f'{name}="{_encoded(value)}"' for name, value in told.items())

    def hidden(self) -> tuple[str, ...]:
        """What no error may repeat."""
        held = (self.app.api_key_secret, self.access_token, self.access_token_secret)
        return tuple(secret.get_secret_value() for secret in held)


@dataclass(frozen=True, slots=True)
class Basic:
    """A confidential client at the token endpoints (RFC 6749, section 2.3.1)."""

    name: str
    password: SecretStr

    def header(self, method: str, url: httpx.URL, form: Mapping[str, str] | None = None) -> str:
        """The Authorization header; the same for every request."""
        return f"Basic {self._pair()}"

    def hidden(self) -> tuple[str, ...]:
        """What no error may repeat."""
        return self.password.get_secret_value(), self._pair()

    def _pair(self) -> str:
        return base64.b64encode(f"{self.name}:{self.password.get_secret_value()}".encode()).decode()


# A bearer token, a user's or app-only: on the wire X tells them apart, we need not.
Authorization: TypeAlias = SecretStr | OAuth1


def base_string(method: str, url: httpx.URL, parameters: Iterable[tuple[str, str]]) -> str:
    """What is signed (RFC 5849, section 3.4.1); `parameters` are those of the protocol and of a form.

    Those of the address are added, and any body that is no form stays unsigned.
    """
    path, _, query = url.raw_path.decode("ascii").partition("?")
    address = f"{url.scheme}://{url.netloc.decode('ascii')}{path}"
    pairs = [*parameters, *parse_qsl(query, keep_blank_values=True)]
    told = "&".join(f"{name}={value}" for name, value in sorted((_encoded(n), _encoded(v)) for n, v in pairs))
    return "&".join(_encoded(part) for part in (method.upper(), address, told))


def signature(base: str, client_secret: SecretStr, token_secret: SecretStr | None = None) -> str:
    """HMAC-SHA1 in base64 (RFC 5849, section 3.4.2)."""
    held = (client_secret.get_secret_value(), token_secret.get_secret_value() if token_secret else "")
    key = "&".join(_encoded(secret) for secret in held)
    return base64.b64encode(hmac.digest(key.encode(), base.encode(), "sha1")).decode()


def _encoded(text: str) -> str:
    # RFC 5849, section 3.6: stricter than a form, whose "+" and "*" would break the signature.
    return quote(text, safe="")
