"""Every setting of the product: one tree, its unit, bounds and a sentence for each.

A value comes from the environment, else `.env`, else the YAML file, else the ports that `up` chose
(layout.json), else the default. Nothing else reads the environment.
"""

from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

Mark = Literal["wiring", "policy", "tuning"]
AppRole = Literal["gateway", "poster", "keys", "sealer", "reader"]

HOSTS = r"^([a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?(, ?[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?)*)?$"
LANGUAGES = r"^([a-z]{2,3}(-[a-z]{2,10})*(, ?[a-z]{2,3}(-[a-z]{2,10})*)*)?$"

LOOPBACK = "127.0.0.1"


def wiring(default: Any, description: str, **bounds: Any) -> Any:
    """Where things are: from file and environment only, never changed at run time."""
    return Field(default, description=description, json_schema_extra={"mark": "wiring"}, **bounds)


def policy(default: Any, description: str, **bounds: Any) -> Any:
    """What is promised or allowed: an admin changes it, with a reason."""
    return Field(default, description=description, json_schema_extra={"mark": "policy"}, **bounds)


def tuning(default: Any, description: str, **bounds: Any) -> Any:
    """How fast and how much: may change while the stack runs."""
    return Field(default, description=description, json_schema_extra={"mark": "tuning"}, **bounds)


