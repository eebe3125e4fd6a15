"""Reaches the engines of a cluster through a process of its own, the gateway, and replaces that when it ends.

The cluster's software may end the process that it works in: its head is gone for a minute, say. It is not the server's.
Knows no cluster, only the messages of its gateway.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError  # the builtin one only since Python 3.11
from pathlib import Path
from typing import Any

from sdcpp_rest.engine.engine_process import EngineProcess
from sdcpp_rest.engine.log_tail import RawLog
from sdcpp_rest.engine.remote import gateway_messages
from sdcpp_rest.engine.remote.cluster import ClusterNode
from sdcpp_rest.engine.remote.node_logs import ANSWER_SECONDS, SILENT, unpack_log
from sdcpp_rest.engine.remote.shipping import EndingEngine, EngineEnd, LinkLost
from sdcpp_rest.engine.worker_options import WorkerOptions

log = logging.getLogger(__name__)

_ENTRY = "sdcpp_rest.engine.remote.gateway_entry"
_STOP_SECONDS = 10.0
# The gateway answers before, if it answers at all.
_LOG_SECONDS = ANSWER_SECONDS + 3.0
_GONE = EngineEnd("the way to the cluster broke off")


class Gateway:
    """Keeps one gateway process running while it is wanted. Thread-safe.

    Args:
        kind: the module and the class of the `Cluster`, as ``module:Class``.
        address: where the cluster is, in its own words.
        roots: the server's folders of models, by the words that they have on all machines.
        sends_models: whether nodes are given the model files that they lack.
        shares_files: whether nodes see the folders in which jobs have their files, under the same paths.
        on_nodes: called with the nodes whenever they have changed; none while the cluster cannot be reached.
    """

    def __init__(
        self,
        kind: str,
        address: str,
        roots: Mapping[str, Path],
        on_nodes: Callable[[tuple[ClusterNode, ...]], None],
        *,
        sends_models: bool = False,
        shares_files: bool = False,
        environment: Mapping[str, str] | None = None,
        log_path: str = "",
        backoff_initial_seconds: float = 0.5,
        backoff_max_seconds: float = 30.0,
    ) -> None:
        self._first = {
            "kind": kind, "address": address, "roots": {word: str(path) for word, path in roots.items()},
            "log": log_path, "sends_models": sends_models, "shares_files": shares_files,
        }  # fmt: skip
        self._environment = {**os.environ, **(environment or {})}
        self._on_nodes = on_nodes
        self._backoff = (backoff_initial_seconds, backoff_max_seconds)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._send_lock = threading.Lock()
        self._engines: dict[int, GatewayEngine] = {}
        self._asked: dict[int, Future[RawLog]] = {}
        self._process: EngineProcess | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="gateway", daemon=True)
        self.trouble: str | None = "The cluster has not answered yet"
        """Why the cluster cannot be reached; ``None`` while it can."""
        self.nodes: tuple[ClusterNode, ...] = ()
        self.seen_at = 0.0
        """When the gateway last saw them, in seconds since 1970."""
        self._wanted = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the process, and with it all engines. Idempotent."""
        self._stopping.set()
        process = self._process
        if process is not None:
            process.pipe.hang_up()
            if not process.wait_for_end(_STOP_SECONDS):
                process.kill()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def launch(self, node_id: str, slot: int, options: WorkerOptions) -> GatewayEngine:
        """Have an engine started on a node. It may be one that ends at once, and says why."""
        engine = GatewayEngine(self, next(self._numbers))
        with self._lock:
            self._engines[engine.number] = engine
        if not self.send({"op": "open", "link": engine.number, "node": node_id, "slot": slot}, options.to_json()):
            self._end(engine.number, _GONE, is_lost=True)
        return engine

    def want(self, engines: int) -> None:
        """Have the cluster see to it that there is room for so many engines, now and when it can be reached again."""
        self._wanted = engines
        self.send({"op": "want", "engines": engines})

    def read_log(self, node_id: str, slot: int, count: int, timeout_seconds: float = _LOG_SECONDS) -> RawLog:
        """The last ``count`` lines of the log of an engine of a node, whether that runs or not. Blocks. Raises
        LinkLost."""
        number = next(self._numbers)
        answer: Future[RawLog] = Future()
        self._asked[number] = answer
        try:
            if not self.send({"op": "log", "ask": number, "node": node_id, "slot": slot, "count": count}):
                raise LinkLost(self.trouble or _GONE.description)
            return answer.result(timeout_seconds)
        except FutureTimeoutError:
            raise LinkLost(SILENT) from None
        finally:
            self._asked.pop(number, None)

    def send(self, header: dict[str, Any], body: bytes = b"") -> bool:
        """Whether there was somebody to send it to."""
        process = self._process
        if process is None:
            return False
        try:
            with self._send_lock:
                gateway_messages.send(process.pipe, header, body)
        except OSError:
            return False
        return True

    # --- the thread -------------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        pause, most = self._backoff
        while not self._stopping.is_set():
            if self._serve_once():
                pause = self._backoff[0]
            if self._stopping.wait(pause):
                return
            pause = min(most, pause * 2)

    def _serve_once(self) -> bool:
        """See one process through its life; whether it has reached the cluster."""
        try:
            process = EngineProcess(_ENTRY, self._environment)
        except OSError as error:
            self.trouble = f"The cluster's gateway cannot be started: {error.strerror or error}"
            return False
        reached = False
        with contextlib.suppress(EOFError, OSError):
            gateway_messages.send(process.pipe, self._first)
            self._process = process
            if self._wanted:
                self.want(self._wanted)
            while True:
                header, body = gateway_messages.receive(process.pipe)
                reached = reached or header["op"] == "nodes"
                self._take(header, body)
        self._process = None
        process.discard()
        if self.trouble is None:
            self.trouble = "The way to the cluster broke off"
        if not self._stopping.is_set():
            log.warning("the cluster cannot be reached: %s", self.trouble)
        for number in list(self._asked):
            if (asked := self._asked.pop(number, None)) is not None:
                asked.set_exception(LinkLost(_GONE.description))
        for number in list(self._engines):
            self._end(number, _GONE, is_lost=True)
        self._set_nodes(())
        return reached

    def _take(self, header: dict[str, Any], body: bytes) -> None:
        operation = header["op"]
        if operation == "event":
            engine = self._engines.get(header["link"])
            if engine is not None:
                engine.pid = header["pid"]
                engine.arrived.put(body)
        elif operation == "end":
            self._end(header["link"], EngineEnd(**header["end"]), is_lost=header["is_lost"])
        elif operation == "log":
            self._take_log(header, body)
        elif operation == "seen":
            self.seen_at = time.time()
        elif operation == "nodes":
            self.trouble, self.seen_at = None, time.time()
            self._set_nodes(tuple(ClusterNode(**node) for node in header["nodes"]))
        elif operation == "lost":
            self.trouble = header["message"]

    def _take_log(self, header: dict[str, Any], body: bytes) -> None:
        asked = self._asked.pop(header["ask"], None)
        if asked is None:
            return
        if header["trouble"]:
            asked.set_exception(LinkLost(header["trouble"]))
        else:
            asked.set_result(unpack_log(header, body))

    def _set_nodes(self, nodes: tuple[ClusterNode, ...]) -> None:
        self.nodes = nodes
        if not self._stopping.is_set():
            try:
                self._on_nodes(nodes)
            except Exception:
                log.exception("the nodes of the cluster were not taken in")

    def _end(self, number: int, end: EngineEnd, *, is_lost: bool) -> None:
        with self._lock:
            engine = self._engines.pop(number, None)
        if engine is not None:
            engine.is_lost, engine.end = is_lost, end
            engine.arrived.put(None)


class GatewayEngine(EndingEngine):
    """Stands for one engine of the cluster, from its start to its end: see `LaunchedEngine`. It is its own
    connection."""

    def __init__(self, gateway: Gateway, number: int) -> None:
        self._gateway = gateway
        self.number = number
        self.pid = 0
        self.is_lost = False
        self.arrived: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._ended = threading.Event()

    @property
    def connection(self) -> GatewayEngine:
        return self

    def send_bytes(self, message: bytes) -> None:
        """Raises OSError when the gateway is gone."""
        if self.end is not None or not self._gateway.send({"op": "send", "link": self.number}, message):
            raise OSError("the engine is gone")

    def recv_bytes(self) -> bytes:
        """Raises EOFError when there will be nothing more."""
        message = self.arrived.get()
        if message is None:
            self._ended.set()
            raise EOFError
        return message

    def kill(self) -> None:
        self._gateway.send({"op": "kill", "link": self.number})

    def wait_for_end(self, timeout_seconds: float) -> bool:
        return self._ended.wait(timeout_seconds)
