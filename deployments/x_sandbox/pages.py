"""What this X shows to people: one page on what was posted, who is here and what is broken."""

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from deployments.x_sandbox.accounts import Account
from deployments.x_sandbox.clock import iso, made_at
from deployments.x_sandbox.state import Sandbox

NEWEST_SHOWN = 50
ACCOUNTS_SHOWN = 200
REFRESH_SECONDS = 3
STYLE = """
:root { color-scheme: light dark; --line: #8885; --quiet: #777; --accent: #1769aa; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem; font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 .5rem; } h2 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
.columns { display: grid; grid-template-columns: minmax(0, 2fr) minmax(14rem, 1fr); gap: 2rem; }
.card { border: 1px solid var(--line); border-radius: .6rem; padding: .8rem 1rem; margin: 0 0 .7rem; }
.card p { margin: .2rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.quiet, small { color: var(--quiet); } ul { padding-left: 1.2rem; }
label { display: block; margin: .8rem 0; } input { width: 100%; padding: .5rem; font: inherit; }
button { font: inherit; padding: .5rem 1.2rem; border-radius: 2rem; border: 1px solid var(--accent);
  background: var(--accent); color: #fff; cursor: pointer; }
button.quiet { background: none; color: inherit; border-color: var(--line); }
@media (max-width: 48rem) { .columns { grid-template-columns: 1fr; } }
"""


def page(title: str, body: str, status: int = 200, refresh: bool = False) -> HTMLResponse:
    """A whole page; `body` is HTML whose foreign parts are escaped already."""
    again = f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">' if refresh else ""
    return HTMLResponse(
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>{again}'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
        f"<body><h1>{escape(title)}</h1>{body}</body></html>",
        status_code=status,
        headers={
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
        },
    )


def page_routes(sandbox: Sandbox) -> list[Route]:
    """The front page."""

    async def front(_: Request) -> HTMLResponse:
        body = f"""<p class="quiet">A stand-in for the X API. Nothing here reaches x.com.
        {len(sandbox.posts.by_id)} posts, {len(sandbox.accounts.by_id)} accounts,
        {len(sandbox.faults.rules)} active faults; ledger at {sandbox.ledger.last_seq}.</p>
        <div class="columns"><main><h2>Newest posts</h2>{_posts(sandbox)}</main>
        <aside><h2>Active faults</h2>{_faults(sandbox)}<h2>Accounts</h2>{_accounts(sandbox)}</aside></div>"""
        return page("X sandbox", body, refresh=True)

    return [Route("/", front)]


def _posts(sandbox: Sandbox) -> str:
    now = sandbox.clock.now()
    cards = []
    for post in sandbox.posts.newest(NEWEST_SHOWN):
        account = sandbox.accounts.by_id[post.account_id]
        hidden = "" if post.visible_at <= now else " · not on the timeline yet"
        kind = " · reply" if "in_reply_to" in post.extras else " · quote" if "quoted" in post.extras else ""
        kind += " · poll" if "poll" in post.extras else ""
        cards.append(
            f'<article class="card"><strong>{escape(account.name)}</strong> '
            f"<small>@{escape(account.username)} · {iso(made_at(post.id))[:19].replace('T', ' ')} UTC{kind}{hidden}"
            f"</small><p>{escape(post.text)}</p></article>"
        )
    return "".join(cards) or '<p class="quiet">Nobody has posted yet.</p>'


def _faults(sandbox: Sandbox) -> str:
    items = "".join(
        f"<li>{escape(rule.fault)} {rule.when} accepting: {escape(rule.endpoint or 'every endpoint')}, "
        f"{escape('@' + rule.account if rule.account else 'every account')}, "
        f"{rule.probability:.0%}{f', {rule.count} left' if rule.count else ''}</li>"
        for rule in sandbox.faults.rules.values()
    )
    return f"<ul>{items}</ul>" if items else '<p class="quiet">None: this X is well.</p>'


def _state(account: Account) -> str:
    return " · suspended" if account.suspended else " · protected" if account.protected else ""


def _accounts(sandbox: Sandbox) -> str:
    accounts = list(sandbox.accounts.by_id.values())
    items = "".join(
        f"<li><strong>{escape(each.name)}</strong> <small>@{escape(each.username)}{_state(each)}</small><br>"
        f"<small>{escape(each.description)}</small></li>"
        for each in accounts[:ACCOUNTS_SHOWN]
    )
    more = f'<p class="quiet">and {len(accounts) - ACCOUNTS_SHOWN} more</p>' if len(accounts) > ACCOUNTS_SHOWN else ""
    return f"<ul>{items}</ul>{more}" if items else '<p class="quiet">None yet.</p>'