class Section(BaseModel):
    """One noun of the settings; unknown keys are refused, so that a typing error is never a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Postgres(Section):
    """The database. `address` set means: somebody else runs it."""

    address: str | None = wiring(None, "host:port of a Postgres 16 or newer that the stack does not start.")
    port: int | None = wiring(None, "Port of the embedded Postgres; chosen at the first `up`.", ge=1, le=65535)
    database: str = wiring("vivesphere", "Database that holds our state.", pattern=r"^[a-z_][a-z0-9_]*$")
    prefect_database: str = wiring("prefect", "Database that Prefect's server owns.", pattern=r"^[a-z_][a-z0-9_]*$")
    admin_user: str = wiring("postgres", "Role that may create our roles and databases at `up`.")
    admin_password_file: Path | None = wiring(None, "0600 file with that role's password; only with `address`.")
    tls: Literal["disable", "prefer", "require", "verify-full"] = wiring(
        "prefer", "libpq's sslmode for connections to `address`; the embedded one is on loopback without TLS."
    )
    pool_size: int = tuning(8, "Connections that one process keeps open.", ge=1, le=200)
    lock_timeout_ms: int = tuning(500, "Longest wait for a lock in the mark step, in milliseconds.", ge=10, le=60_000)
    statement_timeout_ms: int = tuning(
        1000, "Longest run of a statement in the mark step, in milliseconds.", ge=50, le=60_000
    )
    connect_timeout_seconds: int = tuning(5, "Longest wait for a new connection, in seconds.", ge=1, le=60)
    logins_by_vault: bool = wiring(
        True, "Whether the vault's database engine makes the login of our processes; it must reach the server."
    )
    login_seconds: float = tuning(
        10.0, "How often a process looks whether the database login has changed, in seconds.", ge=0.1, le=300
    )
    overrides_seconds: float = tuning(
        3.0, "How often a process looks whether people have changed settings, in seconds.", ge=0.1, le=9
    )


class Vault(Section):
    """The vault. `address` set means: somebody else runs it."""

    address: str | None = wiring(None, "https address of a Vault or OpenBao that the stack does not start.")
    port: int | None = wiring(None, "Port of the embedded OpenBao; chosen at the first `up`.", ge=1, le=65535)
    cluster_port: int | None = wiring(
        None, "Raft port of the embedded OpenBao; chosen at the first `up`.", ge=1, le=65535
    )
    ca_file: Path | None = wiring(None, "CA certificate the vault's own certificate is checked against.")
    admin_token_file: Path | None = wiring(
        None, "0600 file with a token that may set our mounts, policies and roles at `up`; only with `address`."
    )
    role: AppRole | None = wiring(None, "AppRole this process signs in with; set by the stack, not by people.")
    kv_mount: str = wiring("vivesphere-kv", "Mount of the KV version 2 engine.", pattern=r"^[a-z][a-z0-9-]*$")
    transit_mount: str = wiring("vivesphere-transit", "Mount of the transit engine.", pattern=r"^[a-z][a-z0-9-]*$")
    database_mount: str = wiring("vivesphere-database", "Mount of the database engine.", pattern=r"^[a-z][a-z0-9-]*$")
    approle_mount: str = wiring("vivesphere-approle", "Mount of the AppRole sign-in.", pattern=r"^[a-z][a-z0-9-]*$")
    timeout_seconds: float = tuning(5.0, "Longest wait for one answer of the vault, in seconds.", ge=0.1, le=60)
    readers: int = tuning(8, "Threads that read secrets side by side in one process.", ge=1, le=64)
    batch: int = tuning(
        # OpenBao takes 1,000 strings in a request unless it is told otherwise; ours is.
        200,
        "Items in one request to a transit engine at `address`.",
        ge=1,
        le=10_000,
    )


class Prefect(Section):
    """The Prefect server. `api_url` set means: somebody else runs it."""

    api_url: str | None = wiring(None, "API address of a Prefect server that the stack does not start.")
    port: int | None = wiring(None, "Port of the embedded Prefect server; chosen at the first `up`.", ge=1, le=65535)
    auth_string_file: Path | None = wiring(None, "0600 file with that server's auth string; only with `api_url`.")
    work_pool: str = wiring("vivesphere", "Process work pool that our worker polls.", pattern=r"^[a-z][a-z0-9-]*$")
    query_seconds: float = tuning(1.0, "How often the worker asks for runs, in seconds.", ge=0.5, le=60)
    prefetch_seconds: int = tuning(1, "How early the worker takes a run, in seconds.", ge=0, le=60)
    heartbeat_seconds: int = tuning(30, "How often a flow run says it is alive, in seconds.", ge=30, le=600)
    silent_seconds: int = tuning(
        90, "A run silent for this long is crashed by the automation, in seconds.", ge=60, le=3600
    )
    retention_days: int = tuning(30, "How long Prefect's events and runs are kept, in days.", ge=1, le=3650)


class X(Section):
    """The X API. `base_url` unset means: the sandbox."""

    base_url: str | None = wiring(None, "Base address of the X API; unset means the X sandbox.")
    sandbox_port: int | None = wiring(None, "Port of the X sandbox; chosen at the first `up`.", ge=1, le=65535)
    authorize_url: str | None = wiring(None, "Where an owner grants access; unset: <base_url>/i/oauth2/authorize.")
    ca_file: Path | None = wiring(None, "CA certificate for X; unset means the system's own.")
    connect_timeout_seconds: float = tuning(3.0, "Longest wait for a connection to X, in seconds.", ge=0.1, le=60)
    deadline_seconds: float = tuning(30.0, "Longest time for one whole request to X, in seconds.", ge=0.2, le=300)
    settle_seconds: float = policy(
        60.0, "S1: X decides on a request within this time of its last byte.", ge=0.5, le=3600
    )
    visible_seconds: float = policy(
        120.0, "S2: an accepted post shows in its timeline within this time.", ge=0.5, le=3600
    )
    clock_skew_seconds: float = policy(
        5.0, "X's clock and the database's differ by at most this, in seconds.", ge=0.1, le=600
    )


class Gateway(Section):
    """Sign-in, roles, REST API."""

    host: str = wiring(LOOPBACK, "Address the gateway listens on.")
    port: int | None = wiring(None, "Port of the gateway; chosen at the first `up`, 8000 if free.", ge=1, le=65535)
    public_url: str | None = wiring(
        None, "Address under which people reach the gateway where that is another, such as https://bots.example.org."
    )
    tls_certificate_file: Path | None = wiring(None, "PEM file with the certificate and its chain; set: TLS is spoken.")
    tls_key_file: Path | None = wiring(None, "0600 PEM file with the certificate's key.")
    ca_file: Path | None = wiring(
        None, "CA certificate that commands check a gateway on another machine by; unset means the system's own."
    )
    trusted_proxies: str = wiring(
        "", "Addresses of proxies in front of us whose X-Forwarded headers are believed, separated by commas."
    )
    key_file: Path | None = wiring(
        None, "0600 file with the API key that the commands use; unset: the one that `up` makes."
    )
    access_token_seconds: int = policy(900, "How long an access token is good for, in seconds.", ge=60, le=86_400)
    reads_per_minute: int = tuning(1200, "What one client may look at in a minute.", ge=10, le=1_000_000)
    changes_per_minute: int = tuning(
        100, "Changes of one client in a minute, and tries to sign in from one address.", ge=1, le=1_000_000
    )
    own_per_minute: int = tuning(
        6000, "Requests in a minute with the key that `vivesphere` uses on this machine.", ge=100, le=1_000_000
    )
    recheck_seconds: float = tuning(
        15.0, "How often a websocket's session or key is looked at again, in seconds.", ge=0.1, le=600
    )
    session_idle_seconds: int = policy(
        28_800, "A browser's session ends when it was not used for this long, in seconds.", ge=60, le=2_592_000
    )
    session_seconds: int = policy(
        86_400, "A browser's session ends after this time, used or not, in seconds.", ge=60, le=2_592_000
    )
    link_seconds: int = policy(
        86_400, "How long a link to choose a password is good for, in seconds.", ge=60, le=604_800
    )
    attempts_max: int = policy(10, "Sign-ins that one name may fail within lock_seconds.", ge=1, le=1000)
    client_attempts_max: int = policy(
        50, "Sign-ins that one client address may fail within lock_seconds.", ge=1, le=100_000
    )
    lock_seconds: int = policy(900, "How long failed sign-ins count, in seconds.", ge=1, le=86_400)
    remembered_seconds: float = tuning(
        5.0, "How long a token, key or session that was checked is believed unasked, in seconds.", ge=0, le=60
    )
    idempotency_seconds: int = policy(
        86_400,
        "How long a change sent again with its Idempotency-Key is answered as at first, in seconds.",
        ge=60,
        le=604_800,
    )
    prefect_answer_seconds: float = tuning(
        60.0, "Longest silence of Prefect's server before a request to it is given up, in seconds.", ge=0.1, le=600
    )
    hashing_slots: int = tuning(1, "Passwords checked at the same time; each takes 64 MB.", ge=1, le=16)
    hashing_line: int = tuning(50, "Sign-ins that wait for their turn; more are sent away at once.", ge=0, le=10_000)


class Posting(Section):
    """Publishing."""

    window_seconds: int = tuning(150, "How long one run keeps claiming due posts, in seconds.", ge=1, le=900)
    ahead_seconds: float = tuning(3.0, "How long before its instant a post is claimed, in seconds.", ge=0.1, le=60)
    gate_seconds: float = tuning(
        10.0,
        "How long the gate may take for what it judges at once, in seconds; then nothing of it passes.",
        ge=1,
        le=60,
    )
    batch: int = tuning(100, "Posts claimed at once; each claim is one task run.", ge=1, le=1000)
    held: int = tuning(
        1000, "Posts that one run holds at most; the rest is left to others or to later.", ge=1, le=100_000
    )
    lease_seconds: float = tuning(8.0, "How long a claim holds without renewal, in seconds.", ge=0.5, le=600)
    beat_seconds: float = tuning(2.0, "How often a sender says it is alive, in seconds.", ge=0.1, le=60)
    poll_seconds: float = tuning(0.5, "How often a run looks for due posts unasked, in seconds.", ge=0.05, le=60)
    lanes: int = tuning(100, "Requests to X in flight in one run.", ge=1, le=1000)
    mark_span_seconds: float = tuning(0.05, "Posts due within this span are marked together, in seconds.", ge=0.0, le=1)
    start_within_seconds: float = policy(2.0, "A marked request starts within this time or not at all.", ge=0.1, le=30)
    give_up_seconds: float = policy(35.0, "An attempt without an outcome after this time is unknown.", ge=0.5, le=600)
    attempts_max: int = policy(
        5, "Attempts that reached X, perhaps, after which a post that X does not have is refused.", ge=1, le=100
    )
    retry_seconds: float = policy(
        5.0, "Wait before a post that was not sent is tried again, in seconds.", ge=0.1, le=3600
    )
    late_seconds: float = policy(
        30.0, "A post this long past its instant is late: its misfire policy decides, in seconds.", ge=1, le=3600
    )
    misfire_grace_seconds: float = policy(
        900.0, "How late a post with `send_if_within` may be where it does not say so itself.", ge=1, le=604_800
    )
    probe_seconds: float = policy(
        60.0,
        "Wait before X is asked again whether an app or a bot that it silenced may speak, in seconds; doubles with each"
        " no, up to an hour.",
        ge=0.1,
        le=3600,
    )
    catch_up_gap_seconds: float = policy(
        60.0, "Least time between two late posts of one bot, in seconds, so that no bot bursts.", ge=0, le=86_400
    )


class Credentials(Section):
    """Tokens of bots and their rotation."""

    refresh_earliest_seconds: int = tuning(
        900, "A token is refreshed this long before it ends, in seconds, or later.", ge=300, le=3600
    )
    refresh_latest_seconds: int = tuning(
        300, "A token is refreshed at the latest this long before it ends, in seconds.", ge=60, le=3600
    )
    refresh_unknown: Literal["replay_once", "needs_login"] = policy(
        "replay_once",
        "Once a token has ended whose refresh got no answer: send the refresh token one more time, or ask for a login.",
    )
    lease_seconds: float = tuning(
        45.0, "How long one process may be at the refresh of a token before another takes over.", ge=0.5, le=600
    )
    send_within_seconds: float = policy(2.0, "A marked refresh starts within this time or not at all.", ge=0.1, le=30)
    hold_seconds: float = policy(
        300.0, "How long new tokens are held that neither Postgres nor the vault takes, in seconds.", ge=0, le=3600
    )
    refreshers: int = tuning(8, "Tokens refreshed side by side in one run.", ge=1, le=100)


class KindOfRotation(Section):
    """What there is to say of each kind of credential that is rotated by the recipe."""

    max_age_seconds: int
    grace_seconds: int
    schedule: Literal["when_due", "by_hand"]
    who_may: Literal["operator", "admin"]


def _max_age(default: int) -> Any:
    return policy(default, "Age at which a new version is made, in seconds.", ge=5, le=315_360_000)


def _grace(default: int) -> Any:
    return policy(default, "How long the version before stays good, in seconds.", ge=1, le=31_536_000)


def _schedule(default: Literal["when_due", "by_hand"] = "when_due") -> Any:
    return policy(default, "Whether a new version is made unasked at that age, or only where a person asks for it.")


def _who_may(default: Literal["operator", "admin"] = "admin") -> Any:
    return policy(default, "Role that may ask for a new version before its time; an admin always may.")


class JwtKeys(KindOfRotation):
    """Keys that sign access tokens."""

    max_age_seconds: int = _max_age(2_592_000)
    # Tokens that it has signed must have ended, and every gateway must have seen the label move.
    grace_seconds: int = _grace(3600)
    schedule: Literal["when_due", "by_hand"] = _schedule()
    who_may: Literal["operator", "admin"] = _who_may()
    publish_seconds: float = policy(
        # A gateway asks the vault for a key it does not know every 2 s at most.
        120.0,
        "How long a new key is shown to those who verify before it signs, in seconds.",
        ge=2,
        le=86_400,
    )


class DatabaseLogins(KindOfRotation):
    """Logins of our processes at the database, made by the vault's engine."""

    max_age_seconds: int = _max_age(86_400)
    # Every process must have looked for a new login by then, and a posting run that holds a connection have ended.
    grace_seconds: int = _grace(3600)
    schedule: Literal["when_due", "by_hand"] = _schedule()
    who_may: Literal["operator", "admin"] = _who_may()
    lease_seconds: int = policy(
        86_400, "How long a login stays good that nobody renews; each run renews it, in seconds.", ge=60, le=2_592_000
    )


