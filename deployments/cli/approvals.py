"""`vivesphere approvals`: posts of which a person decides."""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

import typer

from deployments.cli import output
from deployments.cli.client import Api, api
from deployments.cli.failures import FAILED, USAGE, CommandError
from deployments.cli.output import Json

COLUMNS = (("id", "id"), ("due", "due"), ("bot", "bot"), ("asks", "asks"), ("short", "text"))
AT_ONCE = 500

Bot = Annotated[str | None, typer.Option(help="Of this bot.")]
Persona = Annotated[str | None, typer.Option(help="Of bots with this persona.")]
Rule = Annotated[str | None, typer.Option(help="For which this rule asks.")]
Comment = Annotated[str | None, typer.Option(help="What is to be remembered of it.")]


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    app = typer.Typer(no_args_is_help=True, help="Posts that wait for a person: read, approve, reject.")
    app.command("list")(list_waiting)
    app.command()(diff)
    app.command()(approve)
    app.command()(reject)
    program.add_typer(app, name="approvals")


def list_waiting(bot: Bot = None, persona: Persona = None, rule: Rule = None, as_json: Json = False) -> None:
    """List posts that wait for an approval, the next due first."""
    with api() as gateway:
        found = _waiting(gateway, bot, persona, rule)
    if as_json:
        output.as_json(found)
        return
    output.table([_for_people(one) for one in found], COLUMNS, "nothing waits for an approval")


def diff(post_id: UUID, as_json: Json = False) -> None:
    """Show a waiting post whole: why it waits, and what is new since it was approved last."""
    with api() as gateway:
        [one] = _named(gateway, [post_id])
    if as_json:
        output.as_json(one)
        return
    output.say(f"@{one['bot']} ({one['persona']}), due {output.local(one['due_at'])}, by {', '.join(one['authors'])}")
    for finding in one["findings"]:
        output.say(f"{finding['rule']}: {finding['evidence']}: {finding['advice']}")
    if one["text_before"] is None or one["text_before"] == one["text"]:
        output.say(one["text"])
    else:
        output.say(changes(one["text_before"], one["text"]))


def approve(
    post_ids: Annotated[list[UUID] | None, typer.Argument(help="Posts as `approvals list` names them.")] = None,
    bot: Bot = None,
    persona: Persona = None,
    rule: Rule = None,
    comment: Comment = None,
    as_json: Json = False,
) -> None:
    """Approve posts by their ids, or whatever waits of a bot, a persona or a rule; a thread goes as a whole."""
    _decide("approve", post_ids, (bot, persona, rule), comment, as_json)


def reject(
    post_ids: Annotated[list[UUID] | None, typer.Argument(help="Posts as `approvals list` names them.")] = None,
    bot: Bot = None,
    persona: Persona = None,
    rule: Rule = None,
    comment: Comment = None,
    as_json: Json = False,
) -> None:
    """Reject posts by their ids, or whatever waits of a bot, a persona or a rule; they do not go out."""
    _decide("reject", post_ids, (bot, persona, rule), comment, as_json)


def changes(before: str, after: str) -> str:
    """What is new of a text, word by word: [-gone-] and {+new+}."""
    old, new = (re.findall(r"\s+|\S+", text) for text in (before, after))
    said: list[str] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            said.append("".join(old[a:b]))
            continue
        said += [f"[-{''.join(old[a:b])}-]"] if b > a else []
        said += [f"{{+{''.join(new[c:d])}+}}"] if d > c else []
    return "".join(said)


def _decide(
    action: str, post_ids: Sequence[UUID] | None, of: tuple[str | None, ...], comment: str | None, as_json: bool
) -> None:
    if bool(post_ids) == any(of):
        raise CommandError("name posts, or say --bot, --persona or --rule for whatever waits of it", USAGE)
    with api() as gateway:
        found = _named(gateway, post_ids) if post_ids else _waiting(gateway, *of)
        chosen = [{"post_id": one["post_id"], "revision": one["revision"]} for one in found]
        decided = gateway.post(f"/approvals/{action}", {"posts": chosen, "comment": comment}) if chosen else []
    if as_json:
        output.as_json(decided)
    for one in () if as_json else decided:
        bad = one["result"] == "not_decided"
        output.say(f"{one['post_id']}: {one['said'] if bad else one['result']}", problem=bad)
    if not as_json and not decided:
        output.say("nothing waits for an approval")
    if any(one["result"] == "not_decided" for one in decided):
        raise typer.Exit(FAILED)


def _waiting(gateway: Api, bot: str | None, persona: str | None, rule: str | None) -> list[dict[str, Any]]:
    return list(gateway.get("/approvals", bot=bot, persona=persona, rule=rule, limit=AT_ONCE))


def _named(gateway: Api, post_ids: Sequence[UUID]) -> list[dict[str, Any]]:
    known = {one["post_id"]: one for one in _waiting(gateway, None, None, None)}
    if missing := [str(post_id) for post_id in post_ids if str(post_id) not in known]:
        raise CommandError(f"{', '.join(missing)}: waits for no approval; `vivesphere approvals list` shows what does")
    return [known[str(post_id)] for post_id in post_ids]


def _for_people(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **one,
        "id": one["post_id"],
        "due": output.local(one["due_at"]),
        "asks": ", ".join(one["rules"]),
        "short": output.short(one["text"]),
    }
