"""The gateway as a process that speaks TLS itself, or has a proxy in front of it that does."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from config.loading import APP_ROOT
from config.places import Places
from tests.gateway.conftest import PASSWORD
from tests.gateway.test_opening import started
from tests.postgres_process import free_port
from tests.unit.x_peer import tls_for_loopback
from tests.waiting import until

Sessions = async_sessionmaker[AsyncSession]
# What nginx would lay into a folder of the system's otherwise.
OTHER_BODIES = ("fastcgi", "uwsgi", "scgi")
WRONG = {"username": "admin", "password": "not this one"}  # pragma: allowlist secret


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A certificate for 127.0.0.1 and its key."""
    _, certificate = tls_for_loopback(tmp_path)
    return {"TLS_CERTIFICATE_FILE": str(certificate), "TLS_KEY_FILE": str(tmp_path / "key.pem")}


@contextmanager
def running(places: Places, folder: Path, **wanted: str) -> Iterator[None]:
    with (folder / "console.log").open("w") as console:
        process = started(places, console, **wanted)
        try:
            yield
        finally:
            process.terminate()
            process.wait(20)


async def healthy(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/api/v1/health")).status_code == 200
    except httpx.TransportError:
        return False


def by_tls(address: str, files: dict[str, str], come_from: str = "127.0.0.1") -> httpx.AsyncClient:
    """A caller who trusts the certificate; every address of 127.0.0.0/8 is ours to come from."""
    transport = httpx.AsyncHTTPTransport(verify=files["TLS_CERTIFICATE_FILE"], local_address=come_from)
    return httpx.AsyncClient(base_url=address, transport=transport)


def command(home: Path, *words: str, **wanted: str) -> subprocess.CompletedProcess[str]:
    """`vivesphere`, which knows of the gateway what stands in its settings."""
    environment = {
        "PATH": os.defpath,
        "VIVESPHERE_ENV_FILE": os.devnull,
        "VIVESPHERE_SETTINGS_FILE": str(home / "none.yaml"),
        "VIVESPHERE_HOME": str(home),
        **{f"VIVESPHERE_GATEWAY__{name}": value for name, value in wanted.items()},
    }
    return subprocess.run(
        [sys.executable, "-c", "from deployments.cli.main import main; main()", *words],
        cwd=APP_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


async def test_the_gateway_speaks_tls_and_the_commands_trust_its_certificate_and_no_other(
    places: Places, tmp_path: Path, files: dict[str, str]
) -> None:
    port = str(places.settings.gateway.port)
    address = f"https://127.0.0.1:{port}"
    with running(places, tmp_path, **files):
        async with by_tls(address, files) as client:
            await until(lambda: healthy(client))
            with pytest.raises(httpx.ConnectError):
                async with httpx.AsyncClient(trust_env=False) as trusting_the_system:
                    await trusting_the_system.get(address)
        near = command(places.home, "users", "list", "--json", PORT=port, **files)
        assert (near.returncode, "admin" in near.stdout) == (0, True), near.stderr
        # From another machine: by the address that people use, and the CA that gave out its certificate.
        key = str(places.cli_key)
        far = {"PUBLIC_URL": address, "KEY_FILE": key}
        (other := tmp_path / "other-home").mkdir()
        trusted = command(other, "users", "list", "--json", CA_FILE=files["TLS_CERTIFICATE_FILE"], **far)
        assert (trusted.returncode, trusted.stdout) == (0, near.stdout), trusted.stderr
        untrusted = command(other, "users", "list", "--json", **far)
        assert (untrusted.returncode, "gateway.ca_file" in untrusted.stderr) == (1, True), untrusted.stderr


@pytest.fixture(params=["ours", "caddy", "nginx"])
def proxy(places: Places, files: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a proxy in front of the gateway: one of the tests' own, or a real one set up as the guide says."""
    port, to = free_port(), places.settings.gateway.port
    certificate, key = files["TLS_CERTIFICATE_FILE"], files["TLS_KEY_FILE"]
    if request.param == "ours":
        words = [sys.executable, "-m", "tests.gateway.reverse_proxy", str(port), str(to), certificate, key]
    else:
        program = shutil.which(request.param)
        if program is None:
            pytest.skip(f"{request.param} is not installed")
        guide = (APP_ROOT / "docs/guide/access.md").read_text(encoding="utf-8")
        wanted = (
            guide.partition(f"```{request.param}\n")[2].partition("```")[0].replace("127.0.0.1:8000", f"127.0.0.1:{to}")
        )
        file = tmp_path / request.param
        if request.param == "caddy":
            there = f"https://127.0.0.1:{port} {{\n    tls {certificate} {key}"
            wanted = "{\n    admin off\n    auto_https off\n}\n" + wanted.replace("vivesphere.example {", there)
            words = [program, "run", "--adapter", "caddyfile", "--config", str(file)]
        else:
            wanted = (
                wanted.replace("listen 443", f"listen 127.0.0.1:{port}")
                .replace("/etc/ssl/vivesphere.pem", certificate)
                .replace("/etc/ssl/vivesphere.key", key)
            )
            held = "".join(f"{kind}_temp_path {tmp_path};" for kind in ("client_body", "proxy", *OTHER_BODIES))
            pid = f"daemon off; pid {tmp_path}/nginx.pid; error_log stderr;"
            wanted = f"{pid} events {{}} http {{ access_log off; {held} {wanted} }}"
            words = [program, "-p", str(tmp_path), "-c", str(file)]
        file.write_text(wanted, encoding="utf-8")
    environment = {**os.environ, "HOME": str(tmp_path)}
    with (tmp_path / "proxy.log").open("wb") as log:
        process = subprocess.Popen(words, cwd=APP_ROOT, env=environment, stdout=log, stderr=log)
    try:
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


async def came_from(sessions: Sessions) -> list[str]:
    """Who was refused, by what the log says."""
    noted = text("SELECT details->>'client' FROM activity_log WHERE action = 'access.refused' ORDER BY id")
    async with sessions.begin() as session:
        return list((await session.execute(noted)).scalars())


async def test_behind_a_trusted_proxy_limits_and_log_know_who_came(
    places: Places, proxy: str, tmp_path: Path, files: dict[str, str], sessions: Sessions
) -> None:
    with running(places, tmp_path, TRUSTED_PROXIES="127.0.0.1", CHANGES_PER_MINUTE="2", PUBLIC_URL=proxy):
        async with by_tls(proxy, files, "127.0.0.2") as one, by_tls(proxy, files, "127.0.0.3") as other:
            await until(lambda: healthy(one))
            # What a caller says of himself is not believed.
            lies = {"X-Forwarded-For": "10.9.9.9", "X-Real-IP": "10.9.9.9", "Forwarded": "for=10.9.9.9"}
            tried = [await one.post("/api/v1/auth/login", json=WRONG, headers=lies) for _ in range(3)]
            assert [answer.status_code for answer in tried] == [401, 401, 429]
            assert (await other.post("/api/v1/auth/login", json=WRONG)).status_code == 401
            assert await came_from(sessions) == ["127.0.0.2", "127.0.0.2", "127.0.0.3"]

            # To the browser all this is https: cookie and origin are as with TLS of our own.
            link = (places.secrets / "first-sign-in.link").read_text(encoding="utf-8")
            assert link.startswith(f"{proxy}/set-password?link=")
            form = {
                "link": link.partition("link=")[2],
                "password": PASSWORD,
                "again": PASSWORD,
            }
            sent = {"Origin": proxy, "Sec-Fetch-Site": "same-origin"}
            async with by_tls(proxy, files, "127.0.0.4") as person:
                assert (await person.post("/set-password", data=form, headers={"Origin": proxy})).status_code == 303
                given = {"username": "admin", "password": PASSWORD}
                signed_in = await person.post("/login", data=given, headers=sent)
                assert signed_in.status_code == 303
                assert signed_in.headers["set-cookie"].startswith("__Host-vivesphere=session.")
                assert "; Secure" in signed_in.headers["set-cookie"]
                assert (await person.get("/account")).status_code == 200


@pytest.mark.parametrize("proxy", ["ours"], indirect=True)
async def test_a_proxy_that_is_not_named_is_not_believed(
    places: Places, proxy: str, tmp_path: Path, files: dict[str, str], sessions: Sessions
) -> None:
    with running(places, tmp_path):
        async with by_tls(proxy, files, "127.0.0.2") as one:
            await until(lambda: healthy(one))
            assert (await one.post("/api/v1/auth/login", json=WRONG)).status_code == 401
    assert await came_from(sessions) == ["127.0.0.1"]