class ApiKeys(KindOfRotation):
    """API keys by which programs call the gateway."""

    max_age_seconds: int = _max_age(7_776_000)
    grace_seconds: int = _grace(86_400)
    schedule: Literal["when_due", "by_hand"] = _schedule()
    who_may: Literal["operator", "admin"] = _who_may()


class DataKeys(KindOfRotation):
    """The vault's key that wraps the keys of bot records."""

    max_age_seconds: int = _max_age(7_776_000)
    # A record that was being stored when the new version came must be in the database by then.
    grace_seconds: int = _grace(3600)
    schedule: Literal["when_due", "by_hand"] = _schedule()
    who_may: Literal["operator", "admin"] = _who_may()
    batch: int = tuning(1000, "Records wrapped again in one request to the vault.", ge=1, le=10_000)
    lanes: int = tuning(2, "Such requests under way at the same time.", ge=1, le=8)
    records_per_minute: int = tuning(
        1_200_000, "Records wrapped again in a minute at most, so that others get a word in.", ge=60, le=60_000_000
    )
    run_seconds: float = tuning(120.0, "How long one run wraps records again before the next goes on.", ge=0.1, le=900)


class XAppKeys(KindOfRotation):
    """Client secrets of apps on X, made and entered by a person."""

    max_age_seconds: int = _max_age(31_536_000)
    grace_seconds: int = _grace(86_400)
    schedule: Literal["when_due", "by_hand"] = _schedule("by_hand")
    who_may: Literal["operator", "admin"] = _who_may()


