"""Which steps from line to line a call takes in this package."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import sdcpp_rest

_PACKAGE = str(Path(sdcpp_rest.__file__).parent)


class Coverage:
    """Gathers steps while it is entered. A step is a pair of lines of one function, as one number."""

    def __init__(self) -> None:
        self.steps: set[int] = set()
        self._numbers: dict[CodeType, int] = {}

    def run(self, call: Callable[[], None]) -> set[int]:
        """The steps that ``call`` takes, also where it raises, which it may."""
        self.steps = set()
        sys.settrace(self._enter)
        try:
            call()
        finally:
            sys.settrace(None)
        return self.steps

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        number = self._numbers.get(code)
        if number is None:
            number = len(self._numbers) + 1 if code.co_filename.startswith(_PACKAGE) else 0
            self._numbers[code] = number
        if not number:
            return None
        base, before, steps = number << 40, 0, self.steps

        def step(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal before
            if event == "line":
                line = frame.f_lineno
                steps.add(base | before << 20 | line)
                before = line
            return step

        return step
