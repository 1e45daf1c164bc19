"""The bill: what was spent on this X, by whom and for what."""

from typing import Any

from deployments.x_sandbox.money import MILLIONTHS, Spent
from deployments.x_sandbox.state import Sandbox


def spending(sandbox: Sandbox) -> dict[str, Any]:
    """Dollars spent in all, by app and endpoint, and by account; `credits_usd` None is as much as it likes."""
    spent = sandbox.money.by_endpoint.values()
    return {
        "usd": sum(each.millionths for each in spent) / MILLIONTHS,
        "apps": _apps(sandbox),
        "accounts": _accounts(sandbox),
    }


def _apps(sandbox: Sandbox) -> list[dict[str, Any]]:
    endpoints: dict[str, dict[str, Spent]] = {client_id: {} for client_id in sandbox.apps.by_client_id}
    for (client_id, endpoint), spent in sandbox.money.by_endpoint.items():
        endpoints[client_id][endpoint] = spent
    return [
        {
            "client_id": client_id,
            "name": app.name,
            "usd": sum(spent.millionths for spent in endpoints[client_id].values()) / MILLIONTHS,
            "credits_usd": sandbox.money.left_usd(client_id),
            "posts_read_this_month": sandbox.money.read_in_month(client_id, sandbox.clock.now()),
            "endpoints": {
                name: {"usd": each.usd, "requests": each.requests} for name, each in endpoints[client_id].items()
            },
        }
        for client_id, app in sandbox.apps.by_client_id.items()
    ]


def _accounts(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Those accounts that spent something or have a balance."""
    money = sandbox.money
    bills = ((each, money.by_account.get(each.id, Spent())) for each in sandbox.accounts.by_id.values())
    return [
        {
            "username": account.username,
            "usd": spent.usd,
            "requests": spent.requests,
            "credits_usd": money.left_usd(account.id),
        }
        for account, spent in bills
        if spent.requests or money.left_usd(account.id) is not None
    ]