class Rotation(Section):
    """Rotation of credentials, one section a kind."""

    lease_seconds: float = tuning(
        60.0, "How long a run that fell silent keeps a rotation from others, in seconds.", ge=0.5, le=3600
    )
    jwt_keys: JwtKeys = JwtKeys()
    api_keys: ApiKeys = ApiKeys()
    data_keys: DataKeys = DataKeys()
    database_logins: DatabaseLogins = DatabaseLogins()
    x_app_keys: XAppKeys = XAppKeys()


class Media(Section):
    """Pictures and films, laid at X before their posts are due."""

    ahead_seconds: float = tuning(900.0, "How long before its instant a post's media is uploaded.", ge=10, le=43_200)
    fresh_seconds: float = tuning(
        120.0, "An upload that X forgets sooner than this is done again, in seconds.", ge=61, le=43_200
    )
    lease_seconds: float = tuning(900.0, "After this time an upload without a word is begun anew.", ge=1, le=43_200)
    processing_seconds: float = tuning(600.0, "Longest wait for X to work a film up, in seconds.", ge=1, le=7200)
    retry_seconds: float = tuning(30.0, "Wait before a failed upload is tried again, in seconds.", ge=0.1, le=3600)
    look_seconds: float = tuning(2.0, "How often a run looks for media that posts will need.", ge=0.05, le=60)
    uploaders: int = tuning(2, "Files that one run uploads at the same time.", ge=1, le=32)
    segment_bytes: int = tuning(1_048_576, "Size of one piece of an upload, in bytes.", ge=65_536, le=5_242_880)


