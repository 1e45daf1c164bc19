"""Where everything is: folders under VIVESPHERE_HOME and addresses of the parts, from settings alone."""

import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path

from config.loading import APP_ROOT
from config.settings import LOOPBACK, Settings


class NotStartedError(RuntimeError):
    """A part has no address yet, because the stack was never started here."""

    def __init__(self, part: str) -> None:
        super().__init__(f"{part} has no address yet: start the stack with `vivesphere up`")


@dataclass(frozen=True)
class Places:
    """Folders and addresses that follow from the settings."""

    settings: Settings

    @property
    def home(self) -> Path:
        """Folder of all local state."""
        return APP_ROOT / self.settings.home

    @property
    def stack(self) -> str:
        """A name of this stack among those of the machine, which tells nothing of where it lies."""
        return hashlib.sha256(str(self.home.resolve()).encode()).hexdigest()[:16]

    @property
    def secrets(self) -> Path:
        """Bootstrap secrets, each a 0600 file; never in a backup."""
        return self.home / "secrets"

    @property
    def run(self) -> Path:
        """What lives as long as the stack is up: pid file, secret-ids, sockets."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        """Log files, one a child and one a category."""
        return self.home / "logs"

    @property
    def last_seal(self) -> Path:
        """The last seal of the audit as JSON, to be copied to where nobody who runs the stack can change it."""
        return self.home / "audit" / "last-seal.json"

    @property
    def bots_folder(self) -> Path:
        """Folder of bot files."""
        return APP_ROOT / self.settings.onboarding.bots_folder

    @property
    def postgres(self) -> tuple[str, int]:
        """Host and port of the database."""
        wanted = self.settings.postgres
        if wanted.address:
            host, _, port = wanted.address.rpartition(":")
            return (host, int(port)) if host else (wanted.address, 5432)
        if wanted.port is None:
            raise NotStartedError("Postgres")
        return LOOPBACK, wanted.port

    @property
    def vault(self) -> str:
        """Address of the vault."""
        wanted = self.settings.vault
        if wanted.address:
            return wanted.address.rstrip("/")
        if wanted.port is None:
            raise NotStartedError("the vault")
        return f"https://{LOOPBACK}:{wanted.port}"

    @property
    def vault_ca(self) -> Path | None:
        """CA file for the vault; the embedded one has its own."""
        if self.settings.vault.address:
            return self.settings.vault.ca_file
        return self.home / "vault" / "ca.pem"

    @property
    def prefect(self) -> str:
        """API address of Prefect's server, with `/api`."""
        wanted = self.settings.prefect
        if wanted.api_url:
            return wanted.api_url.rstrip("/")
        if wanted.port is None:
            raise NotStartedError("the Prefect server")
        return f"http://{LOOPBACK}:{wanted.port}/api"

    @property
    def prefect_auth(self) -> Path | None:
        """0600 file with Prefect's auth string; the embedded one is new at each `up`."""
        if self.settings.prefect.api_url:
            return self.settings.prefect.auth_string_file
        return self.run / "prefect.auth"

    @property
    def x(self) -> str:
        """Base address of the X API."""
        wanted = self.settings.x
        if wanted.base_url:
            return wanted.base_url.rstrip("/")
        if wanted.sandbox_port is None:
            raise NotStartedError("the X sandbox")
        return f"http://{LOOPBACK}:{wanted.sandbox_port}"

    @property
    def x_is_sandbox(self) -> bool:
        """True where X is our sandbox and no real account can be touched."""
        return self.settings.x.base_url is None

    @property
    def x_authorize(self) -> str:
        """Page where an account's owner grants access."""
        return self.settings.x.authorize_url or f"{self.x}/i/oauth2/authorize"

    @property
    def gateway(self) -> str:
        """Base address of the gateway on this machine; elsewhere the one under which people reach it."""
        wanted = self.settings.gateway
        if wanted.port is None:
            if wanted.public_url:
                return self.front_door
            raise NotStartedError("the gateway")
        return f"{'https' if wanted.tls_certificate_file else 'http'}://{wanted.host}:{wanted.port}"

    @property
    def front_door(self) -> str:
        """Base address of the gateway as people reach it; links for them begin with it."""
        return (self.settings.gateway.public_url or self.gateway).rstrip("/")

    @property
    def prefect_pages(self) -> str:
        """Prefect's pages as people reach them: through the gateway, with our logins."""
        return f"{self.front_door}/v2"

    def gateway_trust(self) -> ssl.SSLContext:
        """What a program of ours checks the gateway's certificate by: on this machine it is that very certificate."""
        wanted = self.settings.gateway
        if wanted.port is None or wanted.tls_certificate_file is None:
            return ssl.create_default_context(cafile=str(APP_ROOT / wanted.ca_file) if wanted.ca_file else None)
        context = ssl.create_default_context(cafile=str(APP_ROOT / wanted.tls_certificate_file))
        # Under whatever name it was given out: we know the one we gave.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.check_hostname = False
        return context

    @property
    def cli_key(self) -> Path:
        """0600 file with the API key that `vivesphere` uses."""
        wanted = self.settings.gateway.key_file
        return APP_ROOT / wanted if wanted else self.secrets / "cli.key"

    def role_id(self, role: str) -> Path:
        """File with an AppRole's role-id."""
        return self.run / f"{role}.role-id"

    def secret_id(self, role: str) -> Path:
        """0600 file with an AppRole's secret-id, renewed by the supervisor."""
        return self.run / f"{role}.secret-id"
