"""Changes how many CPU threads compute, between two steps of a run or between two runs; no model is loaded again.

A model is loaded with a number of threads, and the library's API cannot change it. But it tells the CPU backend the
number before each graph, through a function that the guard stands in for. Pictures do not depend on the number.
"""

from __future__ import annotations

from sdcpp_rest.native.library import Library


class CpuThreads:
    """Chooses the threads of one library. Thread-safe.

    ``can_choose``: false where the library's registry is of a version that we do not know; then every model computes
    with the threads that it was loaded with.
    """

    def __init__(self, library: Library) -> None:
        self._guard = library.guard
        ggml = library.cdll
        registries = [ggml.ggml_backend_reg_get(index) for index in range(ggml.ggml_backend_reg_count())]
        cpu = next((one for one in registries if ggml.ggml_backend_reg_name(one) == b"CPU"), None)
        self.can_choose = cpu is not None and self._guard.take_threads(cpu)

    def choose(self, count: int) -> None:
        """Compute with ``count`` threads from the next graph on; 0: with what the model was loaded with."""
        self._guard.choose_threads(count)

    @property
    def used(self) -> int:
        """Threads that the last graph was computed with; 0 before the first one."""
        return self._guard.used_threads
