"""Runs the gateway's process: the one that knows the cluster, so that whatever becomes of the cluster's own software
ends this process and not the server.

The first message says which cluster and where. Then engines are opened by number; their messages pass, their files are
read and written here.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import queue
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn, cast

from sdcpp_rest.engine.pipe import Pipe
from sdcpp_rest.engine.process_entry import leave_terminal, take_pipe
from sdcpp_rest.engine.remote import gateway_messages
from sdcpp_rest.engine.remote.cluster import Cluster, ClusterNode
from sdcpp_rest.engine.remote.model_places import ModelPlaces
from sdcpp_rest.engine.remote.node_logs import pack_log
from sdcpp_rest.engine.remote.remote_engine import RemoteEngine
from sdcpp_rest.engine.remote.shipping import EngineEnd, LinkLost
from sdcpp_rest.engine.worker_options import WorkerOptions

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
# Twice as long as the head waits for a machine; the cluster's own software may wait for minutes for a cable that was
# pulled.
_SILENT_LOOKS = 10


def main() -> None:
    """Entry point of the gateway's process; never returns."""
    leave_terminal()
    pipe = take_pipe()
    try:
        header, _ = gateway_messages.receive(pipe)
    except (EOFError, OSError):
        os._exit(0)
    logging.basicConfig(
        filename=header["log"] or None, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    worker = GatewayWorker(
        pipe,
        open_cluster(header),
        places_of(header["roots"]),
        sends_models=header["sends_models"],
        shares_files=header["shares_files"],
    )
    worker.serve()
    # Whatever threads the cluster's software has are not waited for.
    os._exit(0)


def open_cluster(header: dict[str, Any]) -> Cluster:
    """The cluster that the first message names."""
    module, _, name = header["kind"].partition(":")
    return cast("Cluster", getattr(importlib.import_module(module), name)(header["address"]))


def places_of(roots: dict[str, str]) -> ModelPlaces:
    """The server's folders of models, by their words."""
    return ModelPlaces({word: Path(folder) for word, folder in roots.items()})


class GatewayWorker:
    """Serves one server: opens engines for it on the machines of a cluster, and tells it which those are."""

    def __init__(
        self,
        pipe: Pipe,
        cluster: Cluster,
        places: ModelPlaces,
        *,
        sends_models: bool = False,
        shares_files: bool = False,
    ) -> None:
        self._sends_models = sends_models
        self._shares_files = shares_files
        self._pipe = pipe
        self._cluster = cluster
        self._places = places
        self._wanted = 0
        self._answered = 0
        self._send_lock = threading.Lock()
        self._links: dict[int, _OpenEngine] = {}
        self._stopped = threading.Event()

    def serve(self) -> None:
        """Serve until the server hangs up."""
        try:
            self._cluster.connect()
        except LinkLost as error:
            self.tell({"op": "lost", "message": str(error)})
            return
        for name, watch in (("nodes", self._watch_nodes), ("silence", self._watch_silence)):
            threading.Thread(target=watch, name=name, daemon=True).start()
        with contextlib.suppress(EOFError, OSError):
            while True:
                header, body = gateway_messages.receive(self._pipe)
                self._take(header, body)
        self._stopped.set()
        self._cluster.close()

    def tell(self, header: dict[str, Any], body: bytes = b"") -> None:
        """Tell the server. One that is gone is noticed by who reads."""
        with self._send_lock, contextlib.suppress(OSError):
            gateway_messages.send(self._pipe, header, body)

    def forget(self, number: int) -> None:
        self._links.pop(number, None)

    def _take(self, header: dict[str, Any], body: bytes) -> None:
        operation = header["op"]
        if operation == "want":
            self._wanted = header["engines"]
            return
        if operation == "log":
            # On a thread of its own: a node that does not answer keeps no engine's commands waiting.
            threading.Thread(target=self._tell_log, args=(header,), name="log", daemon=True).start()
            return
        number = header["link"]
        if operation == "open":
            options = WorkerOptions.from_json(body)

            def start() -> RemoteEngine:
                return RemoteEngine(
                    lambda: self._cluster.open(header["node"], header["slot"], options),
                    self._places,
                    sends_models=self._sends_models,
                    shares_files=self._shares_files,
                )

            self._links[number] = _OpenEngine(self, number, start)
            return
        link = self._links.get(number)
        if link is not None:
            link.kill() if operation == "kill" else link.send(body)

    def _tell_log(self, asked: dict[str, Any]) -> None:
        answer = {"op": "log", "ask": asked["ask"], "trouble": ""}
        try:
            header, body = pack_log(self._cluster.read_log(asked["node"], asked["slot"], asked["count"]))
        except Exception as error:  # whatever the cluster's software raises: somebody waits for this log
            self.tell({**answer, "trouble": str(error) or type(error).__name__})
        else:
            self.tell({**answer, **header}, body)

    def _watch_nodes(self) -> None:
        told: list[ClusterNode] | None = None
        asked = 0
        while not self._stopped.is_set():
            try:
                # Here, because a cluster in trouble may let one wait for a minute, and commands must not.
                if (wanted := self._wanted) != asked:
                    self._cluster.want(wanted)
                    asked = wanted
                nodes = sorted(self._cluster.nodes(), key=lambda node: node.id)
            except LinkLost as error:
                self._give_up(str(error))
            self._answered += 1
            if nodes != told:
                self.tell({"op": "nodes", "nodes": [asdict(node) for node in nodes]})
                told = nodes
            else:
                self.tell({"op": "seen"})
            time.sleep(_LOOK_SECONDS)

    def _watch_silence(self) -> None:
        """Give up where the cluster leaves one question unanswered for long."""
        answered, silent = self._answered, 0
        # Counted, not measured: a machine that was suspended has not waited.
        while not self._stopped.wait(_LOOK_SECONDS):
            silent = silent + 1 if self._answered == answered else 0
            answered = self._answered
            if silent == _SILENT_LOOKS:
                self._give_up(f"the head has not answered for {_SILENT_LOOKS * _LOOK_SECONDS:.0f} s")

    def _give_up(self, why: str) -> NoReturn:
        """End: the server starts another gateway, which tries to reach the cluster from the beginning."""
        self.tell({"op": "lost", "message": why})
        os._exit(1)


class _OpenEngine:
    """Runs one engine for the server: its commands go out on a thread of its own, and wait for no other's files."""

    def __init__(self, worker: GatewayWorker, number: int, start: Any) -> None:
        self._worker = worker
        self._number = number
        self._start = start
        self._commands: queue.Queue[bytes | None] = queue.Queue()
        self._engine: RemoteEngine | None = None
        self._is_unwanted = False
        self._lock = threading.Lock()
        threading.Thread(target=self._run, name=f"engine-{number}", daemon=True).start()

    def send(self, message: bytes) -> None:
        engine = self._engine
        if engine is not None and engine.is_urgent(message):
            with contextlib.suppress(OSError):
                engine.send_bytes(message)
        else:
            self._commands.put(message)

    def kill(self) -> None:
        with self._lock:
            self._is_unwanted = True
            engine = self._engine
        if engine is not None:
            engine.kill()

    def _run(self) -> None:
        try:
            engine = self._start()
        except Exception as error:  # whatever the cluster's software raises: somebody waits for this engine
            log.exception("engine %d was not started", self._number)
            self._worker.forget(self._number)
            why = f"it was not started: {type(error).__name__}: {error}"
            self._tell_end(EngineEnd(why), is_lost=True)
            return
        with self._lock:
            self._engine = engine
            is_unwanted = self._is_unwanted
        if is_unwanted:
            engine.kill()
        threading.Thread(target=self._pass_commands, args=(engine,), name="commands", daemon=True).start()
        with contextlib.suppress(EOFError):
            while True:
                self._worker.tell({"op": "event", "link": self._number, "pid": engine.pid}, engine.recv_bytes())
        self._commands.put(None)
        self._worker.forget(self._number)
        assert engine.end is not None
        self._tell_end(engine.end, is_lost=engine.is_lost)

    def _tell_end(self, end: EngineEnd, *, is_lost: bool) -> None:
        self._worker.tell({"op": "end", "link": self._number, "is_lost": is_lost, "end": asdict(end)})

    def _pass_commands(self, engine: RemoteEngine) -> None:
        while (message := self._commands.get()) is not None:
            try:
                engine.send_bytes(message)
            except OSError:
                log.debug("engine %d is gone", self._number)
            except Exception:  # whatever the cluster's software raises: somebody waits for an answer to this
                log.exception("engine %d was not given a command", self._number)
                engine.kill()