class Reconciliation(Section):
    """Finding out what became of posts whose answer was lost."""

    window_seconds: int = tuning(50, "How long one run looks again while anything is in doubt.", ge=1, le=900)
    apart_seconds: float = policy(
        30.0, "Two reads that decide lie at least this far apart, in seconds.", ge=0.1, le=900
    )
    gap_most_seconds: float = tuning(
        900.0, "Longest wait between two looks for a post that is not decided yet, in seconds.", ge=1, le=86_400
    )
    resend_after_token_fence: bool = policy(
        False, "Send again although no sender is proven dead, once its token has expired and X shows nothing."
    )
    readers: int = tuning(8, "Timelines read at the same time.", ge=1, le=100)
    batch: int = tuning(500, "Posts looked for in one round.", ge=1, le=10_000)


class Metrics(Section):
    """What became of posts and accounts: when they are read, for how much, and how long it is kept."""

    dense_seconds: int = tuning(900, "Between two readings of a post in its first hours, in seconds.", ge=300, le=3600)
    dense_hours: int = tuning(6, "How long after its publication a post is read that often, in hours.", ge=1, le=48)
    hourly_hours: int = tuning(48, "Up to which age a post is read each hour, in hours.", ge=2, le=720)
    daily_days: int = tuning(7, "Up to which age a post is read each day, and then no more, in days.", ge=1, le=365)
    account_seconds: int = tuning(3600, "Between two readings of an account, in seconds.", ge=300, le=86_400)
    budget_share: Decimal = policy(
        Decimal("0.3"), "Share of an app's monthly budget that readings may cost, day by day.", ge=0, le=1
    )
    batch: int = tuning(5000, "Posts that a run takes at once.", ge=100, le=50_000)
    readers: int = tuning(8, "Requests that a run has under way at X.", ge=1, le=100)
    lease_seconds: float = tuning(
        300.0, "After this time posts that a run took and did not read are taken by another.", ge=1, le=3600
    )
    gone_after_seconds: float = policy(
        600.0,
        "A post that X does not give is gone once it was missed again this much later, in seconds.",
        ge=0,
        le=21_600,
    )
    erase_after_seconds: float = policy(
        21_600.0,
        "What X said of a post is erased this long after the post is gone, in seconds; at most 20 h, so that it is done"
        " within 24.",
        ge=0,
        le=72_000,
    )
    ahead_days: int = tuning(62, "How long before they are needed monthly tables are made, in days.", ge=2, le=730)
    snapshot_days: int = policy(90, "How long snapshots are kept at least, by whole months, in days.", ge=31, le=3650)
    hourly_days: int = policy(400, "How long hourly rollups are kept, by whole months, in days.", ge=31, le=3650)
    rollup_days: int = policy(1825, "How long daily rollups are kept, by whole months, in days.", ge=31, le=36_500)
    learn_days: int = tuning(180, "Best times are learnt from posts of so many days.", ge=7, le=1825)
    report_days: int = tuning(28, "Reports and insights are about so many days, if nothing else is said.", ge=7, le=366)
    reports_kept_days: int = policy(366, "How long a report that was made can be read, in days.", ge=1, le=3660)


