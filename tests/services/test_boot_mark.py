"""After a power cut nothing of the spool is believed; after a kill all of it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdcpp_rest.services import boot_mark
from sdcpp_rest.services.boot_mark import KEY, BootMark, read_boot
from tests.services.conftest import House


def test_mark_tells_another_run_of_the_machine(house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = house.runtime.settings.store
    settings.delete(KEY)
    assert BootMark(settings).is_same(), "nothing is known of the last one: as before there was a mark"
    BootMark(settings).put()
    assert BootMark(settings).is_same()
    monkeypatch.setattr(boot_mark, "_BOOT_ID", tmp_path / "boot_id")
    (tmp_path / "boot_id").write_text("another\n")
    mark = BootMark(settings)
    assert not mark.is_same()
    mark.put()
    assert BootMark(settings).is_same()


def test_machine_without_a_boot_id_has_the_time_of_its_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(boot_mark, "_BOOT_ID", tmp_path / "none")
    assert read_boot() == read_boot()
    assert read_boot().isdigit()
