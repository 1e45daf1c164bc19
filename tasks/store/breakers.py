"""Breakers: X's word that nothing more is taken for now, for an app or a bot."""

from sqlalchemy import Column, ForeignKey, Table, Text

from tasks.store.base import Id, Instant, app_now, metadata, new_id

breakers = Table(
    "breakers",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("x_app_id", Id, ForeignKey("x_apps.id")),
    Column("bot_id", Id, ForeignKey("bots.id")),
    Column("cause", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("opened_at", Instant, nullable=False, server_default=app_now),
    Column("ends_at", Instant),
    Column("closed_at", Instant),
    Column("closed_by", Text),
)
