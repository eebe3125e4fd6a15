"""The sockets' tests speak to the same house as the routes' tests."""

from __future__ import annotations

from tests.routes.conftest import client, house, make_house, make_served, next_event, served, shared_client
from tests.web.watched_calls import watch

__all__ = ["client", "house", "make_house", "make_served", "next_event", "served", "shared_client", "watch"]
