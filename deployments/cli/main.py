"""The command `vivesphere`.

A command's module is imported when that command runs: `vivesphere --help` must not wait for SQLAlchemy.
"""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

# Name, module and help of each command, in the order of the help page.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "up": ("stack", "Start the stack and wait until all of it is healthy; harmless if it runs already."),
    "down": ("stack", "Stop the stack and everything it started."),
    "status": ("stack", "Show each part: state, process, address, uptime, version; exit 1 if one does not serve."),
    "doctor": ("stack", "Look for what is wrong and say how to put it right; exit 1 if there is something."),
    "today": ("today", "Show what went out, what did not, and what to do next; exit 4 where a person is needed."),
    "bots": ("bots", "Bring bots in from files, look at them, connect their accounts."),
    "apps": ("apps", "Apps on X's developer platform."),
    "credentials": ("credentials", "Credentials of bots, apps and this stack: age, plan, rotation."),
    "personas": ("personas", "The voices that bots speak with."),
    "posts": ("posts", "Schedule posts, see what became of them, cancel them."),
    "content": ("content", "Plan what bots say: templates, evergreen texts, free turns."),
    "metrics": ("metrics", "What posts and accounts achieved."),
    "trends": ("trends", "What rises on other people's lists, and how its sources stand."),
    "notify": ("notify", "Where operators are told what is wrong, and what they were told."),
    "users": ("users", "Who may call us: add, look, let out."),
    "roles": ("roles", "Who is bound to which role, for what, until when."),
    "keys": ("keys", "API keys of programs, such as workers and `prefect`."),
    "audit": ("audit", "Who changed what, sealed; check it, take it out."),
    "logs": ("logs", "Show who did what, what was refused and what programs handed in, the newest first."),
    "stop": (
        "stops",
        "Stop the fleet, or one bot, app or label: once it returns nothing starts any more.",
    ),
    "stops": ("stops", "The stops in force."),
    "resume": (
        "stops",
        "Lift stops, and say first how many due posts would go out and how many are too late.",
    ),
    "approvals": ("approvals", "Posts that wait for a person: read, approve, reject."),
    "breakers": ("breakers", "What X takes nothing of for now, and why."),
    "spend": ("spend", "Show what a month has cost, and what it will have cost once everything scheduled is out."),
    "rotate": ("rotate", "Begin the rotation of a credential before its time, and start the run that makes it."),
    "settings": ("settings", "Settings while the stack runs: look, change, who changed what, take back."),
    "run": ("run", "Start a run of a deployment, such as publish-due-posts."),
    "sandbox": ("sandbox", "An X to rehearse on: alone in the foreground, or that of the running stack."),
    "db": ("db", "Backups of database and vault, and what follows a restore."),
    "config": ("config", "The settings, and where each value comes from."),
}


class Program(TyperGroup):
    """The group of all commands; it knows their names and one line about each, until one is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The real command in the place of its stand-in."""
        name, stand_in, rest = super().resolve_command(ctx, args)
        return name, stand_in if name is None else load(name), rest


def load(name: str) -> Any:
    """A command as its module registers it."""
    holder = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    holder.callback()(lambda: None)
    import_module(f"deployments.cli.{COMMANDS[name][0]}").register(holder)
    group = typer.main.get_group(holder)
    return group.commands[name]


app = typer.Typer(cls=Program, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
for _name, (_, _help) in COMMANDS.items():
    app.command(_name, help=_help)(lambda: None)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vivesphere {version('vivesphere')}")
        raise typer.Exit


@app.callback()
def _program(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Disclosed service bots on X: bring them in, schedule what they say, see what became of it.

    Exit codes: 0 ok, 1 failed, 2 usage, 3 refused by policy or role, 4 a person is needed.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the installed command; what a person can put right is said without a traceback."""
    try:
        app(arguments, prog_name="vivesphere")
    except Exception as error:
        from deployments.cli import failures

        known = failures.explain(error)
        if known is None:
            raise
        typer.echo(known.text, err=True)
        sys.exit(known.code)
