"""The frame of the pages that this X shows to people."""

from html import escape

from starlette.responses import HTMLResponse

STYLE = """
:root { color-scheme: light dark; --line: #8884; --quiet: light-dark(#666, #aaa);
  --accent: light-dark(#1769aa, #5aa9e6); --wrong: light-dark(#b3261e, #f2877f);
  --card: light-dark(#fff, #1d2126); --ground: light-dark(#f4f6f8, #14171a); }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem; font: 15px/1.5 system-ui, sans-serif;
  background: var(--ground); }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1rem; margin: 0 0 .6rem; }
.columns { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 27rem); gap: 1.5rem; margin-top: 1rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .8rem 1rem;
  margin: 0 0 .8rem; }
.card p { margin: .2rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.quiet, small { color: var(--quiet); } ul { padding-left: 1.2rem; margin: .3rem 0; } p { margin: .3rem 0; }
label { display: block; margin: .6rem 0; }
input, select { width: 100%; padding: .4rem; font: inherit; border: 1px solid var(--line); border-radius: .3rem; }
button { font: inherit; padding: .4rem 1.1rem; border-radius: 2rem; border: 1px solid var(--accent);
  background: var(--accent); color: light-dark(#fff, #111); cursor: pointer; }
button.quiet { background: none; color: inherit; border-color: var(--line); }
@media (max-width: 60rem) { .columns { grid-template-columns: minmax(0, 1fr); } }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"


def page(title: str, body: str, status: int = 200, head: str = "", policy: str = "") -> HTMLResponse:
    """A whole page; `body` and `head` are HTML whose foreign parts are escaped already."""
    return HTMLResponse(
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>{head}</head>'
        f"<body><h1>{escape(title)}</h1>{body}</body></html>",
        status_code=status,
        headers={
            "Content-Security-Policy": POLICY + policy,
            "Cache-Control": "no-store",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        },
    )
