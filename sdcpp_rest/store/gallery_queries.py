"""Builds the queries behind the gallery: which pictures pass a filter, in which order, how many, of which days.

Knows the tables. Knows nothing of transactions: the store runs these.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from sdcpp_rest.core.gallery import GalleryFilter, GalleryOrder, Seat, is_searchable
from sdcpp_rest.store.job_rows import storable

COLUMNS = (
    "id, place, deleted_at, is_starred, rating, board, path, folder, job_id, number, taken_ms, kind, size_bytes, "
    "modified_ns, width, height, frames, duration, prompt, negative_prompt, title, model, architecture, seed, loras"
)
Query = tuple[str, dict[str, Any]]
DAY_MS = 86_400_000

_EQUAL = ("model", "architecture", "kind", "board", "seed", "width", "height", "job_id")


def page(wanted: GalleryFilter, order: GalleryOrder, limit: int, after: Seat | None, offset: int) -> Query:
    """The rows of one page. The inner query finds them in the narrow index; only these rows are read."""
    where, named = _where(wanted)
    direction, sign = ("DESC", "<") if order == "desc" else ("ASC", ">")
    if after is not None:
        where += f" AND (taken_ms, id) {sign} (:seat_ms, :seat_id)"
        named |= {"seat_ms": after.taken_ms, "seat_id": after.id}
    found = (
        f"SELECT id FROM pictures WHERE {where} ORDER BY taken_ms {direction}, id {direction} LIMIT :limit OFFSET :skip"
    )
    rows = f"SELECT {COLUMNS} FROM pictures WHERE id IN ({found}) ORDER BY taken_ms {direction}, id {direction}"
    return rows, {**named, "limit": limit, "skip": offset}


def count(wanted: GalleryFilter) -> Query:
    """How many pass."""
    match = _match(wanted)
    if match and wanted == GalleryFilter(words=wanted.words, phrases=wanted.phrases):
        # Only what is shown is in the index of words: no row needs to be looked at.
        return "SELECT count(*) FROM pictures_text WHERE pictures_text MATCH :match", {"match": match}
    where, named = _where(wanted)
    return f"SELECT count(*) FROM pictures WHERE {where}", named


def ids(wanted: GalleryFilter, limit: int) -> Query:
    """The ids of those that pass, newest first."""
    where, named = _where(wanted)
    return f"SELECT id FROM pictures WHERE {where} ORDER BY taken_ms DESC, id DESC LIMIT :limit", {
        **named,
        "limit": limit,
    }


def days(wanted: GalleryFilter, zone_ms: int) -> Query:
    """Days since 1970, in a zone that many milliseconds east of UTC -> how many pictures, newest first."""
    where, named = _where(wanted)
    day = f"(taken_ms + :zone_ms) / {DAY_MS}"
    return f"SELECT {day}, count(*) FROM pictures WHERE {where} GROUP BY 1 ORDER BY 1 DESC", {
        **named,
        "zone_ms": zone_ms,
    }


def values(column: str, wanted: GalleryFilter, limit: int) -> Query:
    """The values of a column and how many pictures have each, the most frequent first."""
    where, named = _where(wanted)
    query = (
        f"SELECT {column}, count(*) AS n FROM pictures WHERE {where} AND {column} IS NOT NULL AND {column} != '' "
        f"GROUP BY 1 ORDER BY n DESC, 1 LIMIT :limit"
    )
    return query, {**named, "limit": limit}


def loras(wanted: GalleryFilter, limit: int) -> Query:
    """As `values`, of LoRAs."""
    where, named = _where(wanted)
    query = (
        "SELECT lora, count(*) AS n FROM picture_loras WHERE picture_id IN "
        f"(SELECT id FROM pictures WHERE {where}) GROUP BY lora ORDER BY n DESC, lora LIMIT :limit"
    )
    return query, {**named, "limit": limit}


def _where(wanted: GalleryFilter) -> Query:
    named: dict[str, Any] = {}
    # Both of its places, or the one: either way the narrow index is read from one end.
    found = ["place IN ('bin', 'job_bin')" if wanted.is_deleted else "place = 'shown'"]
    for name in _EQUAL:
        value = getattr(wanted, name)
        if value is not None:
            found.append(f"{name} = :{name}")
            named[name] = storable(value) if isinstance(value, str) else value
    if wanted.is_starred is not None:
        found.append(f"is_starred = {int(wanted.is_starred)}")
    if wanted.rating_min is not None:
        found.append("rating >= :rating_min")
        named["rating_min"] = wanted.rating_min
    if wanted.before is not None:
        found.append("taken_ms < :before")
        named["before"] = milliseconds(wanted.before)
    if wanted.after is not None:
        found.append("taken_ms >= :after")
        named["after"] = milliseconds(wanted.after)
    if wanted.lora is not None:
        found.append("id IN (SELECT picture_id FROM picture_loras WHERE lora = :lora)")
        named["lora"] = storable(wanted.lora)
    if match := _match(wanted):
        found.append("id IN (SELECT rowid FROM pictures_text WHERE pictures_text MATCH :match)")
        named["match"] = match
    if without := " OR ".join(_prefix(word) for word in wanted.without if is_searchable(word)):
        found.append("id NOT IN (SELECT rowid FROM pictures_text WHERE pictures_text MATCH :without)")
        named["without"] = without
    return " AND ".join(found), named


def milliseconds(moment: datetime) -> int:
    """Since 1970."""
    return int(moment.astimezone(timezone.utc).timestamp() * 1000)


def _match(wanted: GalleryFilter) -> str:
    """The filter's words in the index's own language. Each stands in quotes: its operators are words like any other."""
    phrases = (_quote(phrase) for phrase in wanted.phrases if is_searchable(phrase))
    return " AND ".join((*_prefixes(wanted.words), *phrases))


def _prefixes(words: Iterable[str]) -> list[str]:
    return [_prefix(word) for word in words if is_searchable(word)]


def _prefix(word: str) -> str:
    return f"{_quote(word)} *"


def _quote(word: str) -> str:
    return '"' + storable(word).replace('"', '""').replace("\0", " ") + '"'
