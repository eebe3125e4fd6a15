from __future__ import annotations

from sdcpp_rest.routes.swarmui.model_lists import REFRESH_SECONDS, RefreshGate


def test_refreshes_come_one_at_a_time() -> None:
    now = [100.0]
    gate = RefreshGate(lambda: now[0])
    entered = []
    for seconds in (0.0, 0.0, REFRESH_SECONDS - 0.1, 0.1, 0.0, REFRESH_SECONDS):
        now[0] += seconds
        entered.append(gate.enter())
    assert entered == [True, False, False, True, False, True]
