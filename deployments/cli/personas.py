"""`vivesphere personas`."""

import typer

from deployments.cli import output
from deployments.cli.client import api
from deployments.cli.output import Json

COLUMNS = (("name", "name"), ("tone", "tone"), ("interests", "interests"), ("languages", "languages"))


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    app = typer.Typer(no_args_is_help=True, help="The voices that bots speak with.")
    app.command("list")(list_personas)
    # A group of one command would else be that command.
    app.callback()(lambda: None)
    program.add_typer(app, name="personas")


def list_personas(as_json: Json = False) -> None:
    """List every persona."""
    with api() as gateway:
        found = gateway.get("/personas")
    if as_json:
        output.as_json(found)
        return
    output.table(found, COLUMNS, "there are no personas: they come in with `vivesphere bots import`")
