"""A handful of the hostile inputs of `make faults`, through every dialect of a real server."""

from __future__ import annotations

import random

import pytest

from benchmarks.served import Server
from tests.faults.hostile.command_line import NAME as COMMAND_LINE
from tests.faults.hostile.dialects import DIALECTS
from tests.faults.hostile.driver import Driver
from tests.faults.hostile_inputs import SETTINGS, all_inputs

pytestmark = [pytest.mark.e2e, pytest.mark.native]
_SLOW = ("{a|b", "a a a")  # prompts of thousands of tokens


def test_some_hostile_inputs_are_answered_with_sentences_and_do_no_harm() -> None:
    known, new = all_inputs(1)
    inputs = [one for one in [*known, *new] if not any(words in one.name for words in _SLOW)]
    with Server("native", 1, *SETTINGS) as server:
        server.wait_loaded()
        driver = Driver(server)
        tally = driver.try_all(random.Random(4).sample(inputs, 12), DIALECTS)
    assert tally.faults == []
    assert tally.engine_deaths == []
    assert tally.bad_good_jobs == []
    assert set(tally.by_dialect) <= {*DIALECTS, COMMAND_LINE}
    assert tally.outcomes["refused"] > 20
