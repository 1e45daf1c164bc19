"""The media that this X was sent: what it is and how far its upload has come, never its bytes."""

from dataclasses import dataclass, field

from deployments.x_sandbox.clock import from_iso
from deployments.x_sandbox.ledger import Entry

MEGABYTE = 1024 * 1024
BYTES_MAX = {"tweet_image": 5 * MEGABYTE, "tweet_gif": 15 * MEGABYTE, "tweet_video": 512 * MEGABYTE}
KEY_PREFIXES = {"tweet_image": "3", "tweet_gif": "16", "tweet_video": "7"}
SHOWN_TYPES = {"tweet_image": "photo", "tweet_gif": "animated_gif", "tweet_video": "video"}


@dataclass(slots=True)
class Media:
    """One upload; `segments` are the sizes by index, `ready_at` is when its processing ends once it is finalized."""

    id: str
    account_id: str
    owners: frozenset[str]
    media_type: str
    category: str
    total_bytes: int
    expires_at: float
    segments: dict[int, int] = field(default_factory=dict)
    genuine: bool = True
    ready_at: float | None = None
    alt_text: str | None = None

    @property
    def key(self) -> str:
        """The name under which timelines show it."""
        return f"{KEY_PREFIXES[self.category]}_{self.id}"

    @property
    def size(self) -> int:
        """How many bytes have come."""
        return sum(self.segments.values())

    def state(self, now: float) -> str:
        """Pending before it is finalized, then X's words for its processing."""
        if self.ready_at is None:
            return "pending"
        if now < self.ready_at:
            return "in_progress"
        return "succeeded" if self.genuine else "failed"


class MediaStore:
    """Uploads by id."""

    def __init__(self) -> None:
        self.by_id: dict[str, Media] = {}

    def of_key(self, key: str) -> Media:
        """The upload that a post shows under this key."""
        return self.by_id[key.partition("_")[2]]

    def apply(self, entry: Entry) -> None:
        """Follow one step of an upload."""
        if entry["step"] == "initialize":
            self.by_id[entry["media_id"]] = Media(
                id=entry["media_id"],
                account_id=entry["account_id"],
                owners=frozenset({entry["account_id"], *entry["additional_owners"]}),
                media_type=entry["media_type"],
                category=entry["media_category"],
                total_bytes=entry["total_bytes"],
                expires_at=from_iso(entry["expires_at"]),
            )
            return
        media = self.by_id[entry["media_id"]]
        if entry["step"] == "append":
            media.segments[entry["segment_index"]] = entry["bytes"]
            media.genuine = entry.get("genuine", media.genuine)
        elif entry["step"] == "finalize":
            media.ready_at = from_iso(entry["ready_at"])
        else:
            media.alt_text = entry["alt_text"]