class TrendSources(Section):
    """Where trends are looked for; lists are separated by commas, and an empty one switches its source off."""

    contact: str = policy(
        "",
        "Where those who run a source reach whoever asks them, an address or a page of yours; it is told to each of"
        " them. Without it no source is asked, save X.",
        max_length=200,
        pattern=r"^[ -~]*$",
    )
    page_seconds: float = tuning(20.0, "Longest time for one whole page of a source, in seconds.", ge=0.5, le=300)
    page_bytes: int = tuning(10_000_000, "Largest page of a source that is read, in bytes.", ge=10_000, le=100_000_000)
    private_hosts: str = wiring(
        "", "Hosts, or host:port, separated by commas, that may be read although they are not on the public internet."
    )
    google_geos: str = policy(
        "US, GB, DE, ES, FR, JP, TR",
        "Countries whose searches Google is asked for, by their two letters.",
        pattern=r"^([A-Z]{2}(-[A-Z0-9]{1,3})?(, ?[A-Z]{2}(-[A-Z0-9]{1,3})?)*)?$",
    )
    mastodon_instances: str = policy(
        "mastodon.social, mstdn.jp, troet.cafe",
        "Hosts of the Mastodon instances whose trending tags and links are read.",
        pattern=HOSTS,
    )
    hacker_news: bool = policy(True, "Whether the front page of Hacker News is read.")
    wikipedia_languages: str = policy(
        "en, de, es, fr, ja, tr", "Wikipedias whose most read articles are read, by language.", pattern=LANGUAGES
    )
    news_feeds: str = policy(
        "https://feeds.bbci.co.uk/news/world/rss.xml https://www.tagesschau.de/index~rss2.xml"
        " https://www.lemonde.fr/rss/une.xml https://www3.nhk.or.jp/rss/news/cat0.xml"
        " https://www.trthaber.com/manset_articles.rss",
        "Addresses of RSS or Atom feeds of news, separated by spaces.",
        pattern=r"^(https?://[^\s<>]+(\s+https?://[^\s<>]+)*)?$",
    )
    github_trending: bool = policy(False, "Whether GitHub's page of trending repositories is read.")
    trends24_places: str = policy(
        "",
        "Places whose lists at trends24.in are read, as its addresses name them, such as turkey, or worldwide.",
        pattern=r"^([a-z-]+(, ?[a-z-]+)*)?$",
    )
    x_woeids: str = policy(
        "",
        "Places whose trends of X are wanted, by WOEID, such as 23424969. They can be read, but nothing asks X yet.",
        pattern=r"^([0-9]{1,10}(, ?[0-9]{1,10})*)?$",
    )


