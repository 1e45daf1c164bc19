"""The story of a post whose answer was lost, from the request that left to what the timeline showed."""

import pytest

from tasks.operations import provenance
from tests.delivery.conftest import Sender
from tests.delivery.test_reconciling import LOST, TAKEN, in_doubt, quick

__all__ = ["quick"]


async def told(sender: Sender, fault: dict[str, object]) -> tuple[list[str], tuple[str, ...]]:
    """What is told of a post after its doubt was settled; in order of time."""
    post_id = await in_doubt(sender, fault)
    await sender.reconcile()
    await sender.run(0.4)
    why = await provenance.why(sender.at, post_id)
    assert [line.at for line in why.story.lines] == sorted(line.at for line in why.story.lines)
    return [line.said for line in why.story.lines], why.story.now


@pytest.mark.promise("P7")
async def test_a_post_found_on_the_timeline_tells_that_it_was_never_sent_again(sender: Sender) -> None:
    lines, now = await told(sender, TAKEN)
    [accepted] = sender.ledger()
    found = accepted["x_post_id"]
    left = next(place for place, line in enumerate(lines) if line.startswith("attempt 1: the first byte left, "))
    doubt = next(place for place, line in enumerate(lines) if line.startswith("reconciliation looked at the bot's"))
    assert left < doubt
    assert "one post with this text at this time" in lines[doubt] or "a post with our mark" in lines[doubt]
    assert f"attempt 1: found on the bot's timeline as {found}" in lines
    assert not [line for line in lines if line.startswith("attempt 2")]
    assert now == (f"It went out because it was due, the gate let it pass and X accepted it as {found}.",)


@pytest.mark.promise("P7")
async def test_a_post_that_x_never_took_tells_why_it_was_sent_again(sender: Sender) -> None:
    lines, now = await told(sender, LOST)
    assert len(sender.ledger()) == 1
    assert "attempt 1: the timeline showed that X never took it" in lines
    [again] = [line for line in lines if line.startswith("attempt 2 marked by ")]
    assert "a resend" in again
    assert any(line.startswith("attempt 2: X answered 201: accepted as ") for line in lines)
    assert now[0].startswith("It went out ")
