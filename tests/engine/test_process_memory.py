"""What a process has in memory, as the system and psutil tell it."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from sdcpp_rest.engine import process_memory


def test_memory_of_this_process_is_what_psutil_says() -> None:
    assert process_memory.resident_bytes() == pytest.approx(psutil.Process().memory_info().rss, rel=0.05)


def test_a_system_without_proc_is_asked_by_psutil(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process_memory, "_STATM", tmp_path / "nowhere")
    assert process_memory.resident_bytes() == pytest.approx(psutil.Process().memory_info().rss, rel=0.05)


def test_what_is_left_is_less_than_there_is() -> None:
    assert 0 < process_memory.available_bytes() <= psutil.virtual_memory().total
