"""Functions of one text as steps. What each returns says what it does: bool keeps or drops, float scores, str edits."""

import pyarrow as pa
import pyarrow.compute as pc


def no_ads(text: str) -> bool:
    """Keep what sells nothing."""
    return "buy now" not in text.lower()


def letters(text: str) -> float:
    """Share of characters that are letters."""
    return sum(character.isalpha() for character in text) / max(1, len(text))


def without_likes(text: str) -> str:
    """The text without the counter at its end."""
    return text.rsplit("\n", 1)[0] if text.endswith("likes") else text


def not_short(batch: pa.RecordBatch, least: int = 20) -> pa.Array:
    """Of a whole batch at once, as the step `filter` calls it: which documents have `least` characters."""
    return pc.greater_equal(pc.utf8_length(batch.column("text")), least)
