"""Checks the documentation's site that `make site` has built: nothing in it is loaded from elsewhere, and every link to
a page or a file of the site leads somewhere. Needs nothing but Python.

usage: python tools/site_check.py FOLDER
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a browser fetches by itself. A link (<a href>) may lead anywhere: it is followed by a person.
_LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src",
           "embed": "src", "object": "data", "link": "href", "input": "src", "use": "href"}  # fmt: skip
_IN_STYLES = re.compile(r"@import\s+[\"']?([^\"';)]+)|url\(\s*[\"']?([^\"')]+)")
_MOST_BYTES = 12_000_000


class _Page(HTMLParser):
    """Notes what a page loads, where it leads, and its ids."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        self.ids.update(told[name] for name in ("id", "name") if name in told)
        if tag == "a" and "href" in told:
            self.links.append(told["href"])
        elif _LOADED.get(tag) in told:
            self.loaded.append(told[_LOADED[tag]])
        self.loaded += [address.split()[0] for address in told.get("srcset", "").split(",") if address.strip()]
        self.loaded += addresses_in_styles(told.get("style", ""))


def addresses_in_styles(text: str) -> list[str]:
    """The addresses that a style sheet loads."""
    return [(first or second).strip() for first, second in _IN_STYLES.findall(text)]


def complaints(folder: Path) -> Iterator[str]:
    """What is wrong with the site below ``folder``, a sentence each."""
    pages: dict[Path, _Page] = {}
    for path in sorted(folder.rglob("*.html")):
        if path.relative_to(folder).parts[0] != "_downloads":
            pages[path] = _Page()
            pages[path].feed(path.read_text(encoding="utf-8"))
    if not pages:
        yield f"{folder} has no pages"
        return
    for path, page in pages.items():
        name = path.relative_to(folder).as_posix()
        yield from (f"{name} loads {address}" for address in page.loaded if is_elsewhere(address))
        inside = [one for one in (*page.loaded, *page.links) if not urlsplit(one).scheme and not is_elsewhere(one)]
        for address in inside:
            parts = urlsplit(address)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                yield f"{name} leads to {address}, which is not there"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
                yield f"{name} leads to {address}, a place that is not there"
    for path in sorted(folder.rglob("*.css")):
        for address in addresses_in_styles(path.read_text(encoding="utf-8")):
            if is_elsewhere(address):
                yield f"{path.relative_to(folder).as_posix()} loads {address}"
    index = folder / "searchindex.js"
    if not index.exists() or len(index.read_bytes()) < 1000:
        yield "there is no index to search in"
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if size > _MOST_BYTES:
        yield f"the site has {size} bytes, more than {_MOST_BYTES}"


def is_elsewhere(address: str) -> bool:
    """Whether ``address`` is another host's."""
    return urlsplit(address).scheme in ("http", "https", "ws", "wss", "ftp") or address.startswith("//")


def main() -> int:
    folder = Path(sys.argv[1])
    found = list(complaints(folder))
    for one in found:
        print(f"error: {one}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
