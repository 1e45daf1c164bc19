"""Every fault: what it breaks, when, and what X and the database say afterwards. Tests and the report share it."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from signal import SIGKILL

from deployments.local.processes import Process
from tests.posting_stack import Post, PostingStack, frozen
from tests.running_stack import eventually

HIT, TRAIN = 5, 5
# The posts that a fault hits are claimed three seconds before they are due; until then the test has time to aim.
AIM_SECONDS = 5.0
TRAIN_AFTER_SECONDS, TRAIN_STEP_SECONDS = 1.5, 0.5
LATENCY_MS = 1500
# Longer than it takes to see that X has read a post, and shorter than the time after which nobody looks for it there.
DECIDES_MS = 2000
# A run starts at each minute, and starting takes a while on a busy machine.
NEXT_MINUTE_SECONDS = 60.0 + 90.0


@dataclass(frozen=True)
class Aftermath:
    """What a fault left: the posts it hit, and how those that fell due after it fared.

    `accepted` says how many of the posts hit X took how often; `next_seconds` is from the fault to the first byte of
    the first post due after it, `late_seconds` the most that one of those was late.
    """

    fault: str
    hit: Counter[str]
    accepted: Counter[int]
    after: Counter[str]
    doubles: int
    next_seconds: float
    late_seconds: float


Fault = Callable[[PostingStack], Aftermath]


@dataclass(frozen=True)
class Traffic:
    """Posts that a fault hits, and a train of others that fall due while it lasts."""

    hit: list[Post]
    train: list[Post]


def traffic(stack: PostingStack) -> Traffic:
    """Some posts at one instant, then one each half second."""
    hit = stack.schedule(HIT, AIM_SECONDS)
    begins = (hit[0].due_at - datetime.now(UTC)).total_seconds() + TRAIN_AFTER_SECONDS
    return Traffic(hit, stack.schedule(TRAIN, begins, TRAIN_STEP_SECONDS))


def aftermath(
    stack: PostingStack, fault: str, hit: Sequence[Post], train: Sequence[Post], at: datetime, within_seconds: float
) -> Aftermath:
    """Wait until every post has ended, then let the ledger judge."""
    everything = [*hit, *train]
    stack.until_ended(everything, within_seconds)
    accepted = stack.accepted(everything)
    after = [post for post in train if post.due_at > at]
    first_bytes = {post.id: _instant(accepted[post.id][0]["first_byte_at"]) for post in after if accepted[post.id]}
    return Aftermath(
        fault,
        stack.statuses(hit),
        Counter(len(accepted[post.id]) for post in hit),
        stack.statuses(after) if after else Counter(),
        sum(len(entries) > 1 for entries in accepted.values()),
        min(((sent - at).total_seconds() for sent in first_bytes.values()), default=float("inf")),
        max(
            ((first_bytes[post.id] - post.due_at).total_seconds() for post in after if post.id in first_bytes),
            default=0,
        ),
    )


def run_killed_when_claimed(stack: PostingStack) -> Aftermath:
    """The run holds posts and has marked none."""
    stack.standing_by()
    posts = traffic(stack)
    return _kill(stack, "run killed: claimed", posts, *_runs(stack, posts, "claimed"))


def run_killed_when_marked(stack: PostingStack) -> Aftermath:
    """The marks are committed and the instant is not there yet: as a rule not one byte has left."""
    stack.standing_by()
    stack.x("POST", "/settings", {"latency_ms": LATENCY_MS})
    posts = traffic(stack)
    runs = _runs(stack, posts, "claimed")
    # Fifty milliseconds lie between mark and first byte: there is no time to look at leisure.
    eventually(lambda: stack.statuses(posts.hit)["sending"], look_seconds=0.001)
    at = _killed(*runs)
    stack.x("POST", "/settings", {"latency_ms": 0})
    return aftermath(stack, "run killed: marked", posts.hit, posts.train, at, NEXT_MINUTE_SECONDS)


def run_killed_while_x_decides(stack: PostingStack) -> Aftermath:
    """Headers and body are out, X has not answered."""
    stack.standing_by()
    with stack.x_hesitates(HIT, DECIDES_MS):
        posts = traffic(stack)
        runs = _runs(stack, posts, "sending")
    at = _killed(*runs)
    return aftermath(stack, "run killed: body out", posts.hit, posts.train, at, NEXT_MINUTE_SECONDS)


def run_killed_before_x_reads(stack: PostingStack) -> Aftermath:
    """The requests lie in the queue of an X that stands still, and their sender is gone when it reads them."""
    stack.standing_by()
    posts = traffic(stack)
    stack.until_all(posts.hit, "claimed")
    with frozen([stack.running.process("x-sandbox")]):
        runs = _runs(stack, posts, "sending")
        eventually(lambda: datetime.now(UTC) > posts.hit[0].due_at + timedelta(milliseconds=300))
        at = _killed(*runs)
    return aftermath(stack, "run killed: in the queue of X", posts.hit, posts.train, at, NEXT_MINUTE_SECONDS)


def run_killed_before_the_outcome(stack: PostingStack) -> Aftermath:
    """X has answered; the database stands still, so that the answer is not written down."""
    stack.standing_by()
    stack.x("POST", "/settings", {"latency_ms": LATENCY_MS})
    posts = traffic(stack)
    runs = _runs(stack, posts, "sending")
    with frozen(stack.database_processes()):
        eventually(lambda: all(stack.accepted(posts.hit).values()))
        at = _killed(*runs)
    stack.x("POST", "/settings", {"latency_ms": 0})
    return aftermath(stack, "run killed: answered, no outcome", posts.hit, posts.train, at, NEXT_MINUTE_SECONDS)


def worker_killed(stack: PostingStack) -> Aftermath:
    """The runs go on without it."""
    stack.standing_by()
    posts = traffic(stack)
    stack.until_all(posts.hit, "claimed")
    return _kill(stack, "worker killed", posts, stack.running.process("worker"))


def worker_and_runs_killed(stack: PostingStack) -> Aftermath:
    """Nothing posts until the next minute's run."""
    stack.standing_by()
    posts = traffic(stack)
    stack.until_all(posts.hit, "claimed")
    victims = [stack.running.process("worker"), *stack.run_processes()]
    return _kill(stack, "worker and runs killed", posts, *victims)


