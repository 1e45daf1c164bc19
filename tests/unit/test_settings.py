"""Settings: which source wins, where a value came from, and what is said of a wrong one."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import SecretStr

from config import loading
from config.loading import ENV_FILE_VARIABLE, SETTINGS_FILE_VARIABLE, Loaded, Origin, SettingsError
from config.settings import Mark, Settings
from deployments.cli import config as config_command
from tests.postgres_process import free_port

FIELDS = dict(loading.fields(Settings))
NUMBERS = [key for key, field in FIELDS.items() if {int, float} & {field.annotation, *get_args(field.annotation)}]


class Machine:
    """The sources of one machine: files in a folder of its own, and an environment of its own."""

    def __init__(self, folder: Path) -> None:
        self.env_file = folder / "project.env"
        self.yaml_file = folder / "vivesphere.yaml"
        self.home = folder / "home"
        self.layout_file = self.home / "layout.json"
        self.home.mkdir()

    def read(self, **environment: str) -> Loaded:
        return loading.read(
            {
                ENV_FILE_VARIABLE: str(self.env_file),
                SETTINGS_FILE_VARIABLE: str(self.yaml_file),
                "VIVESPHERE_HOME": str(self.home),
                **environment,
            }
        )

    def problems(self, **environment: str) -> list[str]:
        with pytest.raises(SettingsError) as caught:
            self.read(**environment)
        return caught.value.problems


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_nothing_given_is_the_default(machine: Machine) -> None:
    found = machine.read()
    assert found.settings.posting == Settings().posting
    assert found.origin("posting.window_seconds") == Origin("default", "default")


def test_the_layout_beats_the_default(machine: Machine) -> None:
    machine.layout_file.write_text(json.dumps({"gateway": {"port": 21001}}), encoding="utf-8")
    found = machine.read()
    assert found.settings.gateway.port == 21001
    assert found.origin("gateway.port") == Origin("layout", str(machine.layout_file))


def test_yaml_beats_the_layout(machine: Machine) -> None:
    machine.layout_file.write_text(json.dumps({"gateway": {"port": 21001}}), encoding="utf-8")
    machine.yaml_file.write_text("# ours\ngateway:\n  port: 21002\n", encoding="utf-8")
    found = machine.read()
    assert found.settings.gateway.port == 21002
    assert found.origin("gateway.port") == Origin("yaml", f"{machine.yaml_file}:3")


def test_the_env_file_beats_yaml(machine: Machine) -> None:
    machine.yaml_file.write_text("gateway:\n  port: 21002\n", encoding="utf-8")
    machine.env_file.write_text("# ours\nexport VIVESPHERE_GATEWAY__PORT=21003\n", encoding="utf-8")
    found = machine.read()
    assert found.settings.gateway.port == 21003
    assert found.origin("gateway.port") == Origin(".env", f"{machine.env_file}:2 VIVESPHERE_GATEWAY__PORT")


def test_the_environment_beats_the_env_file(machine: Machine) -> None:
    machine.env_file.write_text("VIVESPHERE_GATEWAY__PORT=21003\n", encoding="utf-8")
    found = machine.read(VIVESPHERE_GATEWAY__PORT="21004")
    assert found.settings.gateway.port == 21004
    assert found.origin("gateway.port") == Origin("environment", "environment VIVESPHERE_GATEWAY__PORT")


def test_a_source_that_says_one_thing_leaves_the_rest_to_the_weaker_ones(machine: Machine) -> None:
    machine.layout_file.write_text(json.dumps({"gateway": {"port": 21001}}), encoding="utf-8")
    machine.yaml_file.write_text("gateway:\n  hashing_slots: 3\n", encoding="utf-8")
    found = machine.read(VIVESPHERE_GATEWAY__ACCESS_TOKEN_SECONDS="61")
    gateway = found.settings.gateway
    assert (gateway.port, gateway.hashing_slots, gateway.access_token_seconds) == (21001, 3, 61)
    assert [found.origin(f"gateway.{name}").kind for name in ("port", "hashing_slots", "access_token_seconds")] == [
        "layout",
        "yaml",
        "environment",
    ]


def test_a_whole_section_may_stand_in_one_variable(machine: Machine) -> None:
    found = machine.read(VIVESPHERE_POSTING='{"batch": 7}', VIVESPHERE_POSTING__LANES="9")
    assert (found.settings.posting.batch, found.settings.posting.lanes) == (7, 9)
    assert found.origin("posting.batch").kind == "environment"


@pytest.mark.parametrize("source", ["environment", "env_file", "yaml"])
def test_the_layout_is_looked_for_in_the_home_that_the_strongest_source_names(machine: Machine, source: str) -> None:
    machine.layout_file.write_text(json.dumps({"vault": {"port": 21005}}), encoding="utf-8")
    home = {"VIVESPHERE_HOME": str(machine.home)} if source == "environment" else {}
    if source == "env_file":
        machine.env_file.write_text(f"VIVESPHERE_HOME={machine.home}\n", encoding="utf-8")
    if source == "yaml":
        machine.yaml_file.write_text(f"home: {machine.home}\n", encoding="utf-8")
    files = {ENV_FILE_VARIABLE: str(machine.env_file), SETTINGS_FILE_VARIABLE: str(machine.yaml_file)}
    assert loading.read({**files, **home}).settings.vault.port == 21005


def test_what_is_not_ours_in_the_environment_is_let_be(machine: Machine) -> None:
    machine.env_file.write_text("DATABASE_URL=postgres://elsewhere\n", encoding="utf-8")
    machine.read(PATH="/bin", VIVESPHEREX="1", POSTING__BATCH="2")


def test_an_unknown_variable_is_named_with_its_nearest_neighbour(machine: Machine) -> None:
    assert machine.problems(VIVESPHERE_POSTNG__BATCH="2") == [
        "environment VIVESPHERE_POSTNG__BATCH: there is no setting 'postng.batch'; did you mean posting.batch?"
    ]


def test_an_unknown_key_of_a_known_section_is_named_too(machine: Machine) -> None:
    assert machine.problems(VIVESPHERE_POSTING__BACH="2") == [
        "environment VIVESPHERE_POSTING__BACH: there is no setting 'posting.bach'; did you mean posting.batch?"
    ]


def test_an_unknown_line_of_the_env_file_is_named_with_its_number(machine: Machine) -> None:
    machine.env_file.write_text("\nVIVESPHERE_NONSENSE=2\n", encoding="utf-8")
    assert machine.problems() == [
        f"{machine.env_file}:2: there is no setting 'nonsense'; `vivesphere config show` lists all settings"
    ]


def test_an_unknown_key_of_the_yaml_file_is_named_with_its_line(machine: Machine) -> None:
    machine.yaml_file.write_text("posting:\n  batch: 5\n  lnes: 3\n", encoding="utf-8")
    assert machine.problems() == [
        f"{machine.yaml_file}:3: there is no setting 'posting.lnes'; did you mean posting.lanes?"
    ]


def test_a_bad_value_names_file_and_line_and_what_is_allowed(machine: Machine) -> None:
    machine.yaml_file.write_text("posting:\n  batch: 5000\n", encoding="utf-8")
    (problem,) = machine.problems()
    assert problem.startswith(f"{machine.yaml_file}:2: posting.batch = 5000: ")
    assert problem.endswith("; write a value from 1 to 1000")


def test_a_value_out_of_a_list_is_answered_with_the_list(machine: Machine) -> None:
    (problem,) = machine.problems(VIVESPHERE_LOGS__LEVEL="LOUD")
    assert problem.startswith("environment VIVESPHERE_LOGS__LEVEL: logs.level = 'LOUD': ")
    assert "'DEBUG', 'INFO', 'WARNING' or 'ERROR'" in problem


def test_every_problem_is_named_at_once(machine: Machine) -> None:
    machine.yaml_file.write_text("posting:\n  batch: many\n  lanes: 0\n", encoding="utf-8")
    machine.env_file.write_text("VIVESPHERE_X__DEADLINE_SECONDS=never\n", encoding="utf-8")
    problems = machine.problems(VIVESPHERE_NONSENSE="1")
    places = ("environment VIVESPHERE_NONSENSE", f"{machine.env_file}:1", f"{machine.yaml_file}:2")
    assert len(problems) == 4
    assert all(any(problem.startswith(place) for problem in problems) for place in places)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("yaml_file", "posting: [1]\n", ":1: posting = [1]"),
        ("yaml_file", "- posting\n", ":1: a mapping of settings is expected here"),
        ("yaml_file", "posting:\n  batch: 5\n  batch: 6\n", ":3: 'batch' stands twice; remove one"),
        ("yaml_file", "posting: {batch: 5\n", ":2: "),
        ("layout_file", "{", ": not valid JSON; delete it, and the next `vivesphere up` chooses ports"),
    ],
)
def test_a_file_of_the_wrong_shape_is_said_with_its_place(machine: Machine, file: str, text: str, said: str) -> None:
    path: Path = getattr(machine, file)
    path.write_text(text, encoding="utf-8")
    assert machine.problems()[0].startswith(f"{path}{said}")


@pytest.mark.parametrize("text", ["", "# nothing yet\n"])
def test_an_empty_yaml_file_says_nothing(machine: Machine, text: str) -> None:
    machine.yaml_file.write_text(text, encoding="utf-8")
    assert machine.read().settings.posting == Settings().posting


def test_a_section_that_is_no_json_is_said_with_the_way_to_write_it(machine: Machine) -> None:
    machine.env_file.write_text("\nVIVESPHERE_X=not json\n", encoding="utf-8")
    hint = "a section is written as JSON, like"
    assert machine.problems()[0].startswith(f"{machine.env_file}:2: {hint}")
    assert machine.problems(VIVESPHERE_POSTING="not json")[0].startswith(f"environment VIVESPHERE_POSTING: {hint}")
    assert machine.problems(VIVESPHERE_POSTING="[1]")


@pytest.mark.parametrize("key", FIELDS)
def test_a_setting_has_a_sentence_and_a_mark(key: str) -> None:
    field = FIELDS[key]
    assert field.description and field.description.endswith(".")
    assert field.json_schema_extra["mark"] in get_args(Mark)


@pytest.mark.parametrize("key", NUMBERS)
def test_a_number_has_bounds_and_they_hold(machine: Machine, key: str) -> None:
    least = next(item.ge for item in FIELDS[key].metadata if hasattr(item, "ge"))
    most = next(item.le for item in FIELDS[key].metadata if hasattr(item, "le"))
    variable = "VIVESPHERE_" + key.upper().replace(".", "__")
    for inside in (least, most):
        machine.read(**{variable: str(inside)})
    for outside in (least - 1, most + 1):
        (problem,) = machine.problems(**{variable: str(outside)})
        assert problem.endswith(f"; write a value from {least} to {most}")


@pytest.mark.parametrize("key", [key for key in NUMBERS if not key.endswith("port")])
def test_a_number_says_its_unit_or_counts_things(key: str) -> None:
    units = ("_seconds", "_ms", "_hours", "_days", "_bytes", "_mb", "_per_minute")
    counts = (
        "pool_size",
        "readers",
        "refreshers",
        "uploaders",
        "hashing_slots",
        "hashing_line",
        "batch",
        "held",
        "lanes",
        "attempts_max",
        "client_attempts_max",
        "files_kept",
    )
    assert key.endswith(units) or key.rpartition(".")[2] in counts


def test_settings_cannot_be_changed_behind_our_back(machine: Machine) -> None:
    settings: Any = machine.read().settings
    with pytest.raises(ValueError, match="frozen"):
        settings.posting.batch = 2


def test_no_setting_holds_a_secret_and_so_none_is_masked(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A secret stands in a file that a setting names; what `config show` prints is what is in force, all of it."""
    assert not [key for key, field in FIELDS.items() if SecretStr in (field.annotation, *get_args(field.annotation))]
    port = free_port()
    found = machine.read(VIVESPHERE_POSTGRES__ADMIN_PASSWORD_FILE="pw", VIVESPHERE_GATEWAY__PORT=str(port))
    monkeypatch.setattr(loading, "load", lambda: found)
    config_command.show(as_json=True)
    rows = {row["setting"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == list(FIELDS)
    assert rows["postgres.admin_password_file"]["value"] == "pw"
    assert (rows["gateway.port"]["value"], rows["gateway.port"]["origin"]) == (port, "environment")
    assert "[hidden]" not in {row["value"] for row in rows.values()}
