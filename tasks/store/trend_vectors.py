"""What trends are compared by: a headline beside the name, and the vector of both, one a name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, LargeBinary, Table, Text, text
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import metadata, values

trend_vectors = Table(
    "trend_vectors",
    metadata,
    Column("name_id", BigInteger, ForeignKey("trend_names.id", ondelete="CASCADE"), primary_key=True),
    Column("headline", Text),
    Column("model", Text),
    Column("vector", LargeBinary),
    CheckConstraint("(model IS NULL) = (vector IS NULL)"),
)


@dataclass(frozen=True, slots=True)
class Current:
    """A trend that stands on a list; `vector` is None as long as the model has not seen it."""

    name_id: int
    shown: str
    language: str | None
    url: str | None
    headline: str | None
    score: float
    parts: Sequence[Mapping[str, Any]]
    vector: bytes | None


async def note_headlines(session: AsyncSession, headlines: Mapping[str, str]) -> None:
    """Keep the first headline of each name, by its canonical form."""
    await session.execute(
        text(
            "INSERT INTO trend_vectors (name_id, headline)"
            " SELECT name.id, one.headline"
            " FROM unnest(CAST(:names AS text[]), CAST(:headlines AS text[])) AS one (name, headline)"
            " JOIN trend_names AS name USING (name) ORDER BY name.id ON CONFLICT DO NOTHING"
        ),
        {"names": list(headlines), "headlines": list(headlines.values())},
    )


async def current(session: AsyncSession, model: str, limit: int) -> Sequence[Current]:
    """Trends that stood on a list when they were scored last, the highest score first."""
    found = await session.execute(
        text(
            "SELECT score.name_id, name.shown, name.language, name.url, compared.headline, score.score, score.parts,"
            " CASE WHEN compared.model = :model THEN compared.vector END AS vector"
            " FROM trend_scores AS score JOIN trend_names AS name ON name.id = score.name_id"
            " LEFT JOIN trend_vectors AS compared ON compared.name_id = score.name_id"
            " WHERE score.scored_at = (SELECT max(scored_at) FROM trend_scores)"
            " ORDER BY score.score DESC, score.cluster LIMIT :limit"
        ),
        {"model": model, "limit": limit},
    )
    return [Current(**values(row)) for row in found]


async def keep(session: AsyncSession, model: str, vectors: Mapping[int, bytes]) -> None:
    """Keep the vectors of names."""
    await session.execute(
        text(
            "INSERT INTO trend_vectors (name_id, model, vector)"
            " SELECT name.id, :model, one.vector"
            " FROM unnest(CAST(:ids AS bigint[]), CAST(:vectors AS bytea[])) AS one (id, vector)"
            " JOIN trend_names AS name USING (id) ORDER BY name.id"
            " ON CONFLICT (name_id) DO UPDATE SET model = excluded.model, vector = excluded.vector"
        ),
        {"model": model, "ids": list(vectors), "vectors": list(vectors.values())},
    )
