"""A whole house per test: the real runtime over a fake engine in a thread, spoken to through Flask's test client or,
where sockets matter, through a real server on loopback ports of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient
from websockets.sync.client import ClientConnection, connect
from werkzeug.test import TestResponse

from sdcpp_rest.config import Config
from sdcpp_rest.core.events import JobPreview, ModelLoaded
from sdcpp_rest.core.job import FINISHED
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.engine.fake_runner import FakeRunner
from sdcpp_rest.engine.protocol import RunJob
from sdcpp_rest.routes.http.dialect import Dialect
from sdcpp_rest.routes.http.late_dialect import LateDialect
from sdcpp_rest.runtime import inline_launcher
from sdcpp_rest.web.app import DIALECTS
from sdcpp_rest.web.asgi import Shell
from sdcpp_rest.web.listening import bind
from sdcpp_rest.web.serving import Server
from tests.canaries import CANARY_KEY, CANARY_TOKEN, SENT_KEY
from tests.quick_runtime import quick_app, quick_runtime
from tests.routes.documented_answers import check_answer

PATIENCE_SECONDS = 20


class CheckedClient(FlaskClient):
    """A test client that holds every answer it gets against the OpenAPI document."""

    def open(self, *args: Any, **more: Any) -> TestResponse:
        answer = super().open(*args, **more)
        check_answer(self.application, answer)
        return answer


class House:
    """A runtime with a fake engine. A closed ``gate`` holds runs before their next step, ``load_gate`` holds loads."""

    def __init__(self, config: Config) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.running = threading.Event()
        self.load_gate = threading.Event()
        self.load_gate.set()
        self.config = config
        self.runtime = quick_runtime(config, launcher=inline_launcher(self._runner))
        app = quick_app(self.runtime)
        app.test_client_class = CheckedClient
        self.client: FlaskClient = app.test_client()

    def _runner(self) -> FakeRunner:
        return FakeRunner(
            on_step=lambda command, step: self._on_step(command, step),
            on_load=lambda spec: self._on_load(spec),
            inline=True,
        )

    def _on_step(self, command: RunJob, step: int) -> None:
        self.running.set()
        self.gate.wait(PATIENCE_SECONDS)

    def _on_load(self, spec: LoadSpec) -> None:
        self.load_gate.wait(PATIENCE_SECONDS)

    def start(self) -> House:
        """Start, and have the bundled model loaded."""
        with self.runtime.jobs.bus.subscribe() as mailbox:
            self.runtime.start()
            # The event comes last: before it, the slot still says that it is loading.
            while not isinstance(event := mailbox.get(PATIENCE_SECONDS), ModelLoaded):
                assert event is not None, "the model was not loaded"
        return self

    def submit(self, **fields: Any) -> str:
        answer = self.client.post("/txt2img", json={"prompt": "a red circle", "steps": 2, **fields})
        assert answer.status_code == 202, answer.text
        return str(answer.get_json()["job_id"])

    def finished(self, job_id: str) -> dict[str, Any]:
        """Wait for the job's end; its wire object."""
        assert self.runtime.jobs.queue.wait(job_id, PATIENCE_SECONDS).status in FINISHED
        return dict(self.client.get(f"/queue/{job_id}").get_json())

    def close(self) -> None:
        self.gate.set()
        self.load_gate.set()
        self.runtime.stop()


@contextlib.contextmanager
def preview_before_second_step(house: House) -> Iterator[None]:
    """Have the second step of the jobs inside begin when a preview of the first one was published: of a job that is
    over in no time, it is gone with the spool before anybody has read it."""
    usual = house._on_step
    with house.runtime.jobs.bus.subscribe() as mailbox:

        def wait(command: RunJob, step: int) -> None:
            usual(command, step)
            while step == 2 and not isinstance(event := mailbox.get(PATIENCE_SECONDS), JobPreview):
                assert event is not None, "there was no preview"

        house._on_step = wait  # type: ignore[method-assign]
        try:
            yield
        finally:
            house._on_step = usual  # type: ignore[method-assign]