class Trends(Section):
    """History of trends."""

    lease_seconds: float = tuning(
        300.0, "After this time a source that a run took and did not finish is taken by another.", ge=1, le=3600
    )
    snapshot_days: int = policy(
        60, "How long it is kept what stood on which list, by whole months, in days.", ge=31, le=3650
    )


class Monitoring(Section):
    """What the gateway tells Prometheus."""

    fresh_seconds: float = tuning(10.0, "How long figures are told again before they are counted anew.", ge=0, le=300)
    runs_seconds: float = tuning(30.0, "The same for runs, which Prefect's server is asked for.", ge=0, le=600)
    query_seconds: float = tuning(2.0, "Longest run of a statement that counts, in seconds.", ge=0.1, le=60)
    per_bot: bool = tuning(False, "Whether there are series of each bot too, up to five a bot.")


class Notifications(Section):
    """Telling operators."""

    repeat_seconds: int = tuning(
        3600, "The same alarm is told again at the earliest after this time.", ge=60, le=604_800
    )
    look_seconds: float = tuning(15.0, "How often the clerk looks for alarms, in seconds.", ge=0.2, le=3600)
    attempts_max: int = tuning(6, "Tries after which a message is given up.", ge=1, le=20)
    retry_seconds: float = tuning(
        2.0, "Wait before a message is tried a second time, in seconds; it doubles, up to a minute.", ge=0.05, le=60
    )
    answer_seconds: float = tuning(10.0, "Longest time for one try, in seconds.", ge=0.2, le=120)
    private_hosts: str = wiring(
        "",
        "Hosts, or host:port, separated by commas, that may be told although they are not on the public internet, at"
        " any port and without TLS.",
    )
    ca_file: Path | None = wiring(None, "CA certificate for them; unset means the system's own.")
    morning_zone: str = wiring(
        "UTC", "Time zone in which the morning summary is sent at seven.", pattern=r"^[A-Za-z0-9_+/-]+$"
    )
    kept_days: int = policy(90, "How long it is kept what was told, in days.", ge=1, le=3650)


