"""The sealed audit on a real Postgres and a real vault."""
