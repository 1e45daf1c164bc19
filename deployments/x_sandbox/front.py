"""The page at / for people: what is posted, who is here, what it costs, what time it is and what is broken."""

from html import escape
from typing import get_args

from deployments.x_sandbox.accounts import Account
from deployments.x_sandbox.answers import PROBLEMS
from deployments.x_sandbox.clock import iso, made_at
from deployments.x_sandbox.faults import Rule
from deployments.x_sandbox.metrics import public_at
from deployments.x_sandbox.post_store import Post
from deployments.x_sandbox.presets import PRESETS
from deployments.x_sandbox.settings import EndpointName
from deployments.x_sandbox.spending import spending
from deployments.x_sandbox.state import Sandbox

NEWEST_SHOWN = 50
ACCOUNTS_SHOWN = 100
SEEN = {
    "impression_count": "views",
    "like_count": "likes",
    "repost_count": "reposts",
    "reply_count": "replies",
    "quote_count": "quotes",
}
SPEEDS = {0: "stand still", 1: "1×", 60: "60×", 3_600: "3,600×"}
STEPS = {3_600: "+1 hour", 86_400: "+1 day"}
FAULTS = get_args(Rule.model_fields["fault"].annotation)


def body(sandbox: Sandbox, token: str) -> str:
    """The whole page below its title."""
    parts = {name: f'<div id="{name}">{html}</div>' for name, html in live(sandbox, token).items()}
    return f"""<header><p class="quiet">A stand-in for the X API. Nothing here reaches x.com.</p>
    {parts["counts"]}</header><p id="said" role="status"></p>
    <div class="columns"><main><h2>Timeline</h2>{parts["posts"]}</main>
    <aside><section class="card"><h2>Clock</h2>{parts["now"]}{parts["clock"]}</section>
    <section class="card"><h2>Break something</h2>{parts["switches"]}
    <details><summary>More exactly</summary>{_form(token)}</details></section>
    <section class="card"><h2>Active faults</h2>{parts["faults"]}</section>
    <section class="card"><h2>Spending</h2>{parts["spend"]}</section>
    <section class="card"><h2>Accounts</h2>{parts["accounts"]}</section></aside></div>"""


def live(sandbox: Sandbox, token: str) -> dict[str, str]:
    """The parts that change by themselves, as HTML by the id of their place."""
    return {
        "counts": f"""<small>{len(sandbox.posts.by_id):,} posts, {len(sandbox.accounts.by_id):,} accounts,
        ledger at {sandbox.ledger.last_seq:,}</small>""",
        "posts": _posts(sandbox),
        "now": f"<time>{_shown(sandbox.clock.now())}</time>",
        "clock": _clock(sandbox, token),
        "switches": _switches(sandbox, token),
        "faults": _faults(sandbox, token),
        "spend": _spend(sandbox),
        "accounts": _accounts(sandbox, token),
    }


def _button(token: str, label: str, do: str, extra: str = "", **fields: object) -> str:
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{escape(str(value))}">'
        for name, value in {"token": token, "do": do, **fields}.items()
    )
    style = extra or 'class="quiet"'
    return f'<form class="one" method="post" action="/switch">{hidden}<button {style}>{escape(label)}</button></form>'


def _posts(sandbox: Sandbox) -> str:
    cards = [_card(sandbox, post) for post in sandbox.posts.newest(NEWEST_SHOWN)]
    return "".join(cards) or '<p class="quiet">Nobody has posted yet.</p>'


def _card(sandbox: Sandbox, post: Post) -> str:
    now = sandbox.clock.now()
    account = sandbox.accounts.by_id[post.account_id]
    kinds = {
        "in_reply_to": "reply",
        "quoted": "quote",
        "poll": "poll",
        "media_keys": "media",
        "made_with_ai": "made with AI",
    }
    marks = [word for name, word in kinds.items() if name in post.extras]
    marks += [] if post.visible_at <= now else ["not on the timeline yet"]
    seen = public_at(post, sandbox.posts, now)
    options = "".join(f"<li>{escape(option)}</li>" for option in post.extras.get("poll", {}).get("options", ()))
    return (
        f'<article class="card"><strong>{escape(account.name)}</strong> '
        f"<small>@{escape(account.username)} · {' · '.join([_shown(made_at(post.id)), *marks])}</small>"
        f"<p>{escape(post.text)}</p>{f'<ul>{options}</ul>' if options else ''}"
        f"<small>{' · '.join(f'{seen[name]:,} {word}' for name, word in SEEN.items())}</small></article>"
    )


def _clock(sandbox: Sandbox, token: str) -> str:
    speed = sandbox.clock.speed
    speeds = " ".join(
        _button(token, label, "clock", 'aria-pressed="true"' if speed == each else "", speed=each)
        for each, label in SPEEDS.items()
    )
    steps = " ".join(_button(token, label, "clock", forward_seconds=seconds) for seconds, label in STEPS.items())
    return f"<p>{steps} {_button(token, 'wall clock', 'wall')}</p><p>{speeds}</p>"


