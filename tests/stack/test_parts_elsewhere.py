"""Parts that somebody else runs: the stack uses them by their address and starts none of its own.

Its gateway speaks TLS here, to the commands, to Prefect's programs and to a browser.
"""

import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import psycopg
import pytest

from config import loading
from config.loading import APP_ROOT
from deployments.local import doctor, environment, processes, status
from tests.openbao_process import dev_server
from tests.postgres_process import running_postgres
from tests.stack.conftest import RunningStack
from tests.unit.x_peer import tls_for_loopback

PASSWORD = "a lamp in every window"  # pragma: allowlist secret
POOL = "by-tls"


def test_a_postgres_and_a_vault_of_somebody_elses_are_used_by_their_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = RunningStack(tmp_path / "home")
    with (
        found.at_home(),
        running_postgres(options={"max_connections": "200"}) as server,
        dev_server(tmp_path) as (vault, token_file),
    ):
        monkeypatch.setenv("VIVESPHERE_POSTGRES__ADDRESS", f"{server.host}:{server.port}")
        monkeypatch.setenv("VIVESPHERE_POSTGRES__ADMIN_PASSWORD_FILE", str(server.password_file))
        monkeypatch.setenv("VIVESPHERE_VAULT__ADDRESS", vault)
        monkeypatch.setenv("VIVESPHERE_VAULT__ADMIN_TOKEN_FILE", str(token_file))
        _, certificate = tls_for_loopback(tmp_path)
        monkeypatch.setenv("VIVESPHERE_GATEWAY__TLS_CERTIFICATE_FILE", str(certificate))
        monkeypatch.setenv("VIVESPHERE_GATEWAY__TLS_KEY_FILE", str(tmp_path / "key.pem"))
        try:
            found.up()
            parts = {part.name: part for part in status.status(found.places)}
            assert {parts["postgres"].state, parts["openbao"].state} == {"elsewhere"}
            assert parts["worker"].state == "up"
            assert not (found.home / "postgres").exists() and not (found.home / "vault").exists()
            with psycopg.connect(server.conninfo("vivesphere")) as connection:
                assert connection.execute("SELECT count(*) FROM posts").fetchone() == (0,)
            assert [finding for finding in doctor.examine(found.places) if not finding.well] == []
            assert found.places.gateway.startswith("https://")
            programs_reach_the_gateway_by_tls(found, certificate, tmp_path)
            a_browsers_cookie_is_for_tls_alone(found, certificate)
        finally:
            found.down()
            loading.load.cache_clear()
        assert processes.of_stack(found.home) == []
        psycopg.connect(server.conninfo("vivesphere")).close()


def programs_reach_the_gateway_by_tls(stack: RunningStack, certificate: Path, folder: Path) -> None:
    listed = subprocess.run(
        [sys.executable, "-c", "from deployments.cli.main import main; main()", "users", "list", "--json"],
        cwd=APP_ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (listed.returncode, '"admin"' in listed.stdout) == (0, True), listed.stderr
    (folder / "prefect").mkdir()
    client = {
        **environment.foreign(stack.places),
        "PREFECT_API_URL": f"{stack.places.gateway}/api",
        "PREFECT_API_AUTH_STRING": stack.places.cli_key.read_text(encoding="utf-8").strip(),
        "PREFECT_API_SSL_CERT_FILE": str(certificate),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_CLI_COLORS": "false",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1",
    }

    def prefect(*words: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-m", "prefect", *words],
            cwd=APP_ROOT,
            env=client,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
        return ended.stdout

    prefect("work-pool", "create", POOL, "--type", "process")
    assert POOL in prefect("work-pool", "ls")
    prefect("worker", "start", "--pool", POOL, "--type", "process", "--name", "far", "--run-once")
    with stack.api() as api:
        [seen] = api.post(f"/work_pools/{POOL}/workers/filter", json={}).raise_for_status().json()
    assert seen["name"] == "far"
    words = ["timeout", "60", sys.executable, "-m", "prefect", "events", "stream"]
    with subprocess.Popen(words, env=client, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any('"event":"prefect.' in line for line in process.stdout)
        process.kill()


def a_browsers_cookie_is_for_tls_alone(stack: RunningStack, certificate: Path) -> None:
    address = stack.places.gateway
    link = (stack.places.secrets / "first-sign-in.link").read_text(encoding="utf-8").partition("link=")[2]
    with httpx.Client(
        base_url=address,
        verify=ssl.create_default_context(cafile=str(certificate)),
        headers={"Origin": address, "Sec-Fetch-Site": "same-origin"},
        trust_env=False,
    ) as browser:
        form = {"link": link, "password": PASSWORD, "again": PASSWORD}
        assert browser.post("/set-password", data=form).status_code == 303
        signed_in = browser.post("/login", data={"username": "admin", "password": PASSWORD})
        assert signed_in.headers["set-cookie"].startswith("__Host-vivesphere=session.")
        assert "; Secure" in signed_in.headers["set-cookie"]
        assert browser.get("/account").status_code == 200
