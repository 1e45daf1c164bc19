"""Writes docs/reference from the code, and with --check fails where a page is stale."""

import argparse
import ast
import importlib
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic_core import PydanticUndefined

from config import loading
from config.loading import APP_ROOT
from config.places import Places
from config.settings import Settings
from tasks.domain.policy import gate
from tasks.domain.policy.policies import Policies
from tasks.domain.roles import COMMANDS, RIGHTS, Role

FOLDER = APP_ROOT / "docs" / "reference"
MADE = "<!-- Made by `make docs`; change the code, not this page. -->\n\n"


def settings_page() -> str:
    """Every setting with its default, bounds, mark and sentence."""
    lines = [
        "# Settings\n\n",
        "A value comes from the environment, else `.env`, else `config/vivesphere.yaml`, else the ports that `up` ",
        "chose, else the default. The key `posting.window_seconds` is the variable ",
        "`VIVESPHERE_POSTING__WINDOW_SECONDS`. ",
        "`vivesphere config show` prints what is in force and where it came from.\n\n",
        "wiring: file and environment only. policy: what is promised. tuning: how fast and how much.\n",
    ]
    section = None
    for key, field in loading.fields(Settings):
        head = key.rpartition(".")[0]
        if head != section:
            section = head
            model: Any = Settings
            for name in head.split(".") if head else ():
                model = model.model_fields[name].annotation
            lines.append(f"\n## {head or 'vivesphere'}\n\n{inspect.getdoc(model)}\n\n")
            lines.append("| key | default | bounds | mark | meaning |\n|---|---|---|---|---|\n")
        mark = field.json_schema_extra["mark"]
        lines.append(f"| `{key}` | {_default(field)} | {_bounds(field)} | {mark} | {field.description} |\n")
    return "".join(lines)


