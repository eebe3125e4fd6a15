"""Makes the files of a release from the newest commit alone: ``python -m tools.release DIR``.

They are the same bytes on every machine: source distribution, wheel and SHA256SUMS. Times are the commit's; folder,
user, time zone and file modes of the machine that builds do not get in. The compiled guard is that of the compiler:
the same one gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = Path("sdcpp_rest/webui_dist")


class ReleaseError(Exception):
    """The files cannot be made; the sentence says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.release", description=__doc__)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    try:
        if changed := _git("status", "--porcelain"):
            raise ReleaseError(f"there are changes that no commit has:\n{changed}")
        subprocess.run([sys.executable, "-m", "tools.webui", "build"], cwd=ROOT, check=True)
        print(make_release(options.folder, ROOT / PAGE).read_text(), end="")
    except (ReleaseError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def make_release(folder: Path, page: Path) -> Path:
    """Build from the newest commit, with the web page in ``page``. Returns the list of SHA-256 sums.

    Raises subprocess.CalledProcessError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        source = _export(Path(scratch), page)
        command = [
            str(Path(sys.executable).with_name("uv")), "build", "--quiet", "--no-config", "--offline",
            "--no-build-isolation", "--no-create-gitignore", "--python", sys.executable,
            "--out-dir", str(folder.resolve()), str(source),
        ]  # fmt: skip
        epoch = _git("log", "-1", "--format=%ct")
        subprocess.run(command, env={**os.environ, "SOURCE_DATE_EPOCH": epoch}, umask=0o022, check=True)
    files = sorted(path for path in folder.iterdir() if path.suffix in (".whl", ".gz"))
    sums = folder / "SHA256SUMS"
    sums.write_text("".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files))
    return sums


def _export(scratch: Path, page: Path) -> Path:
    """The files of the commit, and of the page; nothing else that lies in the checkout."""
    archive = scratch / "commit.tar"
    subprocess.run(["git", "archive", "--format=tar", f"--output={archive}", "HEAD"], cwd=ROOT, check=True)
    source = scratch / "source"
    with tarfile.open(archive) as tar:
        # The commit's own modes, whatever the umask; 3.10's older patches have no filters.
        tar.extractall(source, **({"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}))
    shutil.copytree(page, source / PAGE)
    for path in (source / PAGE, *(source / PAGE).rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return source


def _git(*arguments: str) -> str:
    ran = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return ran.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
