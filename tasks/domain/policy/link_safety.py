"""A link leads where it seems to lead."""

import ipaddress
import re
import unicodedata
from urllib.parse import SplitResult, urlsplit

from tasks.domain.near_duplicates import plain
from tasks.domain.policy.finding import Case, Finding, Rule
from tasks.domain.policy.words import links

RULE = Rule(
    "link-safety",
    "refuse",
    x_policy=False,
    source="https://help.x.com/en/safety-and-security/phishing-spam-and-malware-links",
    advice="link to the page itself, by its own name and https",
)

# What X makes no link of a reader may still copy.
_WRITTEN = re.compile(r"(?<![\w])([a-z][a-z0-9+.-]{1,20})://[^\s<>\"]{1,2000}", re.IGNORECASE)
_SCRIPT = re.compile(r"(?<![\w])(?:javascript|vbscript|data):(?=[\w/;,'\"(%+-])", re.IGNORECASE)
_INSIDE = re.compile(r"(?:^|\.)(?:localhost|local|internal|lan|home|corp|test|invalid|onion)$")
_NUMBER = re.compile(r"^(?:0x[0-9a-f]+|[0-9]+)(?:\.(?:0x[0-9a-f]+|[0-9]+)){0,3}$")


def judge(case: Case) -> Finding | None:
    """Refuses links to addresses, inner names, lookalikes, shorteners, blocked sites, and odd ways to write one."""
    text = case.draft.text
    if found := _SCRIPT.search(text):
        return RULE.finds(f"{found.group().lower()} is no link to a page")
    written = [match.group() for match in _WRITTEN.finditer(text)]
    for link in dict.fromkeys((*written, *links(text))):
        if objection := _objection(case, link):
            return RULE.finds(f"{objection}: {link[:100]}")
    return None


def _objection(case: Case, link: str) -> str | None:
    try:
        parts = urlsplit(link if "://" in link else f"https://{link}")
        port = parts.port
    except ValueError:
        return "it is no well-formed address"
    if parts.scheme.lower() not in ("http", "https"):
        return f"{parts.scheme} is no scheme of the web"
    if parts.username is not None:
        return "a name before the host hides the host"
    if port not in (None, 80, 443):
        return f"port {port} is none of the web's"
    return _host_objection(case, parts)


def _host_objection(case: Case, parts: SplitResult) -> str | None:
    host = (parts.hostname or "").rstrip(".")
    if _is_number(host):
        return "it leads to an address, not to a name"
    if _INSIDE.search(host):
        return "its name is known in one house alone"
    if any(_is_lookalike(label) for label in host.split(".")):
        return "its name mixes scripts to look like another"
    if _stands_in(host, case.policies.shorteners):
        return "a shortener hides where it leads"
    return "this site is blocked" if _stands_in(host, case.policies.blocked_hosts) else None


def _is_number(host: str) -> bool:
    if _NUMBER.match(host):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_lookalike(label: str) -> bool:
    """Letters of two alphabets in one name, or a name of another alphabet that reads as a Latin one."""
    if label.startswith("xn--"):
        try:
            label = label.encode("ascii").decode("idna")
        except UnicodeError:
            return True
    alphabets = {unicodedata.name(letter, "?").split()[0] for letter in label if letter.isalpha()}
    mixed = len(alphabets & {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"}) > 1
    return mixed or (alphabets <= {"CYRILLIC", "GREEK"} and bool(alphabets) and plain(label).isascii())


def _stands_in(host: str, hosts: tuple[str, ...]) -> bool:
    return any(host == one or host.endswith(f".{one}") for one in hosts)
