"""Refuses to start Python interpreters where tests have to be quick."""

from __future__ import annotations

import contextlib
import multiprocessing.process
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest


@contextlib.contextmanager
def no_interpreters() -> Iterator[None]:
    """Starting an engine process, or ``sys.executable``, raises AssertionError that says what to do."""
    popen = subprocess.Popen.__init__

    def refuse(*arguments: Any, **named: Any) -> None:
        raise AssertionError("this test starts a Python interpreter: mark it with @pytest.mark.slow")

    def start_others(self: Any, args: Any, *arguments: Any, **named: Any) -> None:
        command = [args] if isinstance(args, str) else list(args)
        if command[0] == sys.executable:
            refuse()
        popen(self, args, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", start_others)
        patch.setattr(multiprocessing.process.BaseProcess, "start", refuse)
        yield