def worker_runs_and_server_killed(stack: PostingStack) -> Aftermath:
    """Nothing posts, and nobody plans who will."""
    stack.standing_by()
    posts = traffic(stack)
    stack.until_all(posts.hit, "claimed")
    victims = [stack.running.process("worker"), stack.running.process("prefect"), *stack.run_processes()]
    return _kill(stack, "worker, runs and server killed", posts, *victims)


def supervisor_killed(stack: PostingStack) -> Aftermath:
    """`vivesphere up` ends what is left over and starts anew."""
    stack.standing_by()
    posts = traffic(stack)
    stack.until_all(posts.hit, "claimed")
    at = _killed(stack.running.note().supervisor)
    stack.running.up()
    return aftermath(stack, "supervisor killed, then `up`", posts.hit, posts.train, at, NEXT_MINUTE_SECONDS)


def database_killed(stack: PostingStack) -> Aftermath:
    """Requests are at X; their outcomes find no database."""
    stack.standing_by()
    stack.x("POST", "/settings", {"latency_ms": LATENCY_MS})
    posts = traffic(stack)
    stack.until_all(posts.hit, "sending")
    at = _killed(*stack.database_processes())
    stack.x("POST", "/settings", {"latency_ms": 0})
    stack.forget_connection()
    eventually(lambda: stack.running.note().parts["postgres"].state == "up" and stack.running.process("postgres"))
    return aftermath(stack, "Postgres killed while sending", posts.hit, posts.train, at, NEXT_MINUTE_SECONDS)


def x_frozen(stack: PostingStack) -> Aftermath:
    """X reads nothing for longer than a request may take, then reads what lies in its queue."""
    stack.standing_by()
    hit = stack.schedule(HIT, AIM_SECONDS)
    stack.until_all(hit, "claimed")
    with frozen([stack.running.process("x-sandbox")]):
        stack.until_all(hit, "unknown")
    at = datetime.now(UTC)
    train = stack.schedule(TRAIN, 0.5, TRAIN_STEP_SECONDS)
    stack.look()
    return aftermath(stack, "X frozen while sending", hit, train, at, NEXT_MINUTE_SECONDS)


def vault_frozen(stack: PostingStack) -> Aftermath:
    """Hit are the posts of bots whose token no run has; the others' tokens are in the memory of the one run."""
    with stack.no_other_runs():
        stack.run_is_at_work(stack.start_run(window_seconds=600))
        known, strange = stack.bots[:5], stack.bots[5:]
        stack.until_all(stack.schedule(len(known), bots=known), "published")
        with frozen([stack.running.process("openbao")]):
            at = datetime.now(UTC)
            hit = stack.schedule(HIT, 1.0, bots=strange)
            train = stack.schedule(TRAIN, 1.0, TRAIN_STEP_SECONDS, bots=known)
            stack.until_all(train, "published")
            waiting = stack.statuses(hit)
        assert not waiting["published"], "a token came out of a frozen vault"
        found = aftermath(stack, "vault frozen", hit, train, at, NEXT_MINUTE_SECONDS)
        stack.end_runs()
    stack.start_run()
    return found


FAULTS: tuple[Fault, ...] = (
    run_killed_when_claimed,
    run_killed_when_marked,
    run_killed_while_x_decides,
    run_killed_before_x_reads,
    run_killed_before_the_outcome,
    worker_killed,
    worker_and_runs_killed,
    worker_runs_and_server_killed,
    supervisor_killed,
    database_killed,
    vault_frozen,
    x_frozen,
)


def _runs(stack: PostingStack, posts: Traffic, status: str) -> list[Process]:
    return [run.process for run in stack.holders(posts.hit, status)]


def _kill(stack: PostingStack, fault: str, posts: Traffic, *victims: Process) -> Aftermath:
    at = _killed(*victims)
    return aftermath(stack, fault, posts.hit, posts.train, at, NEXT_MINUTE_SECONDS)


def _killed(*victims: Process) -> datetime:
    for victim in victims:
        victim.send(SIGKILL)
    return datetime.now(UTC)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
