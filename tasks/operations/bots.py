"""Bots as people handle them: bring in from files, look."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from tasks.connections import Connections
from tasks.domain.personas import Bot
from tasks.domain.roles import Actor
from tasks.operations import activity
from tasks.store import bots, personas, x_apps
from tasks.store.base import now
from tasks.store.bots import BotRow


class NoSuchBotError(LookupError):
    """There is no bot with this handle."""


@dataclass(frozen=True)
class BotChange:
    """What an import does to one bot: `fields` holds (as it was, as it will be) by name.

    `refused` where it cannot be done; `reason` says why.
    """

    handle: str
    change: Literal["new", "changed", "unchanged", "refused"]
    fields: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    reason: str | None = None


async def bring_in(at: Connections, wanted: Sequence[Bot], actor: Actor, dry_run: bool = False) -> list[BotChange]:
    """Make the database say what the files say; bots without a file are left alone.

    Whose right is bound to labels changes bots that bear one, and gives and takes no other label.

    A label confirmation is taken over with the person's name; it never goes away by an import that is silent of it.
    """
    if actor.user_id is None:
        raise PermissionError("bots belong to a user: sign in as one")
    within = actor.within("bots.write")
    async with at.transaction() as session:
        standing = await bots.by_handles(session, [bot.handle for bot in wanted], lock=True)
        spoken = {persona.name: persona for persona in await personas.list_all(session)}
        apps = {app.name: app for app in await x_apps.list_all(session)}
        only = next(iter(apps.values())) if len(apps) == 1 else None
        changes = []
        for bot in wanted:
            row = standing.get(bot.handle.lower())
            app = apps.get(bot.app) if bot.app else only
            changes.append(_compare(bot, row, app.id if app else None, spoken.get(bot.persona.name) != bot.persona))
        changes = _refuse_what_cannot_be(wanted, changes, apps)
        if within is not None:
            rewritten = {bot.persona.name for bot in wanted if spoken.get(bot.persona.name, bot.persona) != bot.persona}
            beyond = await bots.personas_beyond(session, rewritten, within)
            changes = [
                _refuse_beyond(bot, change, standing.get(bot.handle.lower()), within, beyond)
                for bot, change in zip(wanted, changes, strict=True)
            ]
        if dry_run:
            return changes
        going = [(bot, change) for bot, change in zip(wanted, changes, strict=True) if change.change != "refused"]
        persona_ids = await personas.put(session, list({bot.persona.name: bot.persona for bot, _ in going}.values()))
        confirmed_at = await now(session)
        for bot, change in going:
            app = apps.get(bot.app) if bot.app else only
            values = {**_values(bot), "persona_id": persona_ids[bot.persona.name], "x_app_id": app.id if app else None}
            row = standing.get(bot.handle.lower())
            if bot.automation_label and (row is None or row.label_confirmed_by != bot.automation_label.by):
                values |= {"label_confirmed_at": confirmed_at, "label_confirmed_by": bot.automation_label.by}
            if row is None:
                [bot_id] = await bots.add(session, [{**values, "owner_id": actor.user_id}])
            else:
                bot_id = row.id
                if change.change == "changed":
                    await bots.change(session, bot_id, **values)
            if change.change != "unchanged":
                await activity.note(
                    session,
                    actor,
                    f"bots.{change.change}",
                    bot.handle,
                    before={name: was for name, (was, _) in change.fields.items()} if row else None,
                    after={name: will_be for name, (_, will_be) in change.fields.items()},
                    bot_id=bot_id,
                )
    return changes


async def list_all(at: Connections, actor: Actor, **wanted: Any) -> Sequence[BotRow]:
    """Bots by handle, as far as the actor may see them; see store.bots.list_all."""
    async with at.transaction() as session:
        return await bots.list_all(session, within=actor.within("bots.read"), **wanted)


async def of_user(at: Connections, user_id: UUID | None, actor: Actor, **wanted: Any) -> Sequence[BotRow]:
    """A user's bots by handle, one's own where none is named; another's only for who may see users."""
    if user_id not in (None, actor.user_id) and not actor.may("users.read"):
        raise PermissionError(f"{actor.name} may list only bots of his own")
    owner_id = user_id or actor.user_id
    return await list_all(at, actor, owner_id=owner_id, **wanted) if owner_id else []


async def get(at: Connections, handle: str, actor: Actor) -> BotRow:
    """One bot; raises NoSuchBotError."""
    async with at.transaction() as session:
        found = await bots.by_handles(session, [handle], actor.within("bots.read"))
    if not found:
        raise NoSuchBotError(handle)
    return found[handle.lower()]


def _values(bot: Bot) -> dict[str, Any]:
    return {
        "handle": bot.handle,
        "display_name": bot.display_name,
        "description": bot.description,
        "time_zone": bot.time_zone,
        "posts_per_day_max": bot.posts_per_day_max,
        "labels": list(bot.labels),
        "operator_handle": bot.operator_handle,
        "facts": dict(bot.facts),
    }


def _compare(bot: Bot, row: BotRow | None, app_id: UUID | None, persona_differs: bool) -> BotChange:
    wanted = {**_values(bot), "persona": bot.persona.name, "x_app_id": app_id}
    if bot.automation_label:
        wanted["label_confirmed_by"] = bot.automation_label.by
    if row is None:
        return BotChange(bot.handle, "new", {name: (None, value) for name, value in wanted.items()})
    differs = {name: (getattr(row, name), value) for name, value in wanted.items() if getattr(row, name) != value}
    if persona_differs:
        differs["persona"] = (row.persona, f"{bot.persona.name} (rewritten)")
    return BotChange(bot.handle, "changed" if differs else "unchanged", differs)


def _refuse_what_cannot_be(
    wanted: Sequence[Bot], changes: Sequence[BotChange], apps: Mapping[str, Any]
) -> list[BotChange]:
    """One handle twice, one persona name with two meanings, or an app that nobody knows."""
    seen: set[str] = set()
    voices = {bot.persona.name: bot.persona for bot in wanted}
    found = []
    for bot, change in zip(wanted, changes, strict=True):
        reason = None
        if bot.handle.lower() in seen:
            reason = f"@{bot.handle} stands twice in this import"
        elif voices[bot.persona.name] != bot.persona:
            reason = f"persona '{bot.persona.name}' is written in two ways in this import; give one another name"
        elif bot.app and bot.app not in apps:
            reason = f"there is no app '{bot.app}'; `vivesphere apps list` shows them all"
        seen.add(bot.handle.lower())
        found.append(BotChange(bot.handle, "refused", {}, reason) if reason else change)
    return found


def _refuse_beyond(
    bot: Bot, change: BotChange, row: BotRow | None, within: Collection[str], beyond: Collection[str]
) -> BotChange:
    """What a right bound to labels does not reach."""
    yours = ", ".join(sorted(within))
    if row is not None and not set(row.labels) & set(within):
        reason = f"@{bot.handle} bears none of your labels ({yours})"
    elif not set(bot.labels) & set(within):
        reason = f"give @{bot.handle} one of your labels: {yours}"
    elif set(bot.labels) - set(within) != set(row.labels if row else ()) - set(within):
        reason = f"only these labels are yours to give and to take: {yours}"
    elif bot.persona.name in beyond:
        reason = f"persona '{bot.persona.name}' is not your bots' alone; give yours another name"
    else:
        return change
    return BotChange(bot.handle, "refused", {}, reason)
