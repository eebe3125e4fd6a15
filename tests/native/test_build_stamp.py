from __future__ import annotations

from pathlib import Path

import pytest

from sdcpp_rest.native.build_stamp import STAMP_NAME, read_flags, read_stamp, stamped_backends


@pytest.mark.parametrize("stamp", [None, "", "not json", "[]", '{"flags": 3}', '{"flags": [3]}'])
def test_stamp_that_cannot_be_read_says_nothing(tmp_path: Path, stamp: str | None) -> None:
    if stamp is not None:
        (tmp_path / STAMP_NAME).write_text(stamp)
    assert read_flags(tmp_path) is None
    assert stamped_backends(tmp_path) == ()
    assert read_flags(None) is None
    assert read_stamp(None) == {}


def test_stamp_says_flags_and_what_was_set_aside(tmp_path: Path) -> None:
    (tmp_path / STAMP_NAME).write_text('{"flags": ["-DSD_CUDA=ON"], "set_aside": ["-DCMAKE_HIP_X=1"]}')
    assert read_flags(tmp_path) == ["-DSD_CUDA=ON"]
    assert read_flags(tmp_path, "set_aside") == ["-DCMAKE_HIP_X=1"]
    assert stamped_backends(tmp_path) == ("CUDA",)
