"""The project holds together: layout, packages, lock, deployments, documents and promises are what they say."""

import ast
import importlib
import importlib.util
import inspect
import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.main import get_command

from config import loading
from config.loading import APP_ROOT, ENV_FILE_VARIABLE, PREFIX, SETTINGS_FILE_VARIABLE
from config.settings import Settings
from deployments.cli.main import app, load
from deployments.local import reference
from deployments.local.work_pool import QUEUE_LIMITS
from tests.promises import NOT_YET_KEPT, PROMISES

PACKAGES = ("flows", "tasks", "blocks", "config", "deployments")
FOLDERS = {*PACKAGES, "tests", "docs", ".ci"}
FILES = {
    "prefect.yaml",
    "pyproject.toml",
    "requirements.lock",
    "Makefile",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    ".gitignore",
    ".importlinter",
    ".yamllint",
    ".secrets.baseline",
}

# The ten packages that the product was ordered with, by distribution and import name; pytest is the tests' own.
ORDERED = {
    "prefect": "prefect",
    "pydantic": "pydantic",
    "sqlalchemy": "sqlalchemy",
    "psycopg": "psycopg",
    "cryptography": "cryptography",
    "httpx": "httpx",
    "beautifulsoup4": "bs4",
    "hvac": "hvac",
    "pandas": "pandas",
}

# Who may read the environment, and why.
READS_ENVIRONMENT = {
    "config/loading.py": "the settings themselves",
    "deployments/local/environment.py": "hands the settings given to `up` on to the children",
}

KEYS_OF_A_DEPLOYMENT = {"name", "entrypoint", "description", "parameters", "schedules", "tags", "work_pool"}

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = {"", "sh", "bash", "shell", "console"}
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
PATH = re.compile(rf"(?<![\w./-])(?:{'|'.join(map(re.escape, sorted(FOLDERS)))})/[\w.*/-]+")
WRITTEN_BY_PEOPLE = {"config/vivesphere.yaml"}
# What a reader's own machine has; the words before it may be an assignment such as NAME=value.
ORDINARY_PROGRAMS = {"cd", "cat", "curl", "git", "export"}


