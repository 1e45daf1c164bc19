"""The command `vivesphere`."""

import typer

from deployments.cli import stack

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
stack.register(app)


def main() -> None:
    """Entry point of the installed command."""
    app()
