"""The sockets' tests speak to the same house as the routes' tests."""

from __future__ import annotations

import pytest

from sdcpp_rest.web import half_closed
from tests.routes.conftest import client, house, make_house, make_served, next_event, served, shared_client
from tests.web.watched_calls import watch

__all__ = ["client", "house", "make_house", "make_served", "next_event", "served", "shared_client", "watch"]


@pytest.fixture
def short_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that have closed their half of the connection, and are there, are believed sooner."""
    monkeypatch.setattr(half_closed, "_DOUBT_SECONDS", 0.05)