class Onboarding(Section):
    """Connecting bots."""

    bots_folder: Path = wiring(Path("config/bots"), "Folder of bot files; relative to the project.")
    state_seconds: int = policy(600, "How long a started authorisation may take, in seconds.", ge=30, le=86_400)
    connect_link_seconds: int = policy(
        172_800, "How long a link for an account's owner is good for, in seconds.", ge=60, le=2_592_000
    )


class Audit(Section):
    """The sealed audit."""

    seal_seconds: float = tuning(0.5, "How often new rows are sealed, in seconds.", ge=0.05, le=60)
    batch: int = tuning(5000, "Rows under one seal at most.", ge=1, le=50_000)
    late_seconds: float = tuning(5.0, "Rows that wait longer for a seal are complained of, in seconds.", ge=1, le=3600)


class Logs(Section):
    """Log files under VIVESPHERE_HOME/logs."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = tuning("INFO", "Least level that the debug log keeps.")
    file_bytes: int = tuning(10_000_000, "Size at which a log file is rotated, in bytes.", ge=10_000, le=1_000_000_000)
    files_kept: int = tuning(5, "Rotated files kept for each log.", ge=1, le=100)


class Stack(Section):
    """The local supervisor."""

    ready_seconds: float = tuning(60.0, "Longest wait for one part to become healthy, in seconds.", ge=1, le=600)
    stop_seconds: float = tuning(10.0, "Longest wait for one part to stop before it is killed.", ge=0.5, le=120)
    restart_first_seconds: float = tuning(0.5, "Wait before a dead part is started again; doubles.", ge=0.05, le=60)
    restart_most_seconds: float = tuning(30.0, "Longest wait between restarts of one part.", ge=0.1, le=600)
    alarm_seconds: float = tuning(
        30.0, "A part that has not come up again after this time is told to operators, in seconds.", ge=1, le=3600
    )
    secret_id_seconds: int = policy(600, "How long an AppRole secret-id is good for, in seconds.", ge=60, le=86_400)
    disk_free_mb: int = tuning(500, "doctor complains when less disk is free, in megabytes.", ge=1, le=1_000_000)


class Backup(Section):
    """Backups of database and vault; docs/guide/backup.md."""

    folder: Path | None = wiring(None, "Where `vivesphere db backup` puts archives; unset: <home>/backups.")
    files_kept: int = tuning(14, "Archives that stay in that folder; the oldest go.", ge=1, le=10_000)
    max_age_hours: float = tuning(26.0, "doctor complains when the last backup is older, in hours.", ge=0.1, le=8760)
    wait_seconds: float = tuning(
        120.0, "Longest wait for refreshes of tokens to end before a backup, in seconds.", ge=1, le=3600
    )


class Approvals(Section):
    """People who let posts pass."""

    wait_hours: int = tuning(72, "How long a post waits for an approval before it expires, in hours.", ge=1, le=720)
    author_may_approve: bool = policy(False, "Whether who wrote or changed a post may approve it as well.")


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(env_prefix="VIVESPHERE_", env_nested_delimiter="__", extra="forbid", frozen=True)

    home: Path = wiring(Path(".vivesphere"), "Folder of all local state, 0700; relative to the project.")
    postgres: Postgres = Postgres()
    vault: Vault = Vault()
    prefect: Prefect = Prefect()
    x: X = X()
    gateway: Gateway = Gateway()
    posting: Posting = Posting()
    approvals: Approvals = Approvals()
    credentials: Credentials = Credentials()
    rotation: Rotation = Rotation()
    media: Media = Media()
    reconciliation: Reconciliation = Reconciliation()
    metrics: Metrics = Metrics()
    trend_sources: TrendSources = TrendSources()
    trends: Trends = Trends()
    monitoring: Monitoring = Monitoring()
    notifications: Notifications = Notifications()
    onboarding: Onboarding = Onboarding()
    audit: Audit = Audit()
    logs: Logs = Logs()
    stack: Stack = Stack()
    backup: Backup = Backup()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """config.loading hands the merged sources in, because it also tells where each value came from."""
        return (init_settings,)
