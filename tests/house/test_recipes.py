"""Every URL in docs/recipes.md, and every route that it says a client calls, is one that the server answers."""

from __future__ import annotations

import re
from pathlib import Path

from werkzeug.exceptions import HTTPException

from sdcpp_rest.routes.dialects import DialectTable
from sdcpp_rest.web.app import DIALECTS, create_app

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"
APP = create_app(None)
TABLE = DialectTable(DIALECTS)
URLS = APP.url_map.bind("127.0.0.1")
STANDS_FOR = {"ID", "JOB_ID", "PATH", "image_0.png", "CheckpointLoaderSimple", "local"}
_ADDRESS = re.compile(
    r"https?://(?:127\.0\.0\.1|host\.docker\.internal|192\.168\.1\.10):8080((?:\{\{.*?\}\}|[^\s`\"'<>|;,)])*)"
)
_CALL = re.compile(r"`(GET|POST|PUT|DELETE) (/[^`]*)`")
_SOCKET = re.compile(r"WebSocket `(/[^`]*)`")


def answers(method: str, path: str) -> bool:
    """Whether a route takes ``method`` at ``path``. What stands for something is in ``STANDS_FOR``: any other word must
    be the route's own, not the id of a job that happens to be called so."""
    try:
        _, values = URLS.match(bare_path(path), method=method)
    except HTTPException:
        return False
    return all(part in STANDS_FOR for value in values.values() for part in str(value).split("/"))


def bare_path(path: str) -> str:
    return re.sub(r"\{\{.*?\}\}", "ID", path).partition("?")[0]


def is_served(path: str) -> bool:
    """Whether some route is at ``path``, whatever its method, or below it: what a client calls a base URL."""
    bare = bare_path(path).rstrip("/")
    is_base = any(str(rule).startswith(f"{bare}/") for rule in APP.url_map.iter_rules())
    return is_base or bare in TABLE.mounts or any(answers(method, bare) for method in ("GET", "POST"))


def test_every_address_leads_to_a_route() -> None:
    found = _ADDRESS.findall(PAGE.read_text(encoding="utf-8"))
    assert len(found) >= 25
    assert [path for path in found if not is_served(path)] == []


def test_every_call_that_a_client_makes_is_answered() -> None:
    found = _CALL.findall(PAGE.read_text(encoding="utf-8"))
    assert len(found) >= 40
    assert [(method, path) for method, path in found if not answers(method, path)] == []


def test_every_websocket_is_there() -> None:
    found = _SOCKET.findall(PAGE.read_text(encoding="utf-8"))
    assert len(found) >= 3
    assert [path for path in found if not TABLE.socket_at(path.partition("?")[0])] == []


def test_a_route_that_is_not_there_is_noticed() -> None:
    assert not answers("POST", "/sdapi/v1/txt3img")
    assert not answers("GET", "/sdapi/v1/txt2img")
    assert not answers("GET", "/queue/summary")
    assert not is_served("/v2")
    assert not is_served("/mcpx")
