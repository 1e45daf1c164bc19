"""What every store file stands on: one MetaData, and the words all statements share."""

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, Double, MetaData, cast, func, text
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.ext.asyncio import AsyncSession

metadata = MetaData()

Instant = DateTime(timezone=True)
Id = UUID(as_uuid=True)
Json = JSONB(none_as_null=True)

# The only clock that SQL may ask.
app_now = func.app_now(type_=Instant)
new_id = func.uuid_v7(type_=Id)


async def now(session: AsyncSession) -> datetime:
    """The instant by the database's clock, which every host shares."""
    found: datetime = (await session.execute(text("SELECT app_now()"))).scalar_one()
    return found


async def rate(session: AsyncSession) -> float:
    """How many seconds of app_now() pass in one real second; 1 unless the sandbox's clock is sped up."""
    found: float = (await session.execute(text("SELECT rate FROM app_clock"))).scalar_one()
    return found


def real_seconds_until(*instants: Any) -> Any:
    """Real seconds to the first of these instants, NULL where there is none."""
    seconds = func.extract("epoch", func.least(*instants) - app_now) / func.extract("epoch", func.app_span(1.0))
    return cast(seconds, Double)


def values(row: Any) -> dict[str, Any]:
    """A result row as a dict by column name."""
    return dict(row._mapping)
