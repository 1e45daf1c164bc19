"""Where everything is follows from the settings alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config.loading import APP_ROOT
from config.places import NotStartedError, Places
from config.settings import Gateway, Onboarding, Postgres, Prefect, Settings, Vault, X

HOME = Path("/somewhere/home")


def places(**sections: Any) -> Places:
    return Places(Settings(home=HOME, **sections))


def test_a_relative_home_lies_in_the_project_and_an_absolute_one_where_it_says() -> None:
    assert Places(Settings(home=Path("state"))).home == APP_ROOT / "state"
    assert places().home == HOME


def test_all_local_state_is_under_the_home() -> None:
    found = places()
    ours = [found.secrets, found.run, found.logs, found.role_id("poster"), found.secret_id("poster")]
    ours += [path for path in (found.vault_ca, found.prefect_auth) if path]
    assert len({*ours}) == 7
    assert all(path.is_relative_to(HOME) for path in ours)


def test_bot_files_are_the_projects_unless_said_otherwise() -> None:
    assert places().bots_folder == APP_ROOT / "config" / "bots"
    assert places(onboarding=Onboarding(bots_folder=Path("/elsewhere"))).bots_folder == Path("/elsewhere")


@pytest.mark.parametrize(
    "part",
    [
        lambda found: found.postgres,
        lambda found: found.vault,
        lambda found: found.prefect,
        lambda found: found.x,
        lambda found: found.x_authorize,
        lambda found: found.gateway,
    ],
    ids=["postgres", "vault", "prefect", "x", "x_authorize", "gateway"],
)
def test_before_the_first_start_a_part_has_no_address_and_says_what_to_do(part: Callable[[Places], Any]) -> None:
    with pytest.raises(NotStartedError, match="start the stack with `vivesphere up`"):
        part(places())


def test_parts_of_ours_are_on_loopback() -> None:
    found = places(
        postgres=Postgres(port=21001),
        vault=Vault(port=21002),
        prefect=Prefect(port=21003),
        x=X(sandbox_port=21004),
        gateway=Gateway(port=21005),
    )
    assert found.postgres == ("127.0.0.1", 21001)
    assert found.vault == "https://127.0.0.1:21002"
    assert found.prefect == "http://127.0.0.1:21003/api"
    assert found.x == "http://127.0.0.1:21004"
    assert found.x_authorize == "http://127.0.0.1:21004/i/oauth2/authorize"
    assert found.gateway == "http://127.0.0.1:21005"
    assert found.x_is_sandbox
    assert (found.vault_ca, found.prefect_auth) == (HOME / "vault" / "ca.pem", HOME / "run" / "prefect.auth")


def test_parts_of_somebody_elses_are_where_the_settings_say() -> None:
    found = places(
        postgres=Postgres(address="db.example.org:6432", port=21001),
        vault=Vault(address="https://vault.example.org:8200/", port=21002),
        prefect=Prefect(api_url="https://prefect.example.org/api/", port=21003, auth_string_file=Path("/etc/auth")),
        x=X(base_url="https://api.x.com/", sandbox_port=21004, authorize_url="https://x.com/i/oauth2/authorize"),
    )
    assert found.postgres == ("db.example.org", 6432)
    assert found.vault == "https://vault.example.org:8200"
    assert found.prefect == "https://prefect.example.org/api"
    assert found.x == "https://api.x.com"
    assert found.x_authorize == "https://x.com/i/oauth2/authorize"
    assert not found.x_is_sandbox
    assert (found.vault_ca, found.prefect_auth) == (None, Path("/etc/auth"))


def test_postgres_without_a_port_is_on_its_usual_one() -> None:
    assert places(postgres=Postgres(address="db.example.org")).postgres == ("db.example.org", 5432)
