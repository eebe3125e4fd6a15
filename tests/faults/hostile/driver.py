"""Sends hostile inputs to one real server, and looks after each what has become of it."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from benchmarks.served import Server, until
from tests.faults.hostile import command_line
from tests.faults.hostile.dialects import DIALECTS, SMALL, say
from tests.faults.hostile.inputs import Input, ModelFile
from tests.faults.hostile.known_files import MODEL
from tests.faults.hostile.sending import TIME_LIMIT_SECONDS, Outcome, Sent, ask, judge, sentence_of, wrong_with

RUN_SECONDS = 20.0
"""How long an accepted job may draw before it is cancelled; then it has the time limit to end."""
COMMAND_EVERY = 6
"""The command line is given one input in so many: each takes a process of its own, for a second."""
_ENDED = ("completed", "failed", "cancelled", "success", "error")


@dataclass
class Tally:
    """What came of all that was sent."""

    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    by_dialect: Counter[str] = field(default_factory=Counter)
    faults: list[Outcome] = field(default_factory=list)
    engine_deaths: list[str] = field(default_factory=list)
    seconds: Counter[str] = field(default_factory=Counter)
    good_jobs: int = 0
    bad_good_jobs: list[str] = field(default_factory=list)

    def count(self, fault: str) -> int:
        return sum(one.fault == fault for one in self.faults)

    def add(self, outcome: Outcome) -> None:
        self.by_dialect[outcome.dialect] += 1
        if outcome.fault:
            self.faults.append(outcome)
            print(f"  FAULT {outcome.told}", flush=True)
        else:
            self.outcomes["stopped" if outcome.is_stopped else "refused" if outcome.sentence else "done"] += 1


class Driver:
    """One server with the demo model. ``every``: after so many inputs a good picture is drawn, the same each time."""

    def __init__(self, server: Server, every: int = 25) -> None:
        self.server, self.every = server, every
        self.tally = Tally()
        self._pid = server.process().pid
        self._log = server.folder / "server.log"
        self._read = 0
        self._restarts = 0
        self._session = ""
        self._good = self._draw_good()

    def try_all(self, inputs: Iterable[Input], dialects: Iterable[str] = (*DIALECTS, command_line.NAME)) -> Tally:
        """Every input in each of ``dialects`` that has words for it. Raises RuntimeError when the server has died."""
        wanted = list(dialects)
        for one in inputs:
            self.tally.inputs += 1
            with self._placed(one):
                for dialect in wanted:
                    if dialect == command_line.NAME and self.tally.inputs % COMMAND_EVERY:
                        continue
                    began = time.perf_counter()
                    if dialect == command_line.NAME:
                        outcomes = command_line.try_input(one, self.server)
                    else:
                        outcomes = (self._try(dialect, one.name, sent) for sent in say(dialect, one))
                    for outcome in outcomes:
                        is_long = outcome.fault == "a hang" and dialect == command_line.NAME
                        self._look(self._stop(outcome) if is_long else outcome)
                    self.tally.seconds[dialect] += time.perf_counter() - began
            if self.tally.inputs % self.every == 0:
                self.check_good()
        self.check_good()
        return self.tally

    def check_good(self) -> None:
        """A good picture is drawn, the same as at the beginning."""
        self.tally.good_jobs += 1
        try:
            drawn = self._draw_good()
        except (RuntimeError, OSError) as error:
            self.tally.bad_good_jobs.append(str(error)[:300])
        else:
            if drawn != self._good:
                self.tally.bad_good_jobs.append("another picture")

    def _try(self, dialect: str, name: str, sent: Sent) -> Outcome:
        where = f"{name} at {sent.path.partition('?')[0]}"
        if dialect == "SwarmUI" and isinstance(sent.body, dict):
            sent = replace(sent, body={"session_id": self._swarm_session(), **sent.body})
        try:
            status, answer = ask(self.server.port, sent, RUN_SECONDS)
        except TimeoutError:
            return self._stop(Outcome(dialect, where, 0, "", "a hang"))
        except (ConnectionError, OSError) as error:
            return Outcome(dialect, where, 0, str(error), "no answer")
        outcome = judge(dialect, where, status, answer)
        if outcome.fault or outcome.sentence:
            return outcome
        told = None
        with contextlib.suppress(ValueError):
            told = json.loads(answer)
        return self._follow(outcome, told) if isinstance(told, dict) else outcome

    def _follow(self, outcome: Outcome, told: dict[str, Any]) -> Outcome:
        """The end of a job that was accepted."""
        if "prompt_id" in told and "node_errors" in told:
            place, read = f"/history/{told['prompt_id']}", lambda shown: _comfy_end(shown.get(told["prompt_id"]))
        elif isinstance(told.get("poll_url"), str):
            place, read = told["poll_url"], _plain_end
        elif outcome.status == 202 and isinstance(told.get("job_id"), str):
            place, read = f"/queue/{told['job_id']}", _plain_end
        else:
            return outcome
        ended = sentence = ""

        def has_ended() -> bool:
            nonlocal ended, sentence
            status, answer = ask(self.server.port, Sent(place, method="GET"))
            ended, sentence = read(json.loads(answer)) if status == 200 else ("", "")
            return ended in _ENDED

        try:
            until(has_ended, "it runs long", RUN_SECONDS)
        except RuntimeError:
            return self._stop(replace(outcome, fault="a hang"))
        if ended in ("failed", "error"):
            return replace(outcome, sentence=sentence or " ", fault=wrong_with(sentence))
        return outcome

    def _stop(self, outcome: Outcome) -> Outcome:
        """What was asked for takes long: that is no fault where a job runs, as long as it can be stopped."""
        running = self._running()
        if not running:
            return outcome
        for job_id in running:
            ask(self.server.port, Sent(f"/queue/{job_id}/cancel"))
        try:
            until(lambda: not self._running(), "it cannot be stopped", TIME_LIMIT_SECONDS)
        except RuntimeError:
            return outcome
        self._restarts = self._engine_restarts()  # it may take the engine's end to stop a job: that is no death
        return replace(outcome, fault="", is_stopped=True)

    def _running(self) -> list[str]:
        """The jobs that run or wait."""
        with self.server.connect() as client:
            jobs = [one for state in ("processing", "pending") for one in client.get(f"/queue?status={state}")["items"]]
        return [one["job_id"] for one in jobs]

    def _engine_restarts(self) -> int:
        with self.server.connect() as client:
            return int(client.get("/health")["engine"]["restarts"])

    def _look(self, outcome: Outcome) -> None:
        """Whether the server and its engine live, and whether the log tells of a fault that no answer did."""
        text = self._new_lines()
        if not outcome.fault and ("Traceback" in text or "internal error" in text):
            start = max(text.find("internal error"), 0)
            outcome = replace(outcome, sentence=text[start : start + 600], fault="an internal error")
        self.tally.add(outcome)
        try:
            restarts = self._engine_restarts()
        except OSError as error:
            raise RuntimeError(f"the server died of {outcome.told}: {error}") from error
        if self.server.process().pid != self._pid:
            raise RuntimeError(f"the server died of {outcome.told}")
        if restarts != self._restarts:
            self._restarts = restarts
            self.tally.engine_deaths.append(outcome.told)
            print(f"  ENGINE DIED {outcome.told}\n{self._engine_log()}", flush=True)

    def _engine_log(self) -> str:
        """Its last lines: what it did when it died."""
        files = sorted(self.server.folder.glob("data/**/engine*.log"), key=lambda path: path.stat().st_mtime_ns)
        lines = files[-1].read_text(encoding="utf-8", errors="replace").splitlines() if files else []
        return "\n".join(f"    {line[:200]}" for line in lines[-40:])

    def _new_lines(self) -> str:
        with self._log.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        self._read += len(text)
        return text.decode("utf-8", "replace")

    @contextlib.contextmanager
    def _placed(self, one: Input) -> Any:
        """A model file lies in its folder while it is tried."""
        if not isinstance(one, ModelFile):
            yield
            return
        # A component lies in the folder of its kind, beside the model.
        folders = [one.type, *(role for role in one.roles if role in ("vae", "llm", "taesd"))]
        paths = [self.server.folder / "models" / folder / one.name for folder in folders]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(one.content)
        ask(self.server.port, Sent("/models/refresh"))
        try:
            yield
        finally:
            for path in paths:
                path.unlink(missing_ok=True)

    def _swarm_session(self) -> str:
        if not self._session:
            self._session = json.loads(ask(self.server.port, Sent("/API/GetNewSession", {}))[1])["session_id"]
        return self._session

    def _draw_good(self) -> bytes:
        with self.server.connect() as client:
            client.post("/models/load", {"model_name": MODEL})
            job_id = client.submit(**{**SMALL, "steps": 2})
            job: dict[str, Any] = {}

            def has_ended() -> bool:
                job.update(client.get(f"/queue/{quote(job_id)}"))
                return job["status"] in _ENDED

            until(has_ended, "a good job does not end", TIME_LIMIT_SECONDS)
            if job["status"] != "completed":
                raise RuntimeError(f"a good job has {job['status']}: {job.get('error')}")
            return client.picture(job_id)


def _plain_end(shown: dict[str, Any]) -> tuple[str, str]:
    return str(shown.get("status")), sentence_of(shown.get("error")) or sentence_of(shown.get("error_message"))


def _comfy_end(entry: dict[str, Any] | None) -> tuple[str, str]:
    if entry is None:
        return "", ""
    told = [sentence_of(data) for kind, data in entry["status"]["messages"] if kind == "execution_error"]
    return entry["status"]["status_str"], "; ".join(told)
