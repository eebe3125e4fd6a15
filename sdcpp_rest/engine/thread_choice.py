"""Chooses how many CPU threads compute, by how long the steps of runs take: pure logic, fed with seconds.

Steps of one run are alike, and the number of threads may change between two of them without a pixel changing. So the
question which number is fastest here and now is asked while pictures are drawn: some steps are made with half or twice
the threads. Nothing has to know what else the machine does, how many of its cores this process may use, or whether its
memory keeps up with them.
"""

from __future__ import annotations

import statistics
from collections import OrderedDict, deque
from collections.abc import Hashable

_USUAL_STEPS = 3
"""Steps whose median is what the chosen number takes."""
_TRIAL_STEPS = 2
"""Steps that another number is tried for."""
_HOPELESS = 1.5
"""A first step that takes so many times the usual one ends a trial."""
_CHANGED = 1.3
"""How many times longer, or shorter, steps take when the machine is busy with something else than before."""
_FASTER = 0.95
"""More threads must need less than this share of the time; fewer only must not need more."""
_CHANGE_STEPS = 8
"""Steps between two trials at least."""
_MORE_STEPS = 16
"""Steps after which more are tried again: one thread takes as long on an idle machine as beside a busy neighbour."""
_FEWER_STEPS = 64
_FEWER_SECONDS = 60.0
"""Both have to pass before fewer are tried that nothing calls for."""
_KINDS = 32
"""Kinds of runs that are remembered."""


class ThreadChoice:
    """Chooses a number of threads from 1 to ``most``; begins with ``most``.

    Halves it while steps take no longer, doubles it while they take less time: at the first steps, when steps have
    become slower or faster than they were, and from time to time. Not thread-safe.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.chosen = most
        self._threads = most
        self._kind: Hashable = None
        # What a step of a kind took when it was last looked at.
        self._known: OrderedDict[Hashable, float] = OrderedDict()
        self._usual: deque[float] = deque(maxlen=_USUAL_STEPS)
        self._tried: list[float] = []
        self._to_try: list[int] = []
        self._steps, self._seconds = 0, 0.0
        self._compared: tuple[int, float, float] | None = None

    @property
    def threads(self) -> int:
        """How many the next step is made with: those that are chosen, or tried."""
        return self._threads

    @property
    def why(self) -> str:
        """Why it is this number, in a sentence."""
        if self.most == 1:
            return "There is one core"
        if self._compared is None:
            return "Not measured yet: all cores"
        other, seconds, usual = self._compared
        return f"A step took {usual:.3g} s with {self.chosen} and {seconds:.3g} s with {other}"

    def begin(self, kind: Hashable) -> None:
        """A run begins; steps of the same ``kind`` (model and size) take equally long."""
        if kind != self._kind:
            self._kind = kind
            self._usual.clear()
            self._tried.clear()
            self._threads = self.chosen

    def take(self, seconds: float) -> None:
        """A step took ``seconds`` with `threads`."""
        self._steps += 1
        self._seconds += seconds
        if self._threads != self.chosen:
            self._judge_trial(seconds)
            return
        self._usual.append(seconds)
        if len(self._usual) == _USUAL_STEPS and (numbers := self._numbers_to_try()):
            self._begin_trials(numbers)

    def _numbers_to_try(self) -> list[int]:
        """Which numbers it is time to try, if any."""
        fewer = [self.chosen // 2] if self.chosen > 1 else []
        more = [min(2 * self.chosen, self.most)] if self.chosen < self.most else []
        if self._compared is None:
            return fewer
        now, before = statistics.median(self._usual), self._known.get(self._kind)
        if before is None:
            self._remember(now)
            return []
        if self._steps >= _CHANGE_STEPS and now > before * _CHANGED:
            return fewer + more
        has_sped_up = self._steps >= _CHANGE_STEPS and now * _CHANGED < before
        if has_sped_up or (self._steps >= _FEWER_STEPS and self._seconds >= _FEWER_SECONDS):
            return more + fewer
        return more if self._steps >= _MORE_STEPS else []

    def _remember(self, seconds: float) -> None:
        """What a step of this kind takes now: a change is seen by it."""
        self._known[self._kind] = seconds
        self._known.move_to_end(self._kind)
        if len(self._known) > _KINDS:
            self._known.popitem(last=False)

    def _begin_trials(self, numbers: list[int]) -> None:
        self._to_try = numbers
        self._tried.clear()
        self._threads = self._to_try.pop(0)

    def _judge_trial(self, seconds: float) -> None:
        self._tried.append(seconds)
        usual = statistics.median(self._usual)
        if len(self._tried) < _TRIAL_STEPS and seconds < usual * _HOPELESS:
            return
        tried, mean = self._threads, statistics.mean(self._tried)
        limit = usual if tried < self.chosen else usual * _FASTER
        if mean <= limit:
            self._compared = (self.chosen, usual, mean)
            onwards = tried // 2 if tried < self.chosen else min(2 * tried, self.most)
            self.chosen = tried
            self._usual.clear()
            self._usual.extend(self._tried)
            if onwards not in (0, tried):
                self._begin_trials([onwards])
                return
        else:
            self._compared = (tried, mean, usual)
            if self._to_try:
                self._begin_trials(self._to_try)
                return
        self._end_trials()

    def _end_trials(self) -> None:
        self._threads = self.chosen
        self._remember(statistics.median(self._usual))
        self._steps, self._seconds = 0, 0.0
