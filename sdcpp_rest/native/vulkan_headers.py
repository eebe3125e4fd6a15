"""Downloads newer Vulkan headers than a distribution has: those of Debian 13's package, checked against its hash.

Headers are the same text for every machine, so the package serves any distribution.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

VERSION = "1.4.309"
SHA256 = "8d329d465e16168afff58b1bd0dd6db46aac2cc3f56054a481b25a04e90b345a"
_PACKAGE = "pool/main/v/vulkan-loader/libvulkan-dev_1.4.309.0-1_amd64.deb"
# The second keeps what the first has replaced.
_SOURCES = (
    f"https://deb.debian.org/debian/{_PACKAGE}",
    f"https://snapshot.debian.org/archive/debian/20250901T000000Z/{_PACKAGE}",
)
_FOLDERS = ("usr/include/vulkan/", "usr/include/vk_video/")
_PATIENCE_SECONDS = 60.0
_MOST_BYTES = 16 << 20

Log = Callable[[str], None]


class HeadersUnavailable(RuntimeError):
    """The headers could not be downloaded; the message says what else there is."""


def fetched_folder(home: Path) -> Path | None:
    """The folder of headers that was downloaded into ``home``, if one was."""
    folder = home / f"vulkan-headers-{VERSION}"
    return folder if (folder / "vulkan" / "vulkan_core.h").is_file() else None


def fetch_headers(home: Path, log: Log) -> Path:
    """The folder of the headers below ``home``; downloaded (1.5 MB) where they are not there yet.

    Raises HeadersUnavailable.
    """
    if (folder := fetched_folder(home)) is not None:
        return folder
    log(f"native library: fetching the Vulkan headers {VERSION}")
    package = _download()
    folder = home / f"vulkan-headers-{VERSION}"
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".headers-") as scratch:
        for name, content in _read_headers(package):
            path = Path(scratch) / "headers" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if not folder.exists():  # another process may have been faster
            (Path(scratch) / "headers").rename(folder)
    return folder


def _download() -> bytes:
    reasons = []
    for address in _SOURCES:
        try:
            with urllib.request.urlopen(address, timeout=_PATIENCE_SECONDS) as answer:
                package = bytes(answer.read(_MOST_BYTES))
        except OSError as error:
            reasons.append(f"{address}: {error}")
            continue
        if hashlib.sha256(package).hexdigest() == SHA256:
            return package
        reasons.append(f"{address}: it is not the package that was expected")
    raise HeadersUnavailable(
        f"the Vulkan headers could not be downloaded ({'; '.join(reasons)}): install LunarG's Vulkan SDK and set "
        "VULKAN_SDK, or name a folder of headers with CMAKE_ARGS=-DVulkan_INCLUDE_DIR=FOLDER"
    )


def _read_headers(package: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and content of each header in a Debian package: an ``ar`` archive with a tar archive in it."""
    data = next(content for name, content in _read_members(package) if name.startswith("data.tar"))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if member.isfile() and name.startswith(_FOLDERS) and (opened := archive.extractfile(member)) is not None:
                yield name.removeprefix("usr/include/"), opened.read()


def _read_members(package: bytes) -> Iterator[tuple[str, bytes]]:
    position = len(b"!<arch>\n")
    while position + 60 <= len(package):
        head = package[position : position + 60]
        size = int(head[48:58])
        yield head[:16].decode("ascii").strip().rstrip("/"), package[position + 60 : position + 60 + size]
        position += 60 + size + size % 2
