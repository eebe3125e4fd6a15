"""The examples of the client's page run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.model_files import safetensors_bytes, write
from tests.routes.conftest import ServedHouse

PAGE = Path(__file__).parents[2] / "docs" / "client.md"
ADDRESS = "http://127.0.0.1:8080"


@pytest.mark.slow
def test_examples_of_the_page_run(
    served: ServedHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 6
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "style.safetensors", safetensors_bytes({"a.weight": (64, 64)}))
    for block in blocks:
        told = re.sub(r"\bClient\(\)", f'Client("{ADDRESS}")', block).replace(ADDRESS, served.url)
        told = told.replace("AsyncClient()", f'AsyncClient("{served.url}")')
        exec(compile(told, str(PAGE), "exec"), {"__name__": "__main__"})
    said = capsys.readouterr().out
    assert "completed\n" in said
    assert "400 steps steps must be" in said
    assert "style.safetensors" in said
