"""Reads moments that a query or a body names, in every spelling that the native API takes."""

from __future__ import annotations

from datetime import datetime, timezone

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import shorten

MOMENT = "a date (2024-01-31), a date with a time (2024-01-31T12:00:00Z) or seconds since 1970"


def read_moment(field: str, text: str | None) -> datetime | None:
    """The moment in UTC; ``None`` for none. Raises InvalidRequest."""
    if text is None:
        return None
    try:
        if text.replace(".", "", 1).isascii() and text.replace(".", "", 1).isdigit():
            return datetime.fromtimestamp(float(text), timezone.utc)
        # Python 3.10 does not know the Z; in a query, an unencoded plus sign arrives as a space.
        moment = datetime.fromisoformat(text.replace("Z", "+00:00").replace(" ", "+"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    except (ValueError, OverflowError, OSError):
        raise InvalidRequest(
            f'{field} must be {MOMENT}, got "{shorten(text)}"', field=field, value=shorten(text), allowed=MOMENT
        ) from None
