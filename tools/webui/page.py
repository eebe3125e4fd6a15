"""Builds the web page into sdcpp_rest/webui_dist when its sources have changed, and looks into archives for it."""

from __future__ import annotations

import hashlib
import json
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tools.webui.node import ROOT, WEBUI, Log, Node, require_node, run_quietly

DIST = ROOT / "sdcpp_rest" / "webui_dist"
STAMP = ".built-from"
_SETUP = ("package.json", "package-lock.json", "index.html", "vite.config.ts", "svelte.config.js", "tsconfig.json")


def source_digest() -> str:
    """What the page is made of, as one number. Tests are no part of it."""
    digest = hashlib.sha256()
    for path in _sources():
        content = path.read_bytes()
        digest.update(f"{path.relative_to(WEBUI).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def reason_to_build() -> str | None:
    """Why the page should be built; None where it is what its sources say."""
    if not (DIST / "index.html").is_file():
        return "it is not built yet"
    try:
        built_from = (DIST / STAMP).read_text()
    except OSError:
        return "what it was built from is not known"
    return None if built_from == source_digest() else "its sources have changed"


def build(log: Log = print) -> None:
    """Builds the page unless it is up to date. Raises PageError, and then leaves an earlier page as it was."""
    reason = reason_to_build()
    if reason is None:
        return
    node = require_node(log)
    install_packages(node, log)
    log(f"web page: building ({reason})")
    digest = source_digest()
    with tempfile.TemporaryDirectory(dir=DIST.parent, prefix=".webui-") as scratch:
        made = Path(scratch) / "new"
        run_quietly(
            [str(node.program), "node_modules/vite/bin/vite.js", "build", "--outDir", str(made), "--emptyOutDir"],
            "building the web page",
            node.environment(),
        )
        (made / STAMP).write_text(digest)
        # Put in place as a whole: a server that runs meanwhile never sends half a page.
        if DIST.exists():
            DIST.rename(Path(scratch) / "old")
        made.rename(DIST)


def install_packages(node: Node, log: Log = print, for_tests: bool = False) -> None:
    """Installs the packages that package-lock.json names: those of the build (80 MB), for tests all (205 MB)."""
    if (WEBUI / "node_modules").is_symlink():  # somebody else's folder, who keeps it
        return
    if _are_installed(for_tests):
        return
    log(f"web page: installing the packages of its {'tests' if for_tests else 'build'} (some seconds)")
    leave_out = [] if for_tests else ["--omit=dev"]
    run_quietly(
        [*node.npm, "ci", *leave_out, "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1",
         "--fetch-retry-mintimeout=1000"],
        "installing the packages of the web page",
        node.environment(),
    )  # fmt: skip


def has_page(archive: Path) -> bool:
    """Whether a wheel or a source distribution carries the built page: its start, and a script."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as opened:
            names = opened.namelist()
    else:
        with tarfile.open(archive) as opened_tar:
            names = [name.partition("/")[2] for name in opened_tar.getnames()]
    folder = "sdcpp_rest/webui_dist"
    return f"{folder}/index.html" in names and any(
        name.startswith(f"{folder}/assets/") and name.endswith(".js") for name in names
    )


def _are_installed(for_tests: bool) -> bool:
    """Whether node_modules holds what package-lock.json names: npm writes down at its end what it has installed,
    which leaves out what is for other machines."""
    try:
        wanted, there = (
            json.loads(path.read_text())["packages"]
            for path in (WEBUI / "package-lock.json", WEBUI / "node_modules" / ".package-lock.json")
        )
    except (OSError, ValueError, KeyError):
        return False
    needed = [*wanted[""].get("dependencies", ()), *(wanted[""].get("devDependencies", ()) if for_tests else ())]
    return all(f"node_modules/{name}" in there for name in needed) and all(
        package.get("version") == wanted.get(path, {}).get("version") for path, package in there.items()
    )


def _sources() -> Iterator[Path]:
    yield from (WEBUI / name for name in _SETUP if (WEBUI / name).is_file())
    for folder in ("public", "src"):
        for path in sorted((WEBUI / folder).rglob("*")):
            if path.is_file() and not path.name.endswith(".test.ts"):
                yield path
