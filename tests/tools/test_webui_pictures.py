"""The documentation's pictures: made small, and written only when all could be taken. Runs no browser."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from tools.webui import pictures
from tools.webui.node import PageError


class QuietNode:
    """Takes a picture of every page in every look; notes what it was asked to run."""

    def __init__(self, folder: Path, exit_code: int = 0) -> None:
        self.folder, self.exit_code = folder, exit_code
        self.ran: list[tuple[str, ...]] = []

    def run(self, *command: str, **_programs: str) -> int:
        self.ran.append(command)
        screens = self.folder / "test-results" / "screens"
        screens.mkdir(parents=True)
        for page in pictures.PAGES:
            for look in pictures.LOOKS:
                Image.effect_noise((320, 200), 40).convert("RGB").save(screens / f"docs-{page}-{look}.png")
        return self.exit_code


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> QuietNode:
    made = QuietNode(tmp_path)
    monkeypatch.setattr(pictures, "WEBUI", tmp_path)
    monkeypatch.setattr(pictures, "PICTURES", tmp_path / "pictures")
    monkeypatch.setattr(pictures, "require_node", lambda log: made)
    monkeypatch.setattr(pictures, "install_packages", lambda *_, **__: None)
    monkeypatch.setattr(pictures, "build", lambda log: None)
    monkeypatch.setattr(pictures, "browser_programs", lambda: {"CHROMIUM": "chromium"})
    return made


def test_every_page_is_kept_in_every_look_with_a_palette(node: QuietNode, tmp_path: Path) -> None:
    pictures.take_pictures(lambda line: None)
    assert "pictures.config.ts" in node.ran[0]
    kept = sorted((tmp_path / "pictures").iterdir())
    assert [path.name for path in kept] == sorted(f"{p}-{look}.png" for p in pictures.PAGES for look in pictures.LOOKS)
    assert {Image.open(io.BytesIO(path.read_bytes())).mode for path in kept} == {"P"}


def test_pictures_stay_when_not_all_could_be_taken(node: QuietNode, tmp_path: Path) -> None:
    node.exit_code = 1
    with pytest.raises(PageError, match="could not be photographed"):
        pictures.take_pictures(lambda line: None)
    assert not (tmp_path / "pictures").exists()


def test_pictures_that_are_too_large_are_not_kept(
    node: QuietNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "MOST_BYTES", 10_000)
    with pytest.raises(PageError, match="more than 10000"):
        pictures.take_pictures(lambda line: None)
    assert not (tmp_path / "pictures").exists()


def test_a_machine_without_a_browser_is_told(node: QuietNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "browser_programs", lambda: None)
    with pytest.raises(PageError, match="no Chromium"):
        pictures.take_pictures(lambda line: None)
    assert node.ran == []
