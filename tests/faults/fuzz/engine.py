"""Feeds one reader with what it makes of good inputs, and keeps what reaches new ground.

    python -m tests.faults.fuzz.engine gguf --minutes 5 --seed 1

Prints one line of JSON: how many runs, how much ground, which faults. ``--keep`` puts what reached new ground into
`tests/faults/corpora`, so that the next run begins where this one ended.
"""

from __future__ import annotations

import argparse
import base64
import json
import mmap
import random
import signal
import sys
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.fuzz.coverage import Coverage
from tests.faults.fuzz.targets import TARGETS, Target
from tests.faults.hostile.mutation import mutate_bytes
from tests.faults.hostile.sending import wrong_with

CORPORA = Path(__file__).parents[1] / "corpora"
SLOW_SECONDS = 2.0
"""CPU time that no reader may take for an input of this size; it is measured without the tracing."""
_HANG_SECONDS = 60.0
_MOST_BYTES = 1 << 16
# What is kept in the repository: seeds, and no museum.
_KEPT_INPUTS, _KEPT_BYTES = 60, 4096


@dataclass
class Fault:
    """What went wrong, where, how often, and one input that does it (base64)."""

    what: str
    where: str
    count: int
    input: str


@dataclass
class Report:
    """What one run of the fuzzer saw. ``steps``: pairs of lines that were taken, those of the seeds among them."""

    target: str
    runs: int = 0
    seconds: float = 0.0
    steps: int = 0
    seed_steps: int = 0
    refused: int = 0
    slowest_seconds: float = 0.0
    corpus: int = 0
    faults: list[Fault] = field(default_factory=list)


class _Hang(Exception):
    pass


class Fuzzer:
    """Runs a target again and again. ``current``: holds the input that is being tried, for whoever finds us dead."""

    def __init__(self, target: Target, seed: int, current: mmap.mmap | None = None) -> None:
        self.report = Report(target.name)
        self._target = target
        self._chance = random.Random(f"{seed} {target.name}")
        self._coverage = Coverage()
        self._seen: set[int] = set()
        self._corpus: list[bytes] = []
        self.found: list[bytes] = []
        self._faults: dict[tuple[str, str], Fault] = {}
        self._current = current

    def run(self, seconds: float, runs: int = 1 << 60) -> Report:
        """Try the seeds, then what becomes of them, for so long or so often."""
        began = time.monotonic()
        for content in [*self._target.seeds(), *read_corpus(self._target.name)]:
            self._try(content)
        self.found.clear()
        self.report.seed_steps = len(self._seen)
        while time.monotonic() - began < seconds and self.report.runs < runs:
            if self._try(self._make()):
                self.found.append(self._corpus[-1])
        self.report.seconds = round(time.monotonic() - began, 1)
        self.report.steps, self.report.corpus = len(self._seen), len(self._corpus)
        self.report.faults = list(self._faults.values())
        return self.report

    def _make(self) -> bytes:
        """A change of something kept, late finds before early ones; now and then two of them joined."""
        chance = self._chance
        size = len(self._corpus)
        at = max(chance.randrange(size), chance.randrange(size)) if chance.random() < 0.6 else chance.randrange(size)
        content = self._corpus[at]
        if chance.random() < 0.1:
            other = self._corpus[chance.randrange(size)]
            content = content[: chance.randrange(len(content) + 1)] + other[chance.randrange(len(other) + 1) :]
        if self._target.mutate is not None and chance.random() < 0.7:
            return self._target.mutate(content, chance)[:_MOST_BYTES]
        if self._target.words and chance.random() < 0.4:
            place = chance.randrange(len(content) + 1)
            content = content[:place] + chance.choice(self._target.words) + content[place + chance.choice((0, 0, 3)) :]
        return mutate_bytes(content, chance)[:_MOST_BYTES]

    def _try(self, content: bytes) -> bool:
        """Whether it reached new ground; then it is kept."""
        self.report.runs += 1
        if self._current is not None:
            self._current.seek(0)
            self._current.write(len(content).to_bytes(8, "little") + content)
        began = time.thread_time()
        steps = self._coverage.run(lambda: self._call(content))
        if time.thread_time() - began > SLOW_SECONDS:
            # Again, without the tracing.
            began = time.thread_time()
            self._call(content)
            took = time.thread_time() - began
            self.report.slowest_seconds = max(self.report.slowest_seconds, round(took, 2))
            if took > SLOW_SECONDS:
                self._note(f"takes {took:.0f} s of CPU time", "", content)
        if steps <= self._seen:
            return False
        self._seen |= steps
        self._corpus.append(content)
        return True

    def _call(self, content: bytes) -> None:
        signal.setitimer(signal.ITIMER_REAL, _HANG_SECONDS)
        try:
            self._target.run(content)
        except self._target.refusals as error:
            self.report.refused += 1
            if wrong := wrong_with(str(error)):
                self._note(f"{wrong}: {error}"[:200], "", content)
        except Exception as error:
            frames = [one for one in traceback.extract_tb(error.__traceback__) if "sdcpp_rest" in one.filename]
            where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
            self._note(f"{type(error).__name__}: {error}"[:200], where, content)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _note(self, what: str, where: str, content: bytes) -> None:
        key = (what.partition(":")[0], where)
        if key in self._faults:
            self._faults[key].count += 1
        else:
            self._faults[key] = Fault(what, where, 1, base64.b64encode(content).decode())


def read_corpus(name: str) -> list[bytes]:
    """What earlier runs kept."""
    file = CORPORA / f"{name}.json"
    return [base64.b64decode(one) for one in json.loads(file.read_text("ascii"))] if file.is_file() else []


def keep_corpus(name: str, found: list[bytes]) -> None:
    """Add the small ones of ``found`` to the corpus, up to its size."""
    kept = read_corpus(name)
    kept += [one for one in sorted(found, key=len) if len(one) <= _KEPT_BYTES and one not in kept]
    texts = [base64.b64encode(one).decode() for one in kept[:_KEPT_INPUTS]]
    CORPORA.mkdir(exist_ok=True)
    (CORPORA / f"{name}.json").write_text(json.dumps(texts, indent=0) + "\n", "ascii")


def _stop_hanging(number: int, frame: Any) -> None:
    raise _Hang(f"no end after {_HANG_SECONDS:g} s")


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz one reader.")
    parser.add_argument("name", choices=sorted(TARGETS))
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--runs", type=int, default=1 << 60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="put what reached new ground into tests/faults/corpora")
    parser.add_argument("--current", help="a file that holds the input that is being tried")
    arguments = parser.parse_args()
    signal.signal(signal.SIGALRM, _stop_hanging)
    current = None
    if arguments.current:
        with Path(arguments.current).open("w+b") as file:
            file.truncate(_MOST_BYTES + 8)
            current = mmap.mmap(file.fileno(), 0)
    with TARGETS[arguments.name]() as target:
        fuzzer = Fuzzer(target, arguments.seed, current)
        report = fuzzer.run(60 * arguments.minutes, arguments.runs)
    if arguments.keep:
        keep_corpus(arguments.name, fuzzer.found)
    print(json.dumps(asdict(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
