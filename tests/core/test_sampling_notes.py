from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from sdcpp_rest.core.sampling import SAMPLERS, SCHEDULERS
from sdcpp_rest.core.sampling_notes import SAMPLER_NOTES, SCHEDULER_NOTES


@pytest.mark.parametrize(("names", "notes"), [(SAMPLERS, SAMPLER_NOTES), (SCHEDULERS, SCHEDULER_NOTES)])
def test_every_name_has_one_sentence_and_no_other_name_has(names: Sequence[str], notes: Mapping[str, str]) -> None:
    assert sorted(notes) == sorted(names)
    assert all(10 < len(note) < 200 and note.endswith(".") for note in notes.values())
