"""What somebody pays for is labelled: X asks for its own label, a hashtag is not enough."""

from tasks.domain.policy.finding import Case, Finding, Rule
from tasks.domain.policy.words import links, terms_in

RULE = Rule(
    "paid-partnership",
    "refuse",
    x_policy=True,
    source="https://help.x.com/en/rules-and-policies/paid-partnerships-policy",
    advice="set paid_partnership on the post, or take the advertising out",
)

SIGNS = (
    *("#ad", "#ads", "#advert", "#advertisement", "#sponsored", "#paidpartnership", "#spon", "#werbung", "#anzeige"),
    *("#publi", "#publicidad", "#publicidade", "#publicité", "#sponsorisé", "#adv", "#reklama", "#reklam", "#pr案件"),
    *("paid partnership", "sponsored by", "paid for by", "affiliate link", "bezahlte partnerschaft"),
    *("bezahlte werbung", "betaalde samenwerking"),
    *("colaboración pagada", "parceria paga", "partenariat rémunéré", "collaborazione retribuita"),
    *("プロモーションを含みます", "広告です", "#広告", "#광고", "협찬", "广告合作", "إعلان مدفوع", "на правах рекламы"),
)  # fmt: skip
AFFILIATE = ("aff=", "aff_id=", "affid=", "affiliate=", "affiliate_id=", "irclickid=", "awc=")


def judge(case: Case) -> Finding | None:
    """Refuses what calls itself advertising, or links for a commission, without X's label."""
    if case.draft.paid_partnership:
        return None
    found = terms_in(case.draft.text, SIGNS)
    if found:
        return RULE.finds(f"it says {found[0]} and bears no label")
    for link in links(case.draft.text):
        parts = link.lower().partition("?")[2].split("&")
        if any(part.startswith(AFFILIATE) for part in parts):
            return RULE.finds(f"its link pays a commission and it bears no label: {link}")
    return None
