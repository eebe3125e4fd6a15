"""What SwarmUI's dialect adds to a picture, and how long its lists take: its one call against the native route's three,
a picture's way to a WebSocket, and a history of 10,000 pictures.

With the fake engine, because what is looked for is a few milliseconds beside the seconds of a real picture.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from benchmarks.figures import Figure, Options, main, spread
from benchmarks.served import PATIENCE_SECONDS, PROMPT, Client, Server
from sdcpp_rest.config import HousekeepingConfig
from sdcpp_rest.core.job import Job, utc_now
from sdcpp_rest.routes.swarmui.history import list_history
from sdcpp_rest.routes.swarmui.history_paths import spell_name
from sdcpp_rest.services.jobs.active_jobs import ActiveJobs
from sdcpp_rest.services.jobs.job_reader import JobReader
from sdcpp_rest.services.jobs.picture_history import PictureHistory
from sdcpp_rest.services.jobs.recycle_bin import RecycleBin
from sdcpp_rest.services.pictures.outputs import Outputs
from sdcpp_rest.services.settings.user_settings import UserSettings
from sdcpp_rest.store.bin_store import BinStore
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.job_store import JobStore
from sdcpp_rest.store.picture_names import PictureNames
from sdcpp_rest.store.settings_store import SettingsStore

_WANTED = {"width": 64, "height": 64, "steps": 12}
_NATIVE = {**_WANTED, "cfg_scale": 2.5, "sampler": "euler"}
_SWARM = {**_WANTED, "prompt": PROMPT, "cfgscale": 2.5, "sampler": "euler", "images": 1}
_HISTORY = 10_000


def measure(options: Options) -> list[Figure]:
    with Server(options.engine) as server:
        server.wait_loaded()
        figures = [*_calls(server, options), *_socket(server, options), *_params(server, options)]
        complaints = server.complaints()
    return [*figures, *_history(options), complaints]


def _session(client: Client) -> str:
    return str(json.loads(client.call("POST", "/API/GetNewSession", {})[1])["session_id"])


def _calls(server: Server, options: Options) -> list[Figure]:
    """Both ways in turn, so that whatever else the machine does meets both."""
    native, dialect, added = [], [], []
    with server.listen() as listener, server.connect() as client:
        session = _session(client)
        for seed in range(options.samples(60, 3) + 3):
            job_id = client.submit(seed=seed, **_NATIVE)
            sent_at = client.sent_at
            listener.wait_end(job_id)
            client.picture(job_id)
            one = client.answered_at - sent_at
            body = {**_SWARM, "seed": seed, "session_id": session}
            status, answer = client.call("POST", "/API/GenerateText2Image", body)
            assert status == 200, answer[:300]
            assert json.loads(answer)["images"][0].startswith("View/local/raw/")
            if seed >= 3:  # the first ones also pay for imports and connections
                native.append(one)
                dialect.append(client.seconds)
                added.append(client.seconds - one)
    return [
        *spread("native: POST -> completed event -> picture fetched", native, (50, 90)),
        *spread("GenerateText2Image: POST -> path", dialect, (50, 90)),
        *spread("the second, less the first, same seed", added, (50,), at_most={50: 5}),
    ]


def _socket(server: Server, options: Options) -> list[Figure]:
    """From the native stream's event, which follows the file, to the message with the picture."""
    late = []
    with server.listen() as listener, server.connect() as client:
        session = _session(client)
        for seed in range(options.samples(40, 3)):
            url = f"ws://127.0.0.1:{server.port}/API/GenerateText2ImageWS"
            with connect(url, open_timeout=PATIENCE_SECONDS) as socket:
                socket.send(json.dumps({**_SWARM, "seed": seed, "session_id": session}))
                while "image" not in (message := json.loads(socket.recv(timeout=PATIENCE_SECONDS))):
                    assert "error" not in message, message
                arrived = time.perf_counter()
            newest = client.get("/queue?limit=1")["items"][0]["job_id"]
            completed, _ = listener.wait_end(newest)
            late.append(max(0.0, arrived - completed))
    return spread("GenerateText2ImageWS: completed event -> picture's message", late, (50, 90), at_most={50: 20})


def _params(server: Server, options: Options) -> list[Figure]:
    seconds = []
    with server.connect() as client:
        session = _session(client)
        for index in range(options.samples(100, 3) + 2):
            client.call("POST", "/API/ListT2IParams", {"session_id": session})
            if index >= 2:
                seconds.append(client.seconds)
    return spread("ListT2IParams, warm", seconds, (50, 90), at_most={50: 30})


def _history(options: Options) -> list[Figure]:
    count = options.samples(_HISTORY, 100)
    with _filled_history(count) as history:
        began = time.perf_counter()
        history.name_all(spell_name)
        named = time.perf_counter() - began

        def list_all() -> Any:
            return list_history(history, "", 5, "Name", False, "1")

        first, *warm = [_seconds(list_all) for _ in range(options.samples(20, 3))]
    return [
        Figure(f"{count} pictures: the first names, once", named, "s"),
        Figure(f"ListImages of {count} pictures, the first time", first * 1000, "ms"),
        *spread(f"ListImages of {count} pictures, warm", warm, (50, 90), at_most={50: 100}),
    ]


@contextmanager
def _filled_history(count: int) -> Iterator[PictureHistory]:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "rest.db")
        store, outputs = JobStore(database), Outputs(Path(folder) / "output", Path(folder) / "inputs")
        for index in range(count):
            at = utc_now() - timedelta(minutes=index)
            params = {"prompt": f"{PROMPT} {index}", "seed": index, **_NATIVE}
            store.insert_finished(
                Job(
                    id=f"{index:08}",
                    kind="txt2img",
                    status="completed",
                    created_at=at,
                    completed_at=at,
                    params=params,
                    outputs=(f"{index:08}/image_0.png",),
                )
            )
        settings = UserSettings(SettingsStore(database), HousekeepingConfig())
        bin = RecycleBin(store, BinStore(database), outputs, settings)
        yield PictureHistory(PictureNames(database), JobReader(store, ActiveJobs()), outputs, bin)
        database.close()


def _seconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main("SwarmUI's dialect beside the native route, and its lists", measure, default_engine="fake")
