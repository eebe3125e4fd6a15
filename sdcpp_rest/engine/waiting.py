"""Says how an engine's threads wait for each other: asleep, so that a busy machine computes instead of waiting.

OpenMP's threads wait at the end of every operation of a graph, thousands of times a step. By default they wait by
looking again and again; where another program has the core of the one that is waited for, that is time taken from it.
Measured in docs/cpu.md.
"""

from __future__ import annotations

from collections.abc import Mapping

# Whoever sets one of these has decided: OpenMP's own word, GCC's number and LLVM's (also Intel's).
_DECIDING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def waiting_environment(given: Mapping[str, str]) -> dict[str, str]:
    """Variables that an engine process needs before it loads the library; none where ``given`` has one of them."""
    return {} if any(name in given for name in _DECIDING) else {"OMP_WAIT_POLICY": "passive"}
