"""Newer Vulkan headers come out of a Debian package whose sum is known. Nothing is downloaded here."""

from __future__ import annotations

import hashlib
import io
import tarfile
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.native import vulkan_headers
from sdcpp_rest.native.vulkan_headers import HeadersUnavailable, fetch_headers, fetched_folder

FILES = {
    "./usr/include/vulkan/vulkan_core.h": b"core",
    "./usr/include/vk_video/codec.h": b"codec",
    "./usr/share/doc/libvulkan-dev/copyright": b"no header",
}


def member(name: str, content: bytes) -> bytes:
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
    return head + content + b"\n" * (len(content) % 2)


def package(files: dict[str, bytes]) -> bytes:
    """A Debian package of these files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    data = packed.getvalue()
    return (
        b"!<arch>\n" + member("debian-binary", b"2.0\n1") + member("control.tar.xz", b"x") + member("data.tar.xz", data)
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes | OSError]:
    """What each address answers; by default none can be reached."""
    answers: dict[str, bytes | OSError] = dict.fromkeys(vulkan_headers._SOURCES, OSError("no network"))

    def urlopen(address: str, timeout: float) -> Any:
        answer = answers[address]
        if isinstance(answer, OSError):
            raise answer
        return io.BytesIO(answer)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    monkeypatch.setattr(vulkan_headers, "SHA256", hashlib.sha256(package(FILES)).hexdigest())
    return answers


@pytest.mark.parametrize("source", vulkan_headers._SOURCES)
def test_headers_of_the_package_are_unpacked_once(
    tmp_path: Path, asked: dict[str, bytes | OSError], source: str
) -> None:
    asked[source] = package(FILES)
    said: list[str] = []
    assert fetched_folder(tmp_path) is None
    folder = fetch_headers(tmp_path, said.append)
    assert folder == tmp_path / f"vulkan-headers-{vulkan_headers.VERSION}" == fetched_folder(tmp_path)
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.h")} == {
        "vulkan/vulkan_core.h",
        "vk_video/codec.h",
    }
    assert len(said) == 1
    asked[source] = OSError("no network")
    assert fetch_headers(tmp_path, said.append) == folder
    assert len(said) == 1
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_another_package_is_not_unpacked(tmp_path: Path, asked: dict[str, bytes | OSError]) -> None:
    asked[vulkan_headers._SOURCES[0]] = package({"./usr/include/vulkan/vulkan_core.h": b"evil"})
    with pytest.raises(HeadersUnavailable) as refused:
        fetch_headers(tmp_path, lambda line: None)
    said = str(refused.value)
    assert "it is not the package that was expected" in said
    assert "no network" in said
    assert "VULKAN_SDK" in said
    assert not [*tmp_path.iterdir()]


def test_addresses_are_secure_and_name_the_version() -> None:
    assert all(source.startswith("https://") for source in vulkan_headers._SOURCES)
    assert all(f"_{vulkan_headers.VERSION}." in source for source in vulkan_headers._SOURCES)
