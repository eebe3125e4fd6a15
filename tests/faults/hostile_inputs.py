"""Inputs that are known to end or hang the library, and two hundred broken ones from a seed, through every dialect and
the command line."""

from __future__ import annotations

import random

from benchmarks.figures import Figure
from benchmarks.served import Server
from tests.faults.hostile.driver import COMMAND_EVERY, RUN_SECONDS, Driver, Tally
from tests.faults.hostile.inputs import Input
from tests.faults.hostile.known_files import known_files
from tests.faults.hostile.known_values import known_values
from tests.faults.hostile.mutants import mutants
from tests.faults.study import Options, main

# What is accepted is drawn: pictures that take no minutes.
SETTINGS = (
    "limits.side=256", "limits.steps=200", "limits.batch=4",
    # What takes long is stopped, and soon.
    "engine.cancel_timeout_seconds=2", "queue.abandoned_grace_seconds=0",
)  # fmt: skip


def all_inputs(seed: int) -> tuple[list[Input], list[Input]]:
    """The known ones, and the new ones of ``seed``."""
    return [*known_values(), *known_files()], mutants(seed)


def examine(options: Options) -> list[Figure]:
    """All inputs in an order that the seed shuffles. An interrupt ends the trying; what was tried counts."""
    known, new = all_inputs(options.seed)
    inputs = [*known, *new]
    random.Random(options.seed).shuffle(inputs)
    with Server("native", 1, *SETTINGS) as server:
        server.wait_loaded()
        driver = Driver(server)
        death = ""
        try:
            driver.try_all(inputs[:: 40 if options.quick else 1])
        except RuntimeError as error:
            death = str(error)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        return figures_of(driver.tally, len(known), len(new), death)


def figures_of(tally: Tally, known: int, new: int, death: str) -> list[Figure]:
    """What was counted; each count that must be 0 shows its first case."""

    def none(name: str, fault: str, note: str) -> Figure:
        first = next((f" First: {one.told[:160]}" for one in tally.faults if one.fault == fault), "")
        return Figure(name, tally.count(fault), "answers", sum(tally.by_dialect.values()), 0, note + first)

    sent = sum(tally.by_dialect.values())
    by_dialect = ", ".join(
        f"{name} {count} ({tally.seconds[name]:.0f} s)" for name, count in sorted(tally.by_dialect.items())
    )
    how_sent = f"{by_dialect}; the command line has one input in {COMMAND_EVERY}"
    ways = {"refused": "refused, or failed, with a sentence", "done": "harmless there: done"}
    return [
        Figure("inputs that are known to harm", known, "inputs",
        note="tests/faults/hostile: known_values.py, known_files.py"),
        Figure("inputs made anew from the seed", new, "inputs",
        note="tests/faults/hostile: mutants.py, documented_calls.py"),
        Figure("inputs tried in this run", tally.inputs, "inputs", note="in an order that the seed shuffles"),
        Figure("requests and commands", sent, "sent", note=how_sent),
        *(Figure(words, tally.outcomes[way], "answers", sent) for way, words in ways.items()),
        Figure("ran long, and stopped when told to", tally.outcomes["stopped"], "runs", sent,
        note=f"after {RUN_SECONDS:g} s"),
        Figure("server deaths", float(bool(death)), "deaths", sent, 0,
        "the process after each of them. " + death[:160]),
        none("hangs", "a hang", "no answer, or a job that goes on 60 s after its cancel."),
        none("no answer at all", "no answer", "the connection ended."),
        none("internal errors", "an internal error",
        "in the answer, the job or the log; a traceback, a path, a signal."),
        none("answers without a sentence", "no sentence", "fewer than 8 letters for a person."),
        none("answers that are no JSON", "no JSON", "of those that are errors."),
        none("answers that are the input again", "the input again", "more than 2000 letters."),
        Figure("engine deaths", len(tally.engine_deaths), "deaths", sent, note="; ".join(tally.engine_deaths)[:400]),
        Figure(
            "good jobs that failed afterwards", len(tally.bad_good_jobs), "jobs", tally.good_jobs, 0,
            "one after every 25 inputs; its picture is compared. " + "; ".join(tally.bad_good_jobs)[:160],
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    main("Hostile inputs through every dialect and the command line.", examine, told=" ".join(SETTINGS))
