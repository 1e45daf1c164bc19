"""Bots with tokens on real parts, and a clock that both sides share; X's ledger is the judge."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import psycopg

from blocks.postgres.engine import Server
from config.places import Places
from config.settings import Credentials, Settings, X
from tasks.domain.credentials import access_path, client_path, refresh_path
from tasks.operations.credentials import Unusable, access_tokens, fresh_token
from tasks.operations.token_refresh import Refreshed
from tasks.store import base, bots, credentials, x_apps
from tests.credentials.points import PointedConnections, Reached, World, nothing
from tests.makers import stored_bots
from tests.openbao_process import OpenBaoProcess
from tests.postgres_process import PostgresProcess
from tests.x_sandbox_process import REDIRECT_URI, XSandboxProcess

HOLD_SECONDS = 20.0


def world_of(bao: OpenBaoProcess, server: Server, password: str, x_url: str, **given: object) -> World:
    """The parts as one place; `given` are settings of the section `credentials`."""
    there = bao.places.settings
    settings = Settings(
        home=there.home,
        vault=there.vault,
        stack=there.stack,
        x=X(base_url=x_url, deadline_seconds=3),
        credentials=Credentials(**{"hold_seconds": HOLD_SECONDS, **given}),
    )
    return World(Places(settings), server, password)


@dataclass
class Fleet:
    """What a test says to the refresher, and asks of vault, database and X."""

    world: World
    at: PointedConnections
    postgres: PostgresProcess
    bao: OpenBaoProcess
    x: XSandboxProcess
    bots: list[UUID] = field(default_factory=list)
    _ahead: timedelta = timedelta()

    async def with_bots(self, count: int = 1) -> list[UUID]:
        """Active bots whose tokens X has just granted."""
        app = self.x.app()
        async with self.at.transaction() as session:
            app_id = await x_apps.put(
                session,
                name="app",
                use_case="weather",
                stage="development",
                client_id=app["client_id"],
                redirect_uri=REDIRECT_URI,
            )
            self.bots = await stored_bots(session, count, x_app_id=app_id)
        secret = {"client_id": app["client_id"], "client_secret": app["client_secret"]}
        self.bao.kv("gateway").write(client_path(app_id), secret, None)
        await self.sign_in(*range(count))
        return self.bots

    async def sign_in(self, *numbers: int) -> None:
        """New token families for these bots, as a sign-in leaves them."""
        tokens = self.x.tokens(*(f"bot_{number}" for number in numbers))
        for number, token in zip(numbers, tokens, strict=True):
            bot_id = self.bots[number]
            async with self.at.transaction() as session:
                now = await base.now(session)
                ends_at = now + timedelta(seconds=token["expires_in"])
                attempt = {"attempt_id": f"sign-in-{token['refresh_token'][:8]}"}
                kv = self.bao.kv("keys")
                paths = {
                    refresh_path(bot_id): {"refresh_token": token["refresh_token"]},
                    access_path(bot_id): {
                        "access_token": token["access_token"],
                        "issued_at": now.isoformat(),
                        "expires_at": ends_at.isoformat(),
                    },
                }
                for path, data in paths.items():
                    version = kv.write(path, {**data, **attempt}, None)
                    kind = f"x_user_{path.rpartition('/')[2]}"
                    expires_at = ends_at if kind == "x_user_access" else None
                    await credentials.put(
                        session,
                        kind=kind,
                        vault_path=path,
                        version=version,
                        issued_at=now,
                        expires_at=expires_at,
                        bot_id=bot_id,
                    )
                await bots.change(session, bot_id, state="active")

    def listen(self, reached: Reached | None) -> None:
        """Be told the steps of this process's refresher; None ends it."""
        self.at.reached = reached or nothing
        self.at.kv.reached = self.at.reached  # type: ignore[attr-defined]
        self.at.x.caller.reached = self.at.reached  # type: ignore[attr-defined]

    def pass_time(self, **span: float) -> None:
        """Let time pass for the database and for X alike."""
        self._ahead += timedelta(**span)
        with self._owner() as connection:
            connection.execute(
                "UPDATE app_clock SET app_anchor = clock_timestamp() + %s, real_anchor = clock_timestamp()",
                [self._ahead],
            )
        self.x.clock(ahead_seconds=self._ahead.total_seconds())

    def run_fast(self, speed: float) -> None:
        """Let both clocks run so many times as fast from now on."""
        shown = self.x.clock(speed=speed)
        with self._owner() as connection:
            connection.execute(
                "UPDATE app_clock SET real_anchor = %s, app_anchor = %s, rate = %s",
                [shown["wall"], shown["now"], speed],
            )

    def rows(self, statement: str, *given: Any) -> list[dict[str, Any]]:
        """Rows of a statement."""
        with self._owner() as connection:
            cursor = connection.execute(statement, given)
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    async def fresh(self, number: int = 0, *, settle: bool = False) -> Refreshed:
        """What the refresher says of a bot."""
        return await fresh_token(self.at, self.bots[number], settle=settle)

    async def works(self, number: int = 0) -> bool:
        """Whether the token that a posting run reads is one that X takes."""
        async with self.at.transaction() as session:
            now = await base.now(session)
        bot_id = self.bots[number]
        found = (await access_tokens(self.at, [bot_id], now))[bot_id]
        if isinstance(found, Unusable):
            return False
        headers = {"Authorization": f"Bearer {found.value.get_secret_value()}"}
        async with httpx.AsyncClient(base_url=self.x.url, headers=headers, trust_env=False) as client:
            return (await client.get("/2/users/me")).is_success

    def state(self, number: int = 0) -> str:
        """The bot's state."""
        return str(self.rows("SELECT state FROM bots WHERE id = %s", self.bots[number])[0]["state"])

    def attempts(self) -> list[str | None]:
        """How the attempts ended, oldest first."""
        return [row["ended"] for row in self.rows("SELECT ended FROM refresh_attempts ORDER BY id")]

    def escrows(self) -> int:
        """Answers that lie in the escrow."""
        return int(self.rows("SELECT count(*) AS number FROM token_escrow")[0]["number"])

    def calls(self) -> Mapping[str, int]:
        """What became of the refreshes that X was asked for, by result."""
        found: dict[str, int] = {}
        for entry in self.x.ledger("token"):
            if entry["grant"] == "refresh_token":
                found[entry["result"]] = found.get(entry["result"], 0) + 1
        return found

    def _owner(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.postgres.conninfo(self.world.server.database), autocommit=True)
