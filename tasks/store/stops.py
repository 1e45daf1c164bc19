"""Stops: a person's word that nothing goes out, for the fleet, an app, a label or a bot."""

from sqlalchemy import Column, ForeignKey, Table, Text

from tasks.store.base import Id, Instant, app_now, metadata, new_id

stops = Table(
    "stops",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("scope", Text, nullable=False),
    Column("x_app_id", Id, ForeignKey("x_apps.id")),
    Column("label", Text),
    Column("bot_id", Id, ForeignKey("bots.id")),
    Column("reason", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=app_now),
    Column("ends_at", Instant),
    Column("lifted_at", Instant),
    Column("lifted_by", Text),
)
