"""The documentation's site, as far as it can be looked at without Sphinx (`make site` does the rest)."""

from __future__ import annotations

import importlib.util
import re
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).parents[2]


def site() -> Any:
    """docs/site/conf.py, which is Sphinx's and imports nothing of it."""
    spec = importlib.util.spec_from_file_location("site_conf", ROOT / "docs" / "site" / "conf.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_is_in_the_table_of_contents_once() -> None:
    names = [name for section in site().NAV.values() for name in section]
    pages = {path.relative_to(ROOT).with_suffix("").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    pages -= {site().root_doc}
    assert len(pages) >= 35
    told = {page: [name for name in names if fnmatch(page, name)] for page in pages}
    assert {page for page, found in told.items() if not found} == set(), "pages to add to docs/site/conf.py: NAV"
    assert {page: found for page, found in told.items() if len(found) > 1} == {}
    assert [name for name in names if "*" not in name and not (ROOT / f"{name}.md").is_file()] == []


def test_every_page_that_a_page_of_the_site_leads_to_is_one() -> None:
    conf = site()
    known = [conf.root_doc, *(name for section in conf.NAV.values() for name in section)]
    missing = set()
    for name in known:
        if "*" in name:
            continue
        page = ROOT / f"{name}.md"
        for target in re.findall(r"\]\(([^)#:]+\.md)[)#]", page.read_text(encoding="utf-8")):
            led_to = (page.parent / target).resolve().relative_to(ROOT).with_suffix("").as_posix()
            if not any(fnmatch(led_to, one) for one in known):
                missing.add(f"{name} -> {led_to}")
    assert missing == set(), "pages to add to docs/site/conf.py: NAV"


def test_the_first_page_gets_the_contents_and_no_other_page_does() -> None:
    conf, first, other = site(), ["# Start"], ["# Another"]
    conf.add_contents(SimpleNamespace(), conf.root_doc, first)
    conf.add_contents(SimpleNamespace(), "docs/gpu", other)
    assert other == ["# Another"]
    assert first[0].count("```{toctree}") == len(conf.NAV)
    assert "\n/docs/errors\n" in first[0]
    # A place that is kept for a page which is not there is left out; Sphinx would not know what is meant.
    kept = [name for names in conf.NAV.values() for name in names if "*" in name]
    assert [name for name in kept if f"/{name}\n" in first[0] and not any(ROOT.glob(f"{name}.md"))] == []


def test_no_page_needs_what_the_forge_does_not_show() -> None:
    """The pages are the forge's: no directives and no roles, which are blocks of code there."""
    for path in (ROOT / "docs").rglob("*.md"):
        text = path.read_text(encoding="utf-8")
        assert re.search(r"^(```|:::)\{", text, re.MULTILINE) is None, path.name
        assert re.search(r"\{(ref|doc|term|numref|download)\}`", text) is None, path.name


def test_pictures_that_the_pages_show_are_there_and_small() -> None:
    pictures = ROOT / "docs" / "pictures"
    shown: set[str] = set()
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        shown |= set(re.findall(r"!\[[^\]]*\]\([^)]*pictures/([\w.-]+)\)", path.read_text(encoding="utf-8")))
    assert shown == {path.name for path in pictures.iterdir()}
    assert sum(path.stat().st_size for path in pictures.iterdir()) < 1_000_000
