"""What a test says to a stack that posts, and what it asks of it; X's own ledger is the judge."""

import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from signal import SIGCONT, SIGSTOP
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from config.loading import APP_ROOT
from deployments.cli.client import api
from deployments.local import databases, postgres, prefect_api, processes, programs
from deployments.local.processes import Process
from tests.running_stack import RunningStack, eventually

POSTING = "publish-due-posts/every-minute"
RECONCILING = "reconcile-unknown-posts/every-minute"
ENDED = {"published", "refused", "expired", "held"}
BEAT_SECONDS = 6
# Posts of one test over all its bots go out within this time once nothing hinders them.
PATIENCE_SECONDS = 90.0
# A run at work, or about to be.
ABOUT = {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}


@dataclass(frozen=True)
class Post:
    """What was scheduled."""

    id: str
    bot: str
    text: str
    due_at: datetime


@dataclass(frozen=True)
class Sender:
    """A posting run at work."""

    id: str
    flow_run_id: str
    process: Process


class PostingStack:
    """The running stack with the ten example bots signed in. Everything here is on the way that people or X take,
    but for looks into the database."""

    def __init__(self, running: RunningStack) -> None:
        self.running = running
        self.bots: list[str] = []
        self._database: psycopg.Connection[dict[str, Any]] | None = None
        self.ledger_from = 0

    def another(self) -> "PostingStack":
        """The same stack by a connection of its own, for another thread."""
        return PostingStack(self.running)

    def begin(self) -> None:
        """A test begins: X behaves, and its ledger is read from here on."""
        self.x("DELETE", "/faults")
        self.x("POST", "/settings", {"latency_ms": 0, "duplicate_refusal": True})
        self.ledger_from = self.x("GET", "/health")["last_seq"]

    def command(self, *arguments: str, stdin: str | None = None) -> str:
        """What `vivesphere` prints; it must end well."""
        done = subprocess.run(
            [sys.executable, "-c", "from deployments.cli.main import main; main()", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def bring_in_bots(self) -> None:
        """The example bots, imported and signed in."""
        examples = {path.stem for path in (APP_ROOT / "config" / "bots").glob("*.yaml")}
        self.command("bots", "import", "--yes", "--wait")
        with api() as gateway:
            active = [bot["handle"] for bot in gateway.get("/bots", state="active")]
        # Other tests brought in bots of their own.
        self.bots = [handle for handle in active if handle in examples]
        assert len(self.bots) >= 10
        # They speak more often here than their files allow them in a day.
        self.sql("UPDATE bots SET posts_per_day_max = 2400")

    def schedule(
        self,
        count: int = 1,
        due_in_seconds: float = 0.0,
        every_seconds: float = 0.0,
        bots: Sequence[str] = (),
    ) -> list[Post]:
        """Posts with a text of their own, the first due in `due_in_seconds`, by turns of the bots."""
        names = bots or self.bots
        first = datetime.now(UTC) + timedelta(seconds=due_in_seconds)
        drafts = [
            {
                "bot": names[number % len(names)],
                "text": f"Reading {secrets.token_hex(8)}",
                "due_at": (first + timedelta(seconds=number * every_seconds)).isoformat(),
            }
            for number in range(count)
        ]
        with api() as gateway:
            receipts = gateway.post("/posts", drafts)
        assert {receipt["result"] for receipt in receipts} == {"scheduled"}, receipts
        return [
            Post(receipt["post_id"], draft["bot"], draft["text"], datetime.fromisoformat(draft["due_at"]))
            for receipt, draft in zip(receipts, drafts, strict=True)
        ]

    def sql(self, statement: str, *given: Any) -> list[dict[str, Any]]:
        """Rows of a statement; asks again where the database was away in between."""
        for last in (False, True):
            with suppress(psycopg.OperationalError):
                cursor = self._connection().execute(statement, given)
                return cursor.fetchall() if cursor.description else []
            self.forget_connection()
            assert not last, "the database does not answer"
        return []

    def forget_connection(self) -> None:
        """Open another one next time."""
        if self._database is not None:
            self._database.close()
        self._database = None

    def posts(self, posts: Sequence[Post]) -> list[dict[str, Any]]:
        """Status, reason and holder of each, in the given order."""
        rows = self.sql(
            "SELECT id, status, reason, lease_sender, attempts FROM posts WHERE id = ANY(%s)",
            [post.id for post in posts],
        )
        by_id = {str(row["id"]): row for row in rows}
        return [by_id[post.id] for post in posts]

    def statuses(self, posts: Sequence[Post]) -> Counter[str]:
        """How many stand where."""
        return Counter(row["status"] for row in self.posts(posts))

    def until_all(self, posts: Sequence[Post], status: str, within_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until every post has this status."""
        self.until(posts, lambda found: set(found) == {status}, within_seconds)

    def until_ended(self, posts: Sequence[Post], within_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until none of them will move any more by itself."""
        self.until(posts, lambda found: set(found) <= ENDED, within_seconds)

    def until(self, posts: Sequence[Post], fits: Callable[[Counter[str]], bool], within_seconds: float) -> None:
        """Wait until the statuses fit; says what they were if they never did."""
        try:
            eventually(lambda: fits(self.statuses(posts)), within_seconds)
        except AssertionError:
            raise AssertionError(f"after {within_seconds} s: {[dict(row) for row in self.posts(posts)]}") from None

    def holders(self, posts: Sequence[Post], status: str) -> list[Sender]:
        """The runs that hold them, once all have this status: as a rule one, and two where both looked at once."""

        def found() -> set[str]:
            rows = self.posts(posts)
            in_it = {row["status"] for row in rows} == {status}
            return {str(row["lease_sender"]) for row in rows} if in_it else set()

        return [self._sender(sender_id) for sender_id in sorted(eventually(found))]

    def runs_that_sent(self, posts: Sequence[Post]) -> set[str]:
        """Flow runs that sent these posts."""
        rows = self.sql(
            "SELECT DISTINCT sender.flow_run_id FROM publish_attempts AS attempt"
            " JOIN senders AS sender ON sender.id = attempt.sender_id WHERE attempt.post_id = ANY(%s)",
            [post.id for post in posts],
        )
        return {str(row["flow_run_id"]) for row in rows}

    def senders(self) -> list[Sender]:
        """Runs that beat and live, oldest first."""
        rows = self.sql(
            "SELECT id, flow_run_id, pid, start_ticks FROM senders WHERE closed_at IS NULL AND died_at IS NULL"
            " AND beat_at > clock_timestamp() - make_interval(secs => %s) ORDER BY started_at",
            BEAT_SECONDS,
        )
        found = [Sender(str(r["id"]), str(r["flow_run_id"]), Process(r["pid"], r["start_ticks"])) for r in rows]
        return [sender for sender in found if sender.process.alive]

    def _sender(self, sender_id: str) -> Sender:
        [row] = self.sql("SELECT flow_run_id, pid, start_ticks FROM senders WHERE id = %s", sender_id)
        return Sender(sender_id, str(row["flow_run_id"]), Process(row["pid"], row["start_ticks"]))

    def start_run(self, **parameters: Any) -> str:
        """A run of the posting deployment by Prefect's API; answers its id."""
        with self.running.api() as server:
            deployment = server.get(f"/deployments/name/{POSTING}").raise_for_status().json()["id"]
            answer = server.post(f"/deployments/{deployment}/create_flow_run", json={"parameters": parameters})
            return str(answer.raise_for_status().json()["id"])

    def look(self) -> str:
        """Ask for a look at the timelines now; answers the run's id."""
        with self.running.api() as server:
            deployment = server.get(f"/deployments/name/{RECONCILING}").raise_for_status().json()["id"]
            answer = server.post(f"/deployments/{deployment}/create_flow_run", json={})
            return str(answer.raise_for_status().json()["id"])

    def standing_by(self, count: int = 2) -> None:
        """Wait until so many runs share the work, as they do once the stack has been up for two minutes."""
        missing = count - len(self.senders())
        for _ in range(missing):
            self.start_run()
        eventually(lambda: len(self.senders()) >= count, PATIENCE_SECONDS)

    def run_is_at_work(self, flow_run_id: str, within_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until this run beats."""
        eventually(lambda: any(sender.flow_run_id == flow_run_id for sender in self.senders()), within_seconds)

    @contextmanager
    def no_other_runs(self) -> Iterator[None]:
        """Nothing posts but what the block starts: the schedule pauses, and the runs there are have ended."""
        with self._paused(POSTING):
            self.end_runs()
            yield

    @contextmanager
    def no_other_looks(self) -> Iterator[None]:
        """Nothing looks at timelines but what starts in the block."""
        with self._paused(RECONCILING):
            eventually(lambda: not self.running.runs(RECONCILING, state=ABOUT), PATIENCE_SECONDS)
            yield

    @contextmanager
    def _paused(self, name: str) -> Iterator[None]:
        with self.running.api() as server:
            deployment = server.get(f"/deployments/name/{name}").raise_for_status().json()["id"]
            server.patch(f"/deployments/{deployment}", json={"paused": True}).raise_for_status()
            try:
                yield
            finally:
                server.patch(f"/deployments/{deployment}", json={"paused": False}).raise_for_status()

    def run_processes(self) -> list[Process]:
        """Every process of a flow run of this stack."""
        ours = set(processes.of_stack(self.running.home))
        return [process for process in processes.of_flow_runs().values() if process in ours]

    def end_runs(self) -> None:
        """Ask every run to end, and wait until none is left, nor one that is about to start."""

        def all_ended() -> bool:
            processes.end(self.run_processes(), 10)
            return not self.running.runs(POSTING, state=ABOUT) and not self.run_processes()

        eventually(all_ended)

    def ledger(self) -> list[dict[str, Any]]:
        """What X accepted since the test began."""
        entries: list[dict[str, Any]] = []
        after = self.ledger_from
        while True:
            page = self.x("GET", f"/ledger?after={after}&kinds=create")
            if not page["entries"]:
                return entries
            entries += page["entries"]
            after = page["next_after"]

    @contextmanager
    def x_hesitates(self, count: int, milliseconds: float) -> Iterator[None]:
        """X takes this long to decide about the next `count` posts, and the block ends once it has read them all."""
        delay = {"fault": "delay", "endpoint": "POST /2/tweets", "count": count, "milliseconds": milliseconds}
        self.x("POST", "/faults", delay)
        yield
        struck = f"/ledger?after={self.ledger_from}&kinds=fault"
        eventually(lambda: len(self.x("GET", struck)["entries"]) >= count)

    def accepted(self, posts: Iterable[Post]) -> dict[str, list[dict[str, Any]]]:
        """What X accepted of each post, by the post's id; nothing of another test is in it."""
        ours = {(post.bot.lower(), post.text): post.id for post in posts}
        found: dict[str, list[dict[str, Any]]] = {post_id: [] for post_id in ours.values()}
        for entry in self.ledger():
            post_id = ours.get((entry["username"].lower(), entry["text"]))
            if post_id is not None:
                found[post_id].append(entry)
        return found

    def x(self, method: str, path: str, body: Any = None) -> Any:
        """The sandbox's control plane."""
        places = self.running.places
        token = programs.sandbox_token_file(places).read_text(encoding="utf-8").strip()
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.request(method, f"{places.x}/sandbox{path}", json=body, headers=headers, trust_env=False)
        return answer.raise_for_status().json()

    def task_runs(self, flow_run_id: str) -> list[dict[str, Any]]:
        """What the run's page lists."""
        with self.running.api() as server:
            return list(prefect_api.filtered(server, "/task_runs", flow_runs={"id": {"any_": [flow_run_id]}}))

    def logs(self, flow_run_id: str) -> list[str]:
        """What the run's page says, line by line."""
        with self.running.api() as server:
            return [
                line["message"]
                for line in prefect_api.filtered(server, "/logs", logs={"flow_run_id": {"any_": [flow_run_id]}})
            ]

    def artifacts(self, flow_run_id: str) -> list[dict[str, Any]]:
        """What stands under the run's artifacts."""
        with self.running.api() as server:
            return list(prefect_api.filtered(server, "/artifacts", artifacts={"flow_run_id": {"any_": [flow_run_id]}}))

    def database_processes(self) -> list[Process]:
        """Postgres and all its backends."""
        found = postgres.processes_in(postgres.data_folder(self.running.places))
        return [process for each in found if (process := Process.of(each.pid)) is not None]

    def _connection(self) -> "psycopg.Connection[dict[str, Any]]":
        if self._database is None:
            places = self.running.places
            password = postgres.admin_password_file(places).read_text(encoding="utf-8")
            wanted = databases.conninfo(
                places, places.settings.postgres.admin_user, password, places.settings.postgres.database
            )
            self._database = psycopg.connect(wanted, autocommit=True, row_factory=dict_row)
        return self._database


@contextmanager
def frozen(stopped: Sequence[Process]) -> Iterator[None]:
    """Processes that neither run nor end until the block does."""
    for process in stopped:
        process.send(SIGSTOP)
    try:
        yield
    finally:
        for process in stopped:
            process.send(SIGCONT)


@pytest.fixture(scope="package")
def posting_stack(session_stack: RunningStack) -> Iterator[PostingStack]:
    """The stack of the session with its bots signed in."""
    with session_stack.at_home():
        session_stack.up()
        found = PostingStack(session_stack)
        found.bring_in_bots()
        yield found
        found.forget_connection()


@pytest.fixture
def stack(posting_stack: PostingStack) -> Iterator[PostingStack]:
    """What a test speaks to; whatever the one before it broke is up again."""
    posting_stack.running.up()
    posting_stack.begin()
    yield posting_stack