class ServedHouse:
    """A house behind real sockets. ``url`` and ``ws_url`` are the two ports; ``port`` the first, any by default."""

    def __init__(self, house: House, dialects: Sequence[Dialect | LateDialect] = DIALECTS, port: int = 0) -> None:
        self.house = house
        self.runtime = house.runtime
        self.sockets = [*bind("127.0.0.1", (port,)), _free_socket()]
        self.port, self.ws_port = (bound.getsockname()[1] for bound in self.sockets)
        self.url, self.ws_url = (f"http://127.0.0.1:{port}" for port in (self.port, self.ws_port))
        self.shell = Shell(house.runtime, dialects)
        self.server = _NoticedServer(self.shell, house.runtime)
        self._thread = threading.Thread(target=self.server.run, kwargs={"sockets": self.sockets}, daemon=True)

    def start(self) -> ServedHouse:
        with self.runtime.jobs.bus.subscribe() as mailbox:
            self._thread.start()
            assert self.server.listens.wait(PATIENCE_SECONDS), f"the server did not start: {self.shell.start_error}"
            # The event comes last: before it, the slot still says that it is loading.
            while not isinstance(event := mailbox.get(PATIENCE_SECONDS), ModelLoaded):
                assert event is not None, "the model was not loaded"
        return self

    def get(self, path: str, **more: Any) -> requests.Response:
        if not self.house.config.auth.is_on:
            # It is ignored there, and never written down.
            more["headers"] = {**SENT_KEY, **(more.get("headers") or {})}
        return requests.get(self.url + path, timeout=PATIENCE_SECONDS, **more)

    def post(self, path: str, **more: Any) -> requests.Response:
        return requests.post(self.url + path, timeout=PATIENCE_SECONDS, **more)

    def listen(self, path: str = "/ws", port: int | None = None, **more: Any) -> ClientConnection:
        url = f"ws://127.0.0.1:{port or self.port}{path}"
        return connect(url, open_timeout=PATIENCE_SECONDS, close_timeout=2, **more)

    def connection(self) -> socket.socket:
        """A bare connection, for what no client library would send."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)

    def stop(self) -> None:
        self.house.gate.set()
        self.house.load_gate.set()
        self.server.should_exit = True
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive(), "the server did not stop"


class _NoticedServer(Server):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.listens = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listens.set()


def _free_socket() -> socket.socket:
    return bind("127.0.0.1", (0,))[0]


def make_config(folder: Path, **sections: dict[str, Any]) -> Config:
    paths = {
        "data_dir": folder / "data",
        "models_dir": folder / "models",
        "output_dir": folder / "output",
        "log_dir": folder / "logs",
        # Not the one of this checkout, which may be built or not.
        "webui_dir": folder / "webui",
    }
    if "api_keys" in sections.get("auth", {}):
        sections["auth"] = {**sections["auth"], "api_keys": [*sections["auth"]["api_keys"], CANARY_KEY]}
    tokens = {"huggingface_token": CANARY_TOKEN, "civitai_token": CANARY_TOKEN}
    # Tests of downloads have tokens of their own, or none.
    sections.setdefault("downloads", tokens)
    return Config(**{"paths": paths, "engine": {"stop_timeout_seconds": 1}, **sections})


@pytest.fixture
def make_house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Build houses that are not started yet, with ``section={...}`` settings; all are stopped at the end."""
    with contextlib.ExitStack() as opened:
        count = iter(range(1000))

        def make(**sections: dict[str, Any]) -> House:
            house = House(make_config(tmp_path / f"house{next(count)}", **sections))
            opened.callback(house.close)
            return house

        yield make


@pytest.fixture
def house(make_house: Callable[..., House]) -> House:
    """A started house with the bundled model loaded."""
    return make_house().start()


@pytest.fixture
def client(house: House) -> FlaskClient:
    return house.client


@pytest.fixture(scope="module")
def shared_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """A client of one house for a whole module: for requests that are refused and leave nothing behind."""
    house = House(make_config(tmp_path_factory.mktemp("shared")))
    try:
        yield house.start().client
    finally:
        house.close()


@pytest.fixture
def make_served(make_house: Callable[..., House]) -> Iterator[Callable[..., ServedHouse]]:
    """Serve houses on loopback ports, with ``section={...}`` settings."""
    with contextlib.ExitStack() as opened:

        def make(**sections: dict[str, Any]) -> ServedHouse:
            served = ServedHouse(make_house(**sections))
            opened.callback(served.stop)
            return served.start()

        yield make


@pytest.fixture
def served(make_served: Callable[..., ServedHouse]) -> ServedHouse:
    return make_served()


@pytest.fixture
def next_event() -> Callable[..., dict[str, Any]]:
    """Read a WebSocket until a message with that ``event`` comes."""
    import json

    def read(connection: ClientConnection, name: str) -> dict[str, Any]:
        for _ in range(10_000):
            message = json.loads(connection.recv(timeout=PATIENCE_SECONDS))
            if message.get("event") == name:
                return dict(message)
        raise AssertionError(f"no {name} came")

    return read
