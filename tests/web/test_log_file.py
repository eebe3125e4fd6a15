"""The server's log lies where the settings say, and does not fill the disk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdcpp_rest.config import Config
from sdcpp_rest.web.log_file import log_to_file

LOG = logging.getLogger("sdcpp_rest.test")


@pytest.fixture
def open_log() -> Iterator[Callable[[Config], logging.Handler | None]]:
    opened: list[logging.Handler] = []

    def open_one(config: Config) -> logging.Handler | None:
        found = log_to_file(config)
        if found is not None:
            opened.append(found)
        return found

    yield open_one
    for one in opened:
        logging.getLogger().removeHandler(one)
        one.close()


def test_the_log_is_written_beside_the_engines_and_rotates(tmp_path: Path, open_log: Callable[..., object]) -> None:
    written = open_log(
        Config(paths={"data_dir": tmp_path, "log_dir": tmp_path / "logs"}, server={"log_max_bytes": 65_536})
    )
    assert isinstance(written, logging.Handler)
    LOG.warning("caf\u00e9")
    file = tmp_path / "logs" / "server.log"
    assert file.read_text(encoding="utf-8").endswith("WARNING sdcpp_rest.test: caf\u00e9\n")
    # Half of a character, as a client's words may have it; straight to the file, because pytest cannot keep it.
    written.handle(logging.makeLogRecord({"msg": "half \udcff", "name": "x", "levelname": "INFO"}))
    assert file.read_text(encoding="utf-8").endswith("INFO x: half \\udcff\n")
    for number in range(3000):
        written.handle(logging.makeLogRecord({"msg": f"line {number} " + "x" * 50}))
    assert sorted(found.name for found in file.parent.iterdir()) == ["server.log", "server.log.1"]
    assert all(found.stat().st_size <= 65_536 for found in file.parent.iterdir())


def test_a_folder_that_cannot_be_written_is_a_warning(
    tmp_path: Path, open_log: Callable[..., object], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "logs").write_bytes(b"a file")
    assert open_log(Config(paths={"data_dir": tmp_path, "log_dir": tmp_path / "logs"})) is None
    assert "server.log cannot be written" in caplog.text