def _switches(sandbox: Sandbox, token: str) -> str:
    rows = []
    for key, preset in PRESETS.items():
        on = bool(preset.active(sandbox.faults))
        switch = f'role="switch" aria-checked="{"true" if on else "false"}" aria-label="{escape(preset.label)}"'
        button = _button(token, "ON" if on else "OFF", "preset", switch, preset=key, wanted="off" if on else "on")
        rows.append(
            f'<div class="row"><span>{escape(preset.label)}<small>{escape(preset.meaning)}</small></span>{button}</div>'
        )
    return "".join(rows)


def _faults(sandbox: Sandbox, token: str) -> str:
    if not sandbox.faults.rules:
        return '<p class="quiet">None: this X is well.</p>'
    rows = [
        f'<div class="row"><span><span class="on">{escape(_named(rule))}</span> {rule.when} accepting'
        f"<small>{escape(_aim(rule))}</small></span>{_button(token, 'off', 'off', id=rule.id)}</div>"
        for rule in sandbox.faults.rules.values()
    ]
    return "".join(rows) + f"<p>{_button(token, 'all off', 'off')}</p>"


def _aim(rule: Rule) -> str:
    aims = [rule.endpoint or "every endpoint", f"@{rule.account}" if rule.account else "every account"]
    aims += [f"{rule.probability:.0%}"] if rule.probability < 1 else []
    return ", ".join([*aims, *([f"{rule.count} left"] if rule.count else [])])


def _named(rule: Rule) -> str:
    return {"problem": rule.problem, "error": f"error {rule.status}", "html": f"html {rule.status}"}.get(
        rule.fault, rule.fault
    )


def _spend(sandbox: Sandbox) -> str:
    bill = spending(sandbox)
    tables = []
    for app in bill["apps"]:
        left = "" if app["credits_usd"] is None else f", {app['credits_usd']:.2f} left"
        rows = "".join(
            f"<tr><td>{escape(endpoint)}</td><td>{spent['requests']:,}</td><td>{spent['usd']:.3f}</td></tr>"
            for endpoint, spent in app["endpoints"].items()
        )
        tables.append(
            f"<p>{escape(app['name'])} <small>{app['usd']:.2f} USD{left} · {app['posts_read_this_month']:,} posts read "
            f"this month</small></p><table>{rows}</table>"
        )
    return f"<p><strong>{bill['usd']:.2f} USD</strong> in all</p>{''.join(tables)}"


def _accounts(sandbox: Sandbox, token: str) -> str:
    accounts = list(sandbox.accounts.by_id.values())
    rows = "".join(_row(each, token) for each in accounts[:ACCOUNTS_SHOWN])
    more = f'<p class="quiet">and {len(accounts) - ACCOUNTS_SHOWN:,} more</p>' if len(accounts) > ACCOUNTS_SHOWN else ""
    return rows + more or '<p class="quiet">None yet.</p>'


def _row(account: Account, token: str) -> str:
    state = ' <span class="on">suspended</span>' if account.suspended else " · protected" if account.protected else ""
    change = "restore" if account.suspended else "suspend"
    buttons = _button(token, change, "account", username=account.username, wanted=change)
    buttons += " " + _button(token, "revoke tokens", "account", username=account.username, wanted="revoke")
    return (
        f'<div class="row"><span><strong>{escape(account.name)}</strong> <small>@{escape(account.username)}{state}<br>'
        f"{escape(account.description)}</small></span><span>{buttons}</span></div>"
    )


def _form(token: str) -> str:
    return f"""<form method="post" action="/switch"><input type="hidden" name="token" value="{token}">
    <input type="hidden" name="do" value="add"><div class="two">
    <label>Fault {_choice("fault", FAULTS)}</label><label>When {_choice("when", ("before", "after"))}</label>
    <label>Endpoint {_choice("endpoint", get_args(EndpointName), "every endpoint")}</label>
    <label>Account <input name="account" placeholder="every account" maxlength="15"></label>
    <label>Problem {_choice("problem", tuple(PROBLEMS))}</label>
    <label>Status <input name="status" type="number" min="400" max="599" placeholder="503"></label>
    <label>Probability, 0 to 1
    <input name="probability" type="number" min="0" max="1" step="any" placeholder="1"></label>
    <label>Strikes <input name="count" type="number" min="1" placeholder="until it is off"></label>
    <label>Milliseconds <input name="milliseconds" type="number" min="0" placeholder="100"></label></div>
    <button>Switch on</button></form>"""


def _choice(name: str, among: tuple[str, ...], otherwise: str = "") -> str:
    first = f'<option value="">{escape(otherwise)}</option>' if otherwise else ""
    options = "".join(f"<option>{escape(each)}</option>" for each in among)
    return f'<select name="{name}">{first}{options}</select>'


def _shown(instant: float) -> str:
    return f"{iso(instant)[:19].replace('T', ' ')} UTC"
