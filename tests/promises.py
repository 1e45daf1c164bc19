"""What the product promises, and which promises no test holds yet."""

from collections.abc import Mapping

PROMISES: Mapping[str, str] = {
    "P1": "At most one accepted create per intent; every other post ends in a visible state with its reason.",
    "P2": "Sent again only where it is known that the request never left, or after evidence that it did not arrive.",
    "P3": "A post goes out within a second of its instant while a sender lives; a dead run delays few posts for long.",
    "P4": "`stop` returns within 5 s, and no request starts after it returned.",
    "P5": "By our requests no limit and no budget is crossed in any sliding window.",
    "P6": "The gate fails closed: no verdict for this revision and policy version, no post.",
    "P7": "Why a post went out has an answer; an edited, deleted or cut row of the audit is named.",
    "C1": "Secrets are in the vault alone, bootstrap secrets in listed 0600 files; nowhere else in the clear.",
    "C2": "Rotation is create, set, test, finish by one moved label; readers always get a working credential.",
    "C3": "One refresher for each token; a new token is sealed into Postgres before it goes to the vault.",
    "C4": "Each process signs in to the vault by its own AppRole and policy.",
    "A1": "Default deny; each route is classified; what runs code is the admin's.",
    "A2": "Roles and label scopes hold in console, API and command line.",
    "A3": "Every change is audited, without secrets.",
    "D1": "Snapshots are idempotent; a failing source leaves its last good time and a reason.",
}

# May only shrink: whoever writes the first test of a promise takes its line out.
NOT_YET_KEPT: Mapping[str, str] = {}
