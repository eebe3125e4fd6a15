"""What keeps `make test-fast` fast."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys

import pytest


def test_a_test_that_is_not_marked_starts_no_interpreter() -> None:
    with pytest.raises(AssertionError, match=r"mark it with @pytest\.mark\.slow"):
        subprocess.run([sys.executable, "-c", ""], check=True)
    with pytest.raises(AssertionError, match=r"mark it with @pytest\.mark\.slow"):
        multiprocessing.get_context("spawn").Process(target=print).start()
    assert subprocess.run(["true"], check=True).returncode == 0


@pytest.mark.slow
def test_a_test_that_is_marked_may() -> None:
    assert subprocess.run([sys.executable, "-c", ""], check=True).returncode == 0
