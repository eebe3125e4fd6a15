"""Builds the queries behind the gallery: which pictures pass a filter, in which order, how many, of which days.

Knows the tables. Knows nothing of transactions: the store runs these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any

from sdcpp_rest.core.gallery import GalleryFilter, GalleryOrder, Seat, is_searchable
from sdcpp_rest.store.job_rows import storable

COLUMNS = (
    "id, place, deleted_at, is_starred, rating, board, path, folder, job_id, number, taken_ms, kind, size_bytes, "
    "modified_ns, width, height, frames, duration, prompt, negative_prompt, title, model, architecture, seed, loras, "
    "fold"
)
Query = tuple[str, dict[str, Any]]
DAY_MS = 86_400_000

_TOGETHER = "coalesce(fold, id)"

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


def folded_page(wanted: GalleryFilter, order: GalleryOrder, limit: int, after: Seat | None, offset: int) -> Query:
    """As `page`, of the newest of those that belong together."""
    heads, named = _heads(wanted, after)
    direction, sign = ("DESC", "<") if order == "desc" else ("ASC", ">")
    where = ""
    if after is not None:
        where = f"WHERE (taken_ms, id) {sign} (:seat_ms, :seat_id)"
        named |= {"seat_ms": after.taken_ms, "seat_id": after.id}
    found = f"SELECT id FROM ({heads}) {where} ORDER BY taken_ms {direction}, id {direction} LIMIT :limit OFFSET :skip"
    rows = f"SELECT {COLUMNS} FROM pictures WHERE id IN ({found}) ORDER BY taken_ms {direction}, id {direction}"
    return rows, {**named, "limit": limit, "skip": offset}


def count_folded(wanted: GalleryFilter) -> Query:
    """How many rows `folded_page` has in all, and how many pictures."""
    where, named = _where(wanted)
    return f"SELECT count(DISTINCT {_TOGETHER}), count(*) FROM pictures WHERE {where}", named


def ids_by_fold(wanted: GalleryFilter, folds: Sequence[str | None], after: Seat | None) -> Query:
    """What names some that belong together, and the id of each; newest first."""
    where, named = _until(wanted, after)
    known = {f"fold{number}": fold for number, fold in enumerate(folds) if fold is not None}
    places = ", ".join(f":{name}" for name in known)
    return (
        f"SELECT fold, id FROM pictures WHERE {where} AND fold IN ({places}) ORDER BY taken_ms DESC, id DESC",
        {**named, **known},
    )


def ids(wanted: GalleryFilter, limit: int) -> Query:
    """The ids of those that pass, newest first."""
    where, named = _where(wanted)
    return f"SELECT id FROM pictures WHERE {where} ORDER BY taken_ms DESC, id DESC LIMIT :limit", {
        **named,
        "limit": limit,
    }


def days(wanted: GalleryFilter, zone_ms: int, is_folded: bool) -> Query:
    """Days since 1970, in a zone that many milliseconds east of UTC -> how many pictures, or rows of `folded_page`,
    newest first."""
    where, named = _where(wanted)
    counted = f"({_heads(wanted, None)[0]})" if is_folded else f"pictures WHERE {where}"
    day = f"(taken_ms + :zone_ms) / {DAY_MS}"
    return f"SELECT {day}, count(*) FROM {counted} GROUP BY 1 ORDER BY 1 DESC", {
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


def _heads(wanted: GalleryFilter, after: Seat | None) -> Query:
    """The moment and the id of the newest of those that belong together. With one `max` SQLite takes the other columns
    from the row that has it; of two of one moment the same one each time: rows come in the order of an index."""
    where, named = _until(wanted, after)
    return f"SELECT max(taken_ms) AS taken_ms, id FROM pictures WHERE {where} GROUP BY {_TOGETHER}", named


def _until(wanted: GalleryFilter, after: Seat | None) -> Query:
    where, named = _where(wanted)
    if after is None or after.until_ms is None:
        return where, named
    return f"{where} AND taken_ms <= :until_ms", {**named, "until_ms": after.until_ms}


def _where(wanted: GalleryFilter) -> Query:
    named: dict[str, Any] = {}
    # Both of its places, or the one: either way the narrow index is read from one end.
    found = ["place IN ('bin', 'job_bin')" if wanted.is_deleted else "place = 'shown'"]
    for name in _EQUAL:
        value = getattr(wanted, name)
        if value is not None:
            found.append(f"{name} = :{name}")
            named[name] = storable(value) if isinstance(value, str) else value
    if wanted.group is not None:
        found.append("fold = :fold")
        named["fold"] = storable(wanted.group)
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
