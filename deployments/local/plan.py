"""The parts of the stack and what each waits for; a part that has an address in the settings is somebody else's."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from config.places import Places
from deployments.local import (
    database_engine,
    databases,
    openbao,
    postgres,
    prefect_server,
    programs,
    registration,
    rehearsal_app,
    vault_provisioning,
    work_pool,
    worker,
)
from deployments.local.child import Child


@dataclass(frozen=True)
class Part:
    """A child to keep alive or a step to do once, after the parts it names; names that are not in the plan are done."""

    name: str
    after: tuple[str, ...] = ()
    child: Child | None = None
    step: Callable[[], None] | None = None


def parts(places: Places) -> Iterator[Part]:
    """Everything that `up` starts or does, in an order in which it could be done one by one."""
    settings = places.settings
    if not settings.postgres.address:
        yield Part("postgres", child=postgres.child(places))
    if not settings.vault.address:
        yield Part("openbao", child=openbao.child(places))
    if places.x_is_sandbox and find_spec("deployments.x_sandbox.__main__"):
        yield Part("x-sandbox", child=programs.x_sandbox(places))
    yield Part("secrets", ("openbao",), step=lambda: vault_provisioning.provision(places))
    password = databases.passwords(places)
    yield Part("databases", ("postgres", "secrets"), step=lambda: databases.provision(places, password))
    yield Part("schema", ("databases",), step=lambda: databases.migrate(places, password))
    yield Part("logins", ("schema",), step=lambda: database_engine.provision(places, password))
    if not settings.prefect.api_url:
        yield Part("prefect", ("databases",), child=prefect_server.child(places))
    yield Part("work-pool", ("prefect",), step=lambda: work_pool.ensure(places))
    yield Part("deployments", ("work-pool",), step=lambda: registration.register(places))
    if find_spec("deployments.gateway.__main__"):
        yield Part("gateway", ("logins",), child=programs.gateway(places))
    if find_spec("deployments.local.clerk"):
        yield Part("clerk", ("logins",), child=programs.clerk(places))
    if places.x_is_sandbox:
        yield Part("rehearsal-app", ("gateway", "x-sandbox"), step=lambda: rehearsal_app.ensure(places))
    yield Part("worker", ("work-pool", "logins", "x-sandbox"), child=worker.child(places))
    started = ("worker", "deployments")
    yield Part("first-run", started, step=lambda: registration.start_first_run(places, registration.POSTING))
    # In a stack that was down for hours every access token has ended, and posts wait for new ones.
    yield Part("first-rotation", started, step=lambda: registration.start_first_run(places, registration.ROTATION))