def flows_page() -> str:
    """Every deployment of prefect.yaml with what its flow says of itself."""
    deployments = yaml.safe_load((APP_ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    lines = ["# Flows\n\nEach runs in the work pool; start one by hand with `vivesphere run NAME`.\n"]
    for entry in deployments:
        module, _, function = entry["entrypoint"].rpartition(".")
        flow = getattr(importlib.import_module(module), function)
        schedules = ", ".join(_timing(schedule) for schedule in entry.get("schedules", [])) or "none"
        lines.append(
            f"\n## {flow.name}/{entry['name']}\n\n{inspect.getdoc(flow.fn)}\n\n"
            f"Schedule: {schedules}. Queue: `{entry['work_pool']['work_queue_name']}`.\n"
        )
    return "".join(lines)


def _timing(schedule: Mapping[str, Any]) -> str:
    return f"`{schedule['cron']}`" if "cron" in schedule else f"every {schedule['interval']} s"


def errors_page() -> str:
    """The drawn tree of each adapter's errors."""
    lines = ["# Errors of the adapters\n\nFacts are attributes; nothing in the product reads an error's text.\n"]
    for path in sorted(APP_ROOT.glob("blocks/*/errors.py")):
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        lines.append(f"\n## {path.parent.name}\n\n```text\n{doc}\n```\n")
    return "".join(lines)


def roles_page() -> str:
    """Which role may do what."""
    roles = get_args(Role)
    lines = [
        "# Roles\n\n",
        "A role holds for everything, or for what bears one label. Where `by label` says no, only a role for ",
        "everything counts: the thing has no labels, or shows all bots at once. What no line grants is refused.\n\n",
        "| permission | " + " | ".join(roles) + " | by label |\n",
        "|---|" + "---|" * (len(roles) + 1) + "\n",
    ]
    for permission, right in sorted(RIGHTS.items()):
        marks = " | ".join("yes" if role in right.roles else "no" for role in roles)
        lines.append(f"| `{permission}` | {marks} | {'yes' if right.by_label else 'no'} |\n")
    lines.append("\n## Commands\n\n| command | permission |\n|---|---|\n")
    for command, needed in COMMANDS.items():
        lines.append(f"| `vivesphere {command}` | {f'`{needed}`' if needed else 'whoever may read the files'} |\n")
    return "".join(lines)


def policy_page() -> str:
    """Every rule of the gate, and what people set of it."""
    lines = [
        "# Policy rules\n\nEvery rule looks at every post. A post passes when none objects; where no rule says more "
        "than `needs approval`, a person decides. X's own rules are switched off and overruled by nobody.\n"
    ]
    for module in sorted(gate.MODULES, key=lambda module: module.RULE.id):
        rule = module.RULE
        hard = "refuses" if rule.severity == "refuse" else "needs approval"
        whose = "x-policy" if rule.x_policy else "our own"
        lines.append(
            f"\n## {rule.id}\n\n{inspect.getdoc(module)}\n\n{inspect.getdoc(module.judge)}\n\n"
            f"{hard}, {whose}. Source: {rule.source}. What to do: {rule.advice}.\n"
        )
    lines.append("\n## config/policies.yaml\n\n| key | default | bounds | meaning |\n|---|---|---|---|\n")
    for name, field in Policies.model_fields.items():
        low, high = (
            next((getattr(item, end) for item in field.metadata if hasattr(item, end)), None) for end in ("ge", "le")
        )
        bounds = "" if low is None else f"{low} to {high}"
        default = "none" if field.default in ((), PydanticUndefined) else field.default
        lines.append(f"| `{name}` | {default} | {bounds} | {field.description} |\n")
    return "".join(lines)


def commands_page() -> str:
    """Every command with its help."""
    from typer.main import get_command

    from deployments.cli.main import app

    lines = ["# Commands\n"]
    for words, command in _commands(["vivesphere"], get_command(app)):
        lines.append(f"\n## {' '.join(words)}\n\n{inspect.cleandoc(command.help or '')}\n")
        parameters = [parameter for parameter in command.params if parameter.name != "help"]
        if parameters:
            lines.append("\n| parameter | meaning |\n|---|---|\n")
        for parameter in parameters:
            names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
            lines.append(f"| {names} | {_cell(getattr(parameter, 'help', None) or '')} |\n")
    return "".join(lines)


def api_page() -> str:
    """The OpenAPI document of the gateway."""
    from deployments.gateway.app import create_app

    # Defaults alone, so that the page is the same on every machine.
    return json.dumps(create_app(Places(Settings())).openapi(), indent=1, sort_keys=True) + "\n"


def contracts_page() -> str:
    """Each endpoint of the API with permission, body, answers and an example."""
    from deployments.gateway import contract
    from deployments.gateway.app import create_app

    document = create_app(Places(Settings())).openapi()
    lines = [
        "# API contracts\n\n",
        "Everything under `/api/v1`. As an OpenAPI document: [reference/openapi.json](reference/openapi.json), and ",
        "on a running gateway at `/docs`, where *Authorize* takes a token or a key. [guide/api.md](guide/api.md) ",
        "walks through it and tells what holds everywhere: signing in, problems, pages, limits, `Idempotency-Key`.\n",
    ]
    for method, path, operation in contract.operations(document):
        if path.startswith(contract.API):
            lines += _endpoint(method, path, operation, document)
    return "".join(lines)


def _endpoint(method: str, path: str, operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n## {method} {path}\n\n{_cell(operation.get('description', ''))}\n\n"
    yield f"Permission: `{operation['x-permission']}`.\n" if "x-permission" in operation else "Open to everybody.\n"
    given = [one for one in operation.get("parameters", []) if one["name"] != "Idempotency-Key"]
    if given:
        yield "\n| parameter | in | needed | values |\n|---|---|---|---|\n"
    for one in given:
        needed = "yes" if one.get("required") else "no"
        yield f"| `{one['name']}` | {one['in']} | {needed} | {_cell(_values(one['schema']))} |\n"
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"\nBody, `{kind}`:\n"
        yield from _fields(content["schema"], document)
        yield _example(content)
    for status, said in operation["responses"].items():
        if status.startswith("2"):
            yield f"\n{status}: {_cell(said['description'])}\n"
            yield from (_example(content) for content in said.get("content", {}).values())
    others = [
        f"{status} ({_cell(said['description'])})"
        for status, said in operation["responses"].items()
        if status[0] == "4"
    ]
    yield f"\nElse a problem: {' '.join(others)}\n"


def _fields(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    """The fields of a body, or of each item of it."""
    if "items" in schema:
        yield f"\n{schema.get('minItems', 0)} to {schema['maxItems']} of:\n"
        schema = schema["items"]
    if "$ref" not in schema:
        return
    found = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    yield "\n| field | needed | values | meaning |\n|---|---|---|---|\n"
    for name, field in found["properties"].items():
        needed = "yes" if name in found.get("required", ()) else "no"
        yield f"| `{name}` | {needed} | {_cell(_values(field))} | {_cell(field.get('description', ''))} |\n"


def _example(content: Mapping[str, Any]) -> str:
    if "example" not in content:
        return ""
    return f"\n```json\n{json.dumps(content['example'], indent=1, ensure_ascii=False)}\n```\n"


def _values(schema: Mapping[str, Any]) -> str:
    """What a parameter takes, in a few words."""
    kinds = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    said = []
    for kind in kinds:
        named = kind.get("$ref", "").rpartition("/")[2]
        words = ", ".join(map(str, kind["enum"])) if "enum" in kind else kind.get("format", kind.get("type", named))
        bounds = [f"{kind[name]:g}" for name in ("minimum", "maximum") if name in kind]
        said.append(f"{words} {' to '.join(bounds)}".strip())
    return " or ".join(said) + (f"; else {schema['default']}" if schema.get("default") is not None else "")


def prometheus_page() -> str:
    """Every figure that the gateway tells Prometheus, and every alert that is made of them."""
    from deployments.gateway.prometheus import METRICS, PER_BOT

    lines = [
        "# Figures for Prometheus\n\n",
        "`GET /metrics` on the gateway, for who has the permission `monitoring.read`. A counter begins anew with the ",
        "gateway's process. Beside these stand `process_*` and `python_*` of the gateway itself.\n\n",
        "| figure | kind | labels | meaning |\n|---|---|---|---|\n",
    ]
    for figure in (*METRICS, *PER_BOT):
        labels = ", ".join(f"`{label}`" for label in figure.labels)
        only = " Only with `monitoring.per_bot`." if figure in PER_BOT else ""
        lines.append(f"| `{figure.exported}` | {figure.kind} | {labels} | {figure.means}{only} |\n")
    lines.append("\n## Alerts\n\nAs `deployments/grafana/alerts.yaml` raises them.\n\n")
    lines.append("| alert | severity | after | what | what to do |\n|---|---|---|---|---|\n")
    alerts = yaml.safe_load((APP_ROOT / "deployments/grafana/alerts.yaml").read_text(encoding="utf-8"))
    for rule in (rule for group in alerts["groups"] for rule in group["rules"]):
        said = rule["annotations"]
        what, do = (_cell(re.sub(r"{{ \$(?:labels\.)?(\w+)[^}]*}}", r"(\1)", said[name])) for name in ("summary", "do"))
        lines.append(f"| {rule['alert']} | {rule['labels']['severity']} | {rule.get('for', '0s')} | {what} | {do} |\n")
    return "".join(lines)


PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "flows.md": flows_page,
    "errors.md": errors_page,
    "roles.md": roles_page,
    "policy.md": policy_page,
    "commands.md": commands_page,
    "prometheus.md": prometheus_page,
    "openapi.json": api_page,
    "../api_contracts.md": contracts_page,
}


def main(arguments: list[str] | None = None) -> int:
    """Write the pages; with --check write nothing and answer 1 if one would change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail where a page is stale")
    check = parser.parse_args(arguments).check
    stale = [path for path, text in _pages() if _differs(path, text)]
    for path in stale if check else []:
        print(f"{path.relative_to(APP_ROOT)} is stale: run `make docs` and commit it", file=sys.stderr)
    if not check:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for path, text in _pages():
            path.write_text(text, encoding="utf-8")
    return 1 if check and stale else 0


def _pages() -> Iterator[tuple[Path, str]]:
    for name, make in PAGES.items():
        text = make()
        yield (FOLDER / name).resolve(), text if name.endswith(".json") else MADE + text


def _differs(path: Path, text: str) -> bool:
    return not path.exists() or path.read_text(encoding="utf-8") != text


def _commands(words: list[str], command: Any) -> Iterator[tuple[list[str], Any]]:
    if not hasattr(command, "commands"):
        yield words, command
        return
    for name, below in sorted(command.commands.items()):
        yield from _commands([*words, name], below)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _default(field: Any) -> str:
    return "unset" if field.default is None else f"`{field.default}`"


def _bounds(field: Any) -> str:
    limits = {
        word: value
        for item in field.metadata
        for word in ("ge", "le")
        if (value := getattr(item, word, None)) is not None
    }
    if limits:
        return f"{limits.get('ge', '')} to {limits.get('le', '')}"
    choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str)]
    return ", ".join(choices)


if __name__ == "__main__":
    sys.exit(main())