def tracked() -> list[Path]:
    """Files of the project, relative to its root."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=APP_ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in listed.split("\0") if name and (APP_ROOT / name).is_file()]


def text_of(path: Path) -> str:
    """Content of a tracked file; empty where it is no text."""
    try:
        return (APP_ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def product_files() -> list[Path]:
    """Python files of the five packages."""
    return [path for path in tracked() if path.parts[0] in PACKAGES and path.suffix == ".py"]


def documents() -> list[Path]:
    """README and every page under docs."""
    return [path for path in tracked() if path.suffix == ".md" and (path.parts[0] == "docs" or len(path.parts) == 1)]


@cache
def pyproject() -> dict[str, Any]:
    return tomllib.loads((APP_ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def wanted_distributions() -> tuple[set[str], set[str]]:
    """Names of the direct dependencies of product and tests."""
    project = pyproject()["project"]
    found = [project["dependencies"], project["optional-dependencies"]["dev"]]
    product, tests = ({canonicalize_name(Requirement(line).name) for line in lines} for lines in found)
    return product, tests


def imported(files: list[Path]) -> set[str]:
    """First words of everything that these files import, wherever the import stands."""
    found: set[str] = set()
    for path in files:
        for node in ast.walk(ast.parse(text_of(path))):
            if isinstance(node, ast.Import):
                found |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found


def deployments() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((APP_ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    return found


def locked() -> dict[str, str]:
    """Each requirement of the lock with all its lines, by name."""
    blocks = re.split(r"^(?=[a-zA-Z0-9])", (APP_ROOT / "requirements.lock").read_text(encoding="utf-8"), flags=re.M)
    return {canonicalize_name(re.split(r"[=\[; ]", block, maxsplit=1)[0]): block for block in blocks if block.strip()}


def promised() -> set[str]:
    """Names that stand in a promise marker of any test."""
    return {
        str(node.args[0].value)
        for path in tracked()
        if path.parts[0] == "tests" and path.suffix == ".py"
        for node in ast.walk(ast.parse(text_of(path)))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "pytest.mark.promise"
        and isinstance(node.args[0], ast.Constant)
    }


# Layout, packages, lock


def test_the_top_level_is_the_layout_and_nothing_else() -> None:
    paths = tracked()
    assert {path.parts[0] for path in paths if len(path.parts) > 1} == FOLDERS
    assert {path.name for path in paths if len(path.parts) == 1} == FILES


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_ours_and_no_other_distribution_brings_one_of_its_name(package: str) -> None:
    assert pyproject()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == list(PACKAGES)
    assert distribution("vivesphere").version == pyproject()["project"]["version"]
    # An editable installation lists no files: then nobody at all claims the name.
    assert set(packages_distributions().get(package, [])) <= {"vivesphere"}
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert [Path(place) for place in spec.submodule_search_locations or []] == [APP_ROOT / package]


def test_the_ordered_packages_are_direct_dependencies() -> None:
    product, tests = wanted_distributions()
    assert set(ORDERED) <= product
    assert "pytest" in tests


def test_the_ordered_packages_are_all_imported() -> None:
    words = imported(product_files())
    assert not {name for name, word in ORDERED.items() if word not in words}
    assert "pytest" in imported([path for path in tracked() if path.parts[0] == "tests" and path.suffix == ".py"])


def test_the_lock_has_a_hash_for_everything_and_no_address() -> None:
    requirements = locked()
    assert not [name for name, lines in requirements.items() if "--hash=sha256:" not in lines]
    text = (APP_ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not re.findall(r"^-.*|\w+://\S+", text, flags=re.MULTILINE)


def test_the_lock_holds_every_dependency_and_the_build_backend() -> None:
    product, tests = wanted_distributions()
    backend = {canonicalize_name(Requirement(line).name) for line in pyproject()["build-system"]["requires"]}
    assert product | tests | backend <= set(locked())


# Promises


def test_each_promise_has_a_test_or_says_what_it_waits_for() -> None:
    found = promised()
    assert found <= set(PROMISES), "a test keeps a promise that nobody made"
    assert set(PROMISES) - found == set(NOT_YET_KEPT), "take what is kept now out of NOT_YET_KEPT; it may only shrink"


# Deployments


@pytest.mark.parametrize("deployment", deployments(), ids=lambda found: f"{found['entrypoint']}/{found['name']}")
def test_a_deployment_imports_explains_itself_and_has_a_queue(deployment: Mapping[str, Any]) -> None:
    assert set(deployment) <= KEYS_OF_A_DEPLOYMENT  # Prefect passes over a misspelt key in silence
    module, _, function = deployment["entrypoint"].rpartition(".")
    flow = getattr(importlib.import_module(module), function)
    assert len(inspect.getdoc(flow.fn) or "") > 40  # it is the operator's page in the Prefect UI
    assert set(deployment["work_pool"]) == {"name", "work_queue_name"}
    assert deployment["work_pool"]["work_queue_name"] in QUEUE_LIMITS


def test_each_flow_of_ours_has_a_deployment() -> None:
    known = {deployment["entrypoint"] for deployment in deployments()}
    assert known == {
        f"{path.parent.name}.{path.stem}.{node.name}"
        for path in product_files()
        if path.parts[0] == "flows"
        for node in ast.parse(text_of(path)).body
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)
        and any(ast.unparse(decorator).partition("(")[0] == "flow" for decorator in node.decorator_list)
    }


# Documents


@pytest.mark.parametrize("name", reference.PAGES)
def test_a_reference_page_is_fresh(name: str) -> None:
    made = reference.PAGES[name]()
    written = (reference.FOLDER / name).read_text(encoding="utf-8")
    assert written == (made if name.endswith(".json") else reference.MADE + made), "run `make docs` and commit it"


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):(?!=)", text_of(Path("Makefile")), flags=re.MULTILINE))


@cache
def command_of(name: str) -> Any:
    return load(name)


def problem_with_command(words: list[str]) -> str | None:
    """What is wrong with `vivesphere WORDS`; None if there is such a command with such options."""
    program: Any = get_command(app)
    command = program
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        name, *words = words
        if name not in command.commands:
            # In prose, NAME or a list of commands may stand in a command's place.
            return None if name.isupper() else f"no command {name!r}"
        command = command_of(name) if command is program else command.commands[name]
    known = {"--help"} | {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    wrong = [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]
    return f"no option {wrong[0]}" if wrong else None


def problem_with_line(line: str) -> str | None:
    """What is wrong with a line of shell that a document shows."""
    words = shlex.split(line, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    match words:
        case []:
            return None
        case ["make", *rest]:
            targets = [word for word in rest if "=" not in word and not word.startswith("-")]
            unknown = set(targets) - make_targets()
            return f"no target {unknown}" if unknown else None
        case [program, *rest] if program.rpartition("/")[2] == "vivesphere":
            return problem_with_command(rest)
        case [program, *_] if program in ORDINARY_PROGRAMS:
            return None
    return f"{words[0]} is no program that a reader has"


def shell_lines(text: str) -> Iterator[str]:
    for language, fenced in FENCE.findall(text):
        for line in fenced.replace("\\\n", " ").splitlines():
            if language in SHELL and line.strip():
                yield line.strip().removeprefix("$ ")


def test_the_readme_shows_commands_that_there_are() -> None:
    lines = list(shell_lines(text_of(Path("README.md"))))
    assert any(line.startswith("make demo") for line in lines)
    assert {line: problem for line in lines if (problem := problem_with_line(line))} == {}


def test_documents_name_settings_commands_and_targets_that_there_are() -> None:
    variables = {ENV_FILE_VARIABLE, SETTINGS_FILE_VARIABLE} | {
        PREFIX + key.upper().replace(".", "__") for key, _ in loading.fields(Settings)
    }
    wrong: dict[str, str] = {}
    for path in documents():
        text = text_of(path)
        for name in re.findall(rf"{PREFIX}[A-Z0-9_]+", text):
            if name not in variables:
                wrong[f"{path}: {name}"] = "no such setting"
        for span in SPAN.findall(FENCE.sub("", text)):
            if re.match(r"(make|vivesphere|\.venv/bin/vivesphere) [a-z]", span) and (found := problem_with_line(span)):
                wrong[f"{path}: {span}"] = found
    assert wrong == {}


def test_documents_name_files_that_there_are() -> None:
    wrong = []
    for path in documents():
        text = text_of(path)
        wrong += [
            f"{path}: {name}"
            for name in (found.rstrip("./") for found in PATH.findall(text))
            if name not in WRITTEN_BY_PEOPLE and not any(APP_ROOT.glob(name))
        ]
        wrong += [
            f"{path}: {target}"
            for target in LINK.findall(text)
            if "://" not in target and not ((APP_ROOT / path).parent / target).exists()
        ]
    assert wrong == []


# What stays out of the files


def reads_environment(path: Path) -> bool:
    words = {ast.unparse(node) for node in ast.walk(ast.parse(text_of(path))) if isinstance(node, ast.Attribute)}
    words |= {
        f"{node.module}.{name.name}"
        for node in ast.walk(ast.parse(text_of(path)))
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    return bool(words & {"os.environ", "os.environb", "os.getenv", "os.getenvb"})


# Whose clock SQL may ask beside app_now(), and why.
ASKS_ANOTHER_CLOCK = {
    "tasks/store/migrations/versions/0001_the_walking_whole.sql": "app_now() itself, and ids that only have to grow",
    "deployments/local/databases.py": "doctor compares the machines' own clocks",
}
SQL_CLOCK = re.compile(
    r"\b(?:clock_timestamp|statement_timestamp|transaction_timestamp|timeofday)\b"
    r"|(?<![\w.])now\(\)(?!\s*-)|\bfunc\.now\b|\bcurrent_(?:timestamp|time|date)\b|\blocaltime(?:stamp)?\b",
    re.IGNORECASE,
)


def asks_another_clock(path: Path) -> bool:
    """Whether an SQL file, or a text inside Python, reads a clock of the server's own."""
    if path.suffix == ".sql":
        return bool(SQL_CLOCK.search(text_of(path)))
    tree = ast.parse(text_of(path))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    texts += [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return any(SQL_CLOCK.search(found) for found in texts)


def test_all_time_in_sql_is_by_the_one_clock_that_can_be_played() -> None:
    files = [path for path in tracked() if path.parts[0] in PACKAGES and path.suffix in (".py", ".sql")]
    assert {str(path) for path in files if asks_another_clock(path)} == set(ASKS_ANOTHER_CLOCK)


def test_only_named_files_read_the_environment() -> None:
    assert {str(path) for path in product_files() if reads_environment(path)} == set(READS_ENVIRONMENT)


def test_no_file_names_a_machine_or_a_package_registry() -> None:
    # Put together here, so that this file does not find itself.
    homes = "|".join(("home", "Users", "root", "work"))
    hosts = "|".join((r"pypi\.org", r"pythonhosted\.org", r"registry\.npmjs\.org", r"proxy\.golang\.org"))
    machine = re.compile(rf"(?<![\w.}}*-])/(?:{homes})/[A-Za-z_.]|{hosts}|(?:extra-)?index-url\s*[=:]")
    assert {str(path): found.group() for path in tracked() if (found := machine.search(text_of(path)))} == {}


def test_what_is_to_be_run_can_be_run() -> None:
    assert os.access(APP_ROOT / ".ci" / "run", os.X_OK)


def test_nothing_of_ours_listens_to_what_rises_so_that_it_can_be_told_and_never_planned() -> None:
    """Two import contracts keep scores out of what makes posts; this keeps the event out of what starts runs."""
    assert {str(path) for path in product_files() if "vivesphere.trend.rising" in text_of(path)} == {
        "tasks/operations/trends.py"
    }
    assert "vivesphere.trend" not in text_of(Path("prefect.yaml"))
