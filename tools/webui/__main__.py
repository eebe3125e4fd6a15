"""The command line: `python -m tools.webui build`.

build [--if-possible]   the page into sdcpp_rest/webui_dist, when its sources have changed
types                   webui/src/api.d.ts, of the API as it is now
check                   style and types
test                    tests of its logic, its budgets, and in a browser
pictures                docs/pictures, of the page as it is now
inside ARCHIVE...       whether wheels and source distributions carry the page
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.webui import page
from tools.webui.node import PageError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.webui", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    builds = commands.add_parser("build")
    builds.add_argument("--if-possible", action="store_true", help="go on without a page where it cannot be built")
    for name in ("types", "check", "test", "pictures"):
        commands.add_parser(name)
    commands.add_parser("inside").add_argument("archives", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    try:
        if options.command == "build":
            build(options.if_possible)
        elif options.command == "inside":
            look_inside(options.archives)
        elif options.command == "types":
            from tools.webui.api_types import write_types  # reads the whole application

            write_types(tell)
        elif options.command == "pictures":
            from tools.webui.pictures import take_pictures

            take_pictures(tell)
        else:
            from tools.webui import checks

            (checks.check_style if options.command == "check" else checks.run_tests)(tell)
    except PageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def build(if_possible: bool) -> None:
    """Builds the page. With ``if_possible`` one line tells that it cannot be built. Raises PageError without."""
    try:
        page.build(tell)
    except PageError as error:
        if not if_possible:
            raise
        reason = str(error).splitlines()[0]
        is_there = (page.DIST / "index.html").is_file()
        result = "the one built before is served" if is_there else "the API is served without it"
        tell(f"web page: NOT built, {result} ({reason}; `make webui` tells more)")


def look_inside(archives: Sequence[Path]) -> None:
    """Raises PageError for the first archive without the page."""
    for archive in archives:
        if not page.has_page(archive):
            raise PageError(f"{archive.name} carries no web page: run `make webui` before it is built")
        tell(f"{archive.name}: carries the web page")


def tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
