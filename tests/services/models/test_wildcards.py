"""Wildcards are text files that people write by hand, and that clients may write, but only in their folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sdcpp_rest.errors import InvalidRequest, NotFound
from sdcpp_rest.services.models.wildcards import MAX_BYTES, WildcardNotStored, Wildcards, clean_name
from tests.cases import for_each_case


@pytest.fixture
def wildcards(tmp_path: Path) -> Wildcards:
    return Wildcards(tmp_path)


def put(models_dir: Path, name: str, content: bytes | str) -> Path:
    path = models_dir / "wildcards" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_no_folder_is_no_wildcards(wildcards: Wildcards) -> None:
    assert wildcards.names() == []
    with pytest.raises(NotFound, match="Wildcard not found: x"):
        wildcards.read("x")


def test_names_are_paths_without_the_ending(tmp_path: Path, wildcards: Wildcards) -> None:
    for name in ("b.txt", "A/deep/c.txt", "v1.5.txt", "no.md", ".hidden.txt", ".git/x.txt", "line\nbreak.txt"):
        put(tmp_path, name, "x")
    assert wildcards.names() == ["A/deep/c", "b", "v1.5"]
    assert wildcards.read("A/deep/c").options == ("x",)
    assert wildcards.read("v1.5").name == "v1.5"


def test_lines_become_entries(tmp_path: Path, wildcards: Wildcards) -> None:
    text = "\ufeffred # a colour\r\n\r\n  dark blue  \r\n# nothing\nfirst\\nsecond\n<random:a,b>\0\n \\n \nlast"
    put(tmp_path, "x.txt", text)
    found = wildcards.read("x")
    assert found.options == ("red", "dark blue", "first\nsecond", "<random:a,b>", "last")
    assert found.text.startswith("red # a colour\n\n  dark blue  \n# nothing\n")
    assert found.preview is None


def test_what_is_not_utf_8_does_not_hurt(tmp_path: Path, wildcards: Wildcards) -> None:
    put(tmp_path, "x.txt", b"caf\xe9\nok")
    assert wildcards.read("x").options == ("caf\ufffd", "ok")


def test_changed_file_is_read_again(tmp_path: Path, wildcards: Wildcards) -> None:
    path = put(tmp_path, "x.txt", "one")
    assert wildcards.read("x") is wildcards.read("x")
    path.write_text("other")
    assert wildcards.read("x").options == ("other",)
    path.unlink()
    with pytest.raises(NotFound):
        wildcards.read("x")


def test_too_large_file_is_refused(tmp_path: Path, wildcards: Wildcards) -> None:
    path = put(tmp_path, "x.txt", "")
    os.truncate(path, MAX_BYTES + 1)
    with pytest.raises(InvalidRequest, match=f"wildcard x: {MAX_BYTES + 1} bytes are too many; at most {MAX_BYTES}"):
        wildcards.read("x")
    with pytest.raises(InvalidRequest, match=r"options: .* bytes are too many"):
        wildcards.write("y", "x" * (MAX_BYTES + 1))


def test_large_wildcards_do_not_pile_up(tmp_path: Path, wildcards: Wildcards, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdcpp_rest.services.models.wildcards._KEPT_CHARACTERS", 10)
    for name in "abc":
        put(tmp_path, f"{name}.txt", name * 6)
    kept = [wildcards.read(name) for name in "abc"]
    assert wildcards.read("c") is kept[2]
    assert wildcards.read("a") is not kept[0]
    assert wildcards.read("a").options == ("aaaaaa",)


@pytest.mark.parametrize(
    "name", ["../secret", "..", "", "/", "a//b", "/etc/passwd", ".hidden", "a/../b", "a\0b", "x" * 3_000, "folder"]
)
def test_names_that_no_list_shows_are_not_there(tmp_path: Path, wildcards: Wildcards, name: str) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    put(tmp_path, ".hidden.txt", "x")
    put(tmp_path, "folder.txt/x.txt", "x")
    with pytest.raises(NotFound):
        wildcards.read(name)
    with pytest.raises(NotFound):
        wildcards.delete(name)


def test_written_wildcard_is_read_back(tmp_path: Path, wildcards: Wildcards) -> None:
    assert wildcards.write("new/colours", "red\nblue") == "new/colours"
    assert wildcards.read("new/colours").options == ("red", "blue")
    assert wildcards.read("new/colours").preview is None
    wildcards.write("new/colours", "green", b"jpeg")
    found = wildcards.read("new/colours")
    assert found.options == ("green",)
    assert found.preview == tmp_path / "wildcards" / "new" / "colours.jpg"
    assert found.preview.read_bytes() == b"jpeg"
    assert sorted(path.name for path in found.preview.parent.iterdir()) == ["colours.jpg", "colours.txt"]


def test_deleted_wildcard_is_gone_with_its_preview(tmp_path: Path, wildcards: Wildcards) -> None:
    wildcards.write("x", "red", b"jpeg")
    wildcards.delete("x")
    assert wildcards.names() == []
    assert list((tmp_path / "wildcards").iterdir()) == []
    with pytest.raises(NotFound):
        wildcards.delete("x")


@for_each_case(
    ("name", "cleaned"),
    [
        ("colours", "colours"),
        ("/a\\b/c", "a/b/c"),
        ("../../etc/passwd", "etc/passwd"),
        ('<>:"|?*~&@;#$^a.b', "ab"),
        (" a / b ", "a/b"),
        ("a\nb\u2028", "ab"),
        ("größe/日本", "größe/日本"),
        ("a\ud800b", "ab"),
    ],
)
def test_names_lose_what_they_cannot_hold(name: str, cleaned: str) -> None:
    assert clean_name(name) == cleaned


@for_each_case("name", ["", "///", "...", "<>", "a" * 201, "é" * 101, "/".join("a" * 17)])
def test_names_without_anything_left_are_refused(wildcards: Wildcards, name: str) -> None:
    with pytest.raises(InvalidRequest, match="is no name for a wildcard") as error:
        wildcards.write(name, "x")
    assert error.value.detail["field"] == "name"


def test_links_are_read_and_never_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "far.txt").write_text("far")
    folder = put(tmp_path / "models", "near.txt", "near").parent
    (folder / "link").symlink_to(outside)
    (folder / "file.txt").symlink_to(outside / "far.txt")
    (folder / "loop").symlink_to(folder)
    following, staying = Wildcards(tmp_path / "models"), Wildcards(tmp_path / "models", follow_links=False)
    assert following.names() == ["file", "link/far", "near"]
    assert following.read("link/far").options == ("far",)
    assert staying.names() == ["near"]
    for name in ("link/far", "file"):
        with pytest.raises(NotFound):
            staying.read(name)
    for write in (lambda: following.write("link/new", "x"), lambda: following.delete("link/far")):
        with pytest.raises(InvalidRequest, match="'link' is a link out of the folder"):
            write()
    following.write("file", "mine")
    assert (outside / "far.txt").read_text() == "far"
    assert following.read("file").options == ("mine",)


def test_folder_that_cannot_be_written_is_told(tmp_path: Path, wildcards: Wildcards) -> None:
    (tmp_path / "wildcards").write_text("a file is in the way")
    with pytest.raises(WildcardNotStored, match="could not be stored"):
        wildcards.write("x", "red")
