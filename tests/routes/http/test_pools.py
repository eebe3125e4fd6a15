from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sdcpp_rest.routes.http.pools import (
    blocking,
    blocking_when,
    drawing,
    pool_of,
    streaming,
    transfer,
    uploading,
)
from tests.cases import for_each_case


@for_each_case(
    ("mark", "pool"),
    [
        (blocking, "blocking"),
        (drawing, "drawing"),
        (streaming, "stream"),
        (transfer, "transfer"),
        (uploading, "upload"),
    ],
)
def test_a_mark_says_where_a_view_runs(mark: Callable[[Any], Any], pool: str) -> None:
    assert pool_of(mark(lambda: None)) == pool


def test_a_view_without_a_mark_is_short() -> None:
    assert pool_of(lambda: None) == "short"
    assert pool_of(None) == "short"


def test_a_body_may_make_a_view_wait() -> None:
    view = transfer(blocking_when(lambda body: b"slow" in body)(lambda: None))
    assert pool_of(view) == "transfer"
    assert pool_of(view, b"quick") == "transfer"
    assert pool_of(view, b"slow") == "blocking"
