"""Lists who gets in where: every route, WebSocket and mount of every dialect, what a key needs for it, and what
strangers get. Documentation and tests are made of it; the server only follows the same marks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from sdcpp_rest.config.auth_section import Scope
from sdcpp_rest.routes.http.dialect import Dialect
from sdcpp_rest.routes.http.late_dialect import LateDialect
from sdcpp_rest.routes.http.open_views import how_open
from sdcpp_rest.routes.http.scopes import scope_of
from sdcpp_rest.services.pictures import picture_links
from sdcpp_rest.web.access import LOGIN_PATHS, OPEN_PATHS
from sdcpp_rest.web.app import DIALECTS, create_app, dialects_of

Strangers = Literal["nothing", "everything", "a short answer", "a way in", "the web page", "a signed link"]
"""What is there for a caller without a key, where keys are configured: the same as for everybody, less than that, what
signs in and out, the way to the web page for a browser, the picture of a link that this server has signed."""


@dataclass(frozen=True)
class AccessRow:
    """One place. ``method``: of HTTP, ``WebSocket``, or ``mount`` for an application that answers there and below.
    ``scope``: what a key needs there."""

    dialect: str
    url: str
    method: str
    scope: Scope
    strangers: Strangers


def access_table(dialects: Sequence[Dialect | LateDialect] = DIALECTS) -> list[AccessRow]:
    """Every place of ``dialects``, by dialect and URL. Raises LookupError for one that says nothing of who may call
    it."""
    return sorted(_rows(dialects), key=lambda row: (row.dialect, row.url, row.method))


def _rows(dialects: Sequence[Dialect | LateDialect]) -> Iterator[AccessRow]:
    app = create_app(None, dialects)
    table = dialects_of(app)
    owners = {blueprint.name: dialect.name for dialect in table.dialects for blueprint in dialect.blueprints}
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        dialect = owners[rule.endpoint.rpartition(".")[0]]
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            yield AccessRow(dialect, rule.rule, method, scope_of(view), _for_strangers(rule.rule, how_open(view)))
    for one in table.dialects:
        for path, handler in one.sockets.items():
            yield AccessRow(one.name, path, "WebSocket", scope_of(handler), "nothing")
        for path, make in one.mounts.items():
            yield AccessRow(one.name, path, "mount", scope_of(make), "nothing")


def _for_strangers(url: str, openness: Literal["closed", "sometimes", "always"]) -> Strangers:
    if url in OPEN_PATHS:
        return "a short answer"
    if url in LOGIN_PATHS:
        return "a way in"
    if url.startswith(picture_links.PREFIX):
        return "a signed link"
    told: dict[str, Strangers] = {"closed": "nothing", "sometimes": "the web page", "always": "everything"}
    return told[openness]
