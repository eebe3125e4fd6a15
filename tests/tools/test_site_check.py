"""What `make site` looks for in the pages that it has built."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cases import for_each_case
from tools.site_check import complaints

GOOD = '<html><head><link rel="stylesheet" href="a.css"></head><body id="top"><a href="b.html#end">b</a></body></html>'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A site of two pages with nothing wrong."""
    (tmp_path / "a.html").write_text(GOOD)
    (tmp_path / "b.html").write_text('<h2 id="end">End</h2><a href="https://example.org/">elsewhere</a><a href="#end">')
    (tmp_path / "a.css").write_text("a { background: url('data:image/png;base64,AAAA') }")
    (tmp_path / "searchindex.js").write_text("x" * 2000)
    return tmp_path


def test_a_good_site_has_no_complaints(folder: Path) -> None:
    assert list(complaints(folder)) == []


@for_each_case(
    "loaded",
    [
        '<script src="https://cdn.example.org/x.js"></script>',
        '<script src="//cdn.example.org/x.js"></script>',
        '<link rel="preconnect" href="https://fonts.example.org">',
        '<img src="http://example.org/x.png">',
        '<img srcset="https://example.org/x.png 2x">',
        '<p style="background: url(https://example.org/x.png)">',
    ],
)
def test_what_is_loaded_from_elsewhere_is_told(tmp_path: Path, loaded: str) -> None:
    (tmp_path / "searchindex.js").write_text("x" * 2000)
    (tmp_path / "a.html").write_text(loaded)
    found = list(complaints(tmp_path))
    assert len(found) == 1
    assert found[0].startswith("a.html loads ")


def test_a_style_sheet_that_loads_from_elsewhere_is_told(folder: Path) -> None:
    (folder / "a.css").write_text('@import "https://fonts.example.org/css"; a { background: url(//x.example.org/y) }')
    assert list(complaints(folder)) == [
        "a.css loads https://fonts.example.org/css",
        "a.css loads //x.example.org/y",
    ]


def test_links_that_lead_nowhere_are_told(folder: Path) -> None:
    (folder / "a.html").write_text('<a href="c.html">c</a><a href="b.html#start">b</a>')
    assert list(complaints(folder)) == [
        "a.html leads to c.html, which is not there",
        "a.html leads to b.html#start, a place that is not there",
    ]


def test_a_site_without_a_search_or_without_pages_is_told(folder: Path, tmp_path: Path) -> None:
    (folder / "searchindex.js").unlink()
    assert list(complaints(folder)) == ["there is no index to search in"]
    empty = tmp_path / "empty"
    empty.mkdir()
    assert len(list(complaints(empty))) == 1
