"""`vivesphere rotate`: a credential before its time."""

from typing import Annotated

import typer

from deployments.cli import output
from deployments.cli.client import api


def register(program: typer.Typer) -> None:
    """Add the command to the program."""
    program.command()(rotate)


def rotate(
    kind: Annotated[str, typer.Argument(help="As in the settings under `rotation`, such as jwt_keys.")],
    subject: Annotated[str, typer.Argument(help="Which of that kind, such as gateway.")],
    reason: Annotated[str, typer.Option(help="Why, for the audit.")],
) -> None:
    """Begin the rotation of a credential before its time, and start the run that makes it."""
    with api() as gateway:
        begun = gateway.post("/rotations", {"kind": kind, "subject": subject, "reason": reason})
        run = gateway.post("/runs", {"deployment": "rotate-credentials"})
    output.say(f"version {begun['version']} of {kind} {subject} is on its way; run {run['flow_run_id']} makes it")
