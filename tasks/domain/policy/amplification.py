"""Several bots that push the same link, hashtag or post make it look bigger than it is."""

from tasks.domain.policy.finding import Case, Finding, Rule
from tasks.domain.policy.policies import Policies
from tasks.domain.policy.words import hashtags, links

RULE = Rule(
    "amplification",
    "needs_approval",
    x_policy=True,
    source="https://help.x.com/en/rules-and-policies/authenticity",
    advice="let fewer bots carry it, or let an approver say why so many may",
)


def carried(text: str, quote_x_post_id: str | None, policies: Policies) -> tuple[str, ...]:
    """What a post could push: its links, hashtags and the post it quotes."""
    common = {tag.removeprefix("#").casefold() for tag in policies.shared_hashtags}
    quoted = (f"post {quote_x_post_id}",) if quote_x_post_id else ()
    tags = tuple(f"#{tag}" for tag in hashtags(text) if tag not in common)
    return (*(_bare(link) for link in links(text)), *tags, *quoted)


def judge(case: Case) -> Finding | None:
    """Asks for approval once more bots than the setting carry the same within its hours."""
    for thing in carried(case.draft.text, case.draft.quote_x_post_id, case.policies):
        others = sorted(case.seen.carried.get(thing, frozenset()) - {case.account.handle.lower()})
        if len(others) >= case.policies.carriers_max:
            named = ", ".join(f"@{handle}" for handle in others[:5])
            return RULE.finds(f"{thing} is carried by {len(others)} other bots already: {named}")
    return None


def _bare(link: str) -> str:
    """A link without what readers do not see of it: its scheme, a last slash, its fragment and its campaign."""
    bare = link.lower().removeprefix("https://").removeprefix("http://").removeprefix("www.").partition("#")[0]
    path, _, query = bare.partition("?")
    kept = "&".join(sorted(part for part in query.split("&") if part and not part.startswith("utm_")))
    return path.rstrip("/") + (f"?{kept}" if kept else "")
