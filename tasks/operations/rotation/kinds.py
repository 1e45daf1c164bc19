"""The kinds that the recipe rotates, in the order in which it does: what reaches least goes first.

X's user tokens are not among them: each refresh is a create, set, test and finish of its own (R1 to R8), and
`fresh_token` alone does it.
"""

from collections.abc import Mapping

from tasks.operations.rotation.api_keys import ApiKeys
from tasks.operations.rotation.data_keys import DataKeys
from tasks.operations.rotation.database_logins import DatabaseLogins
from tasks.operations.rotation.jwt_keys import JwtKeys
from tasks.operations.rotation.kind import Kind
from tasks.operations.rotation.x_app_keys import XAppKeys

_IN_ORDER: tuple[Kind, ...] = (ApiKeys(), DataKeys(), JwtKeys(), DatabaseLogins(), XAppKeys())
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _IN_ORDER}
