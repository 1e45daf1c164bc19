"""Channels from the command line: secrets come by the standard input and are never printed."""

import json

from tests.cli.conftest import Terminal
from tests.prefect_stand_in import PrefectStandIn

ADDRESS = "https://example.org/hooks/planted-address"
PASSWORD = "planted-password"  # pragma: allowlist secret


async def test_channels_are_added_listed_tried_and_removed(stack: Terminal, prefect: PrefectStandIn) -> None:
    assert "nobody is told" in (await stack("notify", "channels", "list")).err
    added = await stack("notify", "channels", "add", "on-call", "--kind", "webhook", stdin=f"{ADDRESS}\n")
    assert added.code == 0, added.err
    assert added.out.count("whsec_") == 1 and "planted" not in added.out + added.err
    mail = ("notify", "channels", "add", "mail", "--kind", "email", "--host", "smtp.example.org", "--username", "ops")
    mail += ("--sender", "a@example.org", "--to", "b@example.org", "--about", "post_late", "--about", "part_down")
    given = await stack(*mail, stdin=f"{PASSWORD}\n")
    assert given.code == 0 and "planted" not in given.out, given.err

    listed = await stack("notify", "channels", "list", "--json")
    shown = [(one["name"], one["host"], one["about"]) for one in json.loads(listed.out)]
    assert shown == [("mail", "smtp.example.org", ["post_late", "part_down"]), ("on-call", "example.org", [])]
    assert "planted" not in listed.out and "whsec_" not in listed.out
    assert "everything" in (await stack("notify", "channels", "list")).out

    # The run of this stand-in for Prefect's server tells nobody.
    tried = await stack("notify", "channels", "test", "on-call")
    assert (tried.code, "did not take it" in tried.err + tried.out) == (0, True)
    assert "nothing was told yet" in (await stack("notify", "log")).err
    assert (await stack("notify", "channels", "remove", "on-call")).code == 0
    assert (await stack("notify", "channels", "test", "on-call")).code == 1


async def test_what_is_missing_is_said(stack: Terminal) -> None:
    assert (await stack("notify", "channels", "add", "x", "--kind", "email")).code == 2
    assert (await stack("notify", "channels", "add", "x", "--kind", "slack", stdin="")).code == 2
    refused = await stack("notify", "channels", "add", "x", "--kind", "slack", stdin="http://10.0.0.1/planted\n")
    assert refused.code == 2 and "planted" not in refused.out + refused.err
    assert "notifications.private_hosts" in refused.err
