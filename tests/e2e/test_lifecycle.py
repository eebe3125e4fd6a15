"""Deaths, cancels and stops of the real thing: nothing is lost, nothing hangs, one sentence says what happened."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from websockets.sync.client import connect

import sdcpp_rest
from tests.e2e.conftest import TIMEOUT, ServerProcess, children_of

pytestmark = [pytest.mark.e2e, pytest.mark.native]

MakeServer = Callable[..., ServerProcess]
LONG = {"steps": 3000, "seed": 1}
PROMPT = "a red circle on a blue background"


def test_start_answers_health_before_the_model_is_loaded(make_server: MakeServer) -> None:
    server = make_server()
    health = server.get("/health")
    assert health["status"] == "ok"
    assert health["version"]
    loaded = server.wait_loaded()
    assert loaded["model_name"] == "demo_dit_q8_0.gguf"
    assert loaded["engine"]["state"] in ("idle", "loading")
    assert loaded["engine"]["pid"] != server.process.pid  # type: ignore[union-attr]


def test_job_submitted_while_the_model_loads_is_drawn_with_it(make_server: MakeServer) -> None:
    server = make_server()
    job = server.wait(server.submit(PROMPT, steps=2))
    assert (job["status"], job["model"]) == ("completed", "demo_dit_q8_0.gguf")


def test_websocket_tells_the_whole_story_of_a_job(server: ServerProcess) -> None:
    with connect(server.ws_url, max_size=2**26) as stream:
        assert json.loads(stream.recv(TIMEOUT))["event"] == "server_status"
        job_id = server.submit(PROMPT, steps=8, seed=1)
        story = []
        while True:
            message = json.loads(stream.recv(TIMEOUT))
            assert set(message) == {"event", "timestamp", "seq", "epoch", "data"}
            if message["data"].get("job_id") == job_id:
                story.append(message)
            if message["event"] == "job_status_changed" and message["data"]["status"] == "completed":
                break
    names = [message["event"] for message in story]
    assert names[:2] == ["job_added", "job_status_changed"]
    assert "job_progress" in names
    preview = next(message["data"] for message in story if message["event"] == "job_preview")
    assert preview["image"].startswith("data:image/jpeg;base64,")
    assert {"step", "frame_count", "width", "height", "is_noisy"} <= set(preview)
    steps = [message["data"]["step"] for message in story if message["event"] == "job_progress"]
    assert steps == sorted(steps)
    assert steps[-1] == 8
    assert story[-1]["data"]["outputs"] == [f"{job_id}/image_0.png"]
    assert server.picture(job_id).startswith(b"\x89PNG")


def test_both_websocket_ports_and_paths_carry_the_stream(make_server: MakeServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = make_server(f"server.ws_port={port}")
    for url in (server.ws_url, server.ws_port_url, server.url.replace("http", "ws") + "/"):
        with connect(url) as stream:
            assert json.loads(stream.recv(TIMEOUT))["event"] == "server_status"


def test_cancel_of_a_running_job_stops_within_a_step_and_keeps_the_model(server: ServerProcess) -> None:
    before = server.picture(server.wait(server.submit(PROMPT, steps=4, seed=9))["job_id"])
    job_id = server.submit(PROMPT, **LONG)
    server.wait_running(job_id)
    pid = server.engine().pid
    started = time.monotonic()
    answer = requests.delete(f"{server.url}/queue/{job_id}", timeout=TIMEOUT)
    assert (answer.status_code, answer.json()["success"]) == (200, True)
    job = server.wait(job_id)
    assert job["status"] == "cancelled"
    assert time.monotonic() - started < 10, "3000 steps would have taken minutes"
    health = server.get("/health")
    assert health["model_loaded"]
    assert health["engine"]["pid"] == pid
    assert health["engine"]["restarts"] == 0
    assert server.picture(server.wait(server.submit(PROMPT, steps=4, seed=9))["job_id"]) == before
    assert not (server.folder / "output" / job_id).exists()


def test_cancel_of_a_pending_job_is_immediate_and_a_finished_one_is_refused(server: ServerProcess) -> None:
    running = server.submit(PROMPT, **LONG)
    pending = server.submit(PROMPT, **LONG)
    answer = requests.delete(f"{server.url}/queue/{pending}", timeout=TIMEOUT)
    assert answer.json()["message"] == "Job cancelled"
    assert server.job(pending)["status"] == "cancelled"
    again = requests.delete(f"{server.url}/queue/{pending}", timeout=TIMEOUT)
    assert (again.status_code, again.json()["error"]) == (
        400, "Cannot cancel job (not found or already processing)",
    )  # fmt: skip
    requests.delete(f"{server.url}/queue/{running}", timeout=TIMEOUT)
    assert server.wait(running)["status"] == "cancelled"


def test_killed_worker_costs_one_job_and_the_queue_goes_on(server: ServerProcess) -> None:
    doomed, next_one = server.submit(PROMPT, **LONG), server.submit(PROMPT, steps=2)
    server.wait_running(doomed)
    engine = server.engine()
    engine.kill()
    job = server.wait(doomed)
    assert job["status"] == "failed"
    assert "SIGKILL" in job["error"]
    assert server.wait(next_one)["status"] == "completed"
    health = server.get("/health")
    assert health["engine"]["pid"] != engine.pid
    assert health["engine"]["restarts"] == 1
    assert health["model_loaded"]


def test_worker_killed_while_idle_comes_back_with_its_model(server: ServerProcess) -> None:
    pid = server.engine().pid
    server.engine().kill()
    health = server.until(
        lambda: server.get("/health"),
        lambda health: health["engine"]["pid"] not in (None, pid) and health["model_loaded"],
    )
    assert health["model_name"] == "demo_dit_q8_0.gguf"


def test_engine_killed_while_it_loads_costs_no_job_but_the_one_that_ran(server: ServerProcess) -> None:
    doomed = server.submit(PROMPT, **LONG)
    waiting = [server.submit(PROMPT, steps=2, seed=n) for n in range(4)]
    server.wait_running(doomed)
    server.engine().kill()
    server.until(lambda: server.get("/health"), lambda health: health["model_loading"] and health["engine"]["pid"])
    server.engine().kill()
    assert server.wait(doomed)["status"] == "failed"
    assert [server.wait(job_id)["status"] for job_id in waiting] == ["completed"] * 4
    assert server.get("/health")["selected_model_name"] == "demo_dit_q8_0.gguf"


def test_model_selected_last_survives_a_killed_engine_at_the_next_start(make_server: MakeServer) -> None:
    server = make_server()
    server.wait_loaded()
    folder = server.folder / "models" / "diffusion_models"
    folder.mkdir(parents=True)
    demo = Path(sdcpp_rest.__file__).parent / "demo" / "diffusion_models"
    for suffix in ("gguf", "json"):
        (folder / f"mine.{suffix}").write_bytes((demo / f"demo_dit_q8_0.{suffix}").read_bytes())
    assert server.post("/models/load", {"model_name": "mine.gguf"}).status_code == 200
    server.kill()
    server.start()
    server.engine().kill()
    health = server.until(lambda: server.get("/health"), lambda health: health["model_loaded"])
    assert health["model_name"] == "mine.gguf"


def test_killed_server_leaves_no_engine_and_loses_no_job(server: ServerProcess) -> None:
    done = server.submit(PROMPT, steps=2)
    server.wait(done)
    running = server.submit(PROMPT, steps=150, seed=1)
    pending = [server.submit(PROMPT, steps=2, seed=n) for n in range(3)]
    server.wait_running(running)
    engine = server.engine()
    server.kill()
    engine.wait(TIMEOUT)
    server.start()
    assert server.job(done)["outputs"] == [f"{done}/image_0.png"]
    finished = [server.wait(job_id) for job_id in (running, *pending)]
    assert {job["status"] for job in finished} == {"completed"}
    ended = [job["completed_at"] for job in finished]
    assert ended == sorted(ended), "the interrupted job is first again"
    assert server.picture(done).startswith(b"\x89PNG")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_polite_stop_in_mid_job_keeps_the_job_for_the_next_start(make_server: MakeServer, number: int) -> None:
    server = make_server("engine.stop_timeout_seconds=0.3")
    server.wait_loaded()
    running, pending = server.submit(PROMPT, steps=400, seed=1), server.submit(PROMPT, steps=2)
    server.wait_running(running)
    family = children_of(server.process.pid)  # type: ignore[union-attr]
    started = time.monotonic()
    server.signal(number)
    assert time.monotonic() - started < 10
    assert psutil.wait_procs(family, timeout=10)[1] == [], "the engine is gone as well"
    assert "Traceback" not in server.log.read_text()
    assert not (server.folder / "data" / "server.json").exists()
    server.start()
    assert server.job(running)["status"] in ("pending", "processing")
    requests.delete(f"{server.url}/queue/{running}", timeout=TIMEOUT)
    assert server.wait(pending)["status"] == "completed"


def test_job_that_ends_in_time_is_finished_before_the_stop(server: ServerProcess) -> None:
    job_id = server.submit(PROMPT, steps=12)
    server.wait_running(job_id)
    server.signal(signal.SIGTERM)
    assert (server.folder / "output" / job_id / "image_0.png").exists()


def test_port_in_use_and_folder_in_use_are_one_sentence(server: ServerProcess, tmp_path: Path) -> None:
    def refused(*arguments: str) -> str:
        command = [sys.executable, "-m", "sdcpp_rest", "serve", *arguments]
        result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
        assert result.returncode != 0
        assert "Traceback" not in result.stderr
        return result.stderr

    port = server.url.rpartition(":")[2]
    taken = refused("--port", port, "--ws-port", "0", "--data-dir", str(tmp_path / "other"))
    assert f"port {port}" in taken
    held = refused("--port", "0", "--ws-port", "0", "--data-dir", str(server.folder / "data"))
    assert "data folder" in held


def test_failed_load_leaves_a_usable_server(server: ServerProcess) -> None:
    folder = server.folder / "models" / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "broken.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0not a header....")
    answer = server.post("/models/load", {"model_name": "broken.safetensors"})
    assert answer.status_code in (400, 500)
    assert "broken.safetensors" in answer.json()["error"]
    assert server.get("/health")["model_name"] == "demo_dit_q8_0.gguf", "the old model was not touched"
    missing = server.post("/models/load", {"model_name": "nope.safetensors"})
    assert missing.status_code == 500
    assert missing.json()["error"] == "Internal error: Model not found: nope.safetensors"
    assert server.wait(server.submit(PROMPT, steps=2))["status"] == "completed"


def test_unload_then_no_model_then_load_again(server: ServerProcess) -> None:
    assert server.post("/models/unload").json() == {"success": True, "message": "Model unloaded"}
    assert server.post("/models/unload").status_code == 200
    refused = server.post("/txt2img", {"prompt": PROMPT})
    assert (refused.status_code, refused.json()["error"]) == (400, "No model loaded")
    assert server.post("/models/load", {"model_name": "demo_dit_q8_0.gguf"}).status_code == 200
    assert server.wait(server.submit(PROMPT, steps=2))["status"] == "completed"


def test_health_answers_while_sixty_callers_wait(server: ServerProcess) -> None:
    server.wait_running(server.submit(PROMPT, **LONG))
    started = threading.Barrier(61)
    answers: list[int] = []

    def wait_for_a_load() -> None:
        started.wait(TIMEOUT)
        answers.append(server.post("/models/load", {"model_name": "demo_dit_q8_0.gguf"}).status_code)

    threads = [threading.Thread(target=wait_for_a_load) for _ in range(60)]
    for thread in threads:
        thread.start()
    started.wait(TIMEOUT)
    for _ in range(20):
        assert server.get("/health")["status"] == "ok"
    assert len(answers) < 60, "they do wait"
    server.signal(signal.SIGTERM)
    for thread in threads:
        thread.join(TIMEOUT)
    assert not any(thread.is_alive() for thread in threads), "the stop released them"


def test_generate_uses_the_running_server_and_works_without_one(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server()
    server.wait_loaded()
    command = [sys.executable, "-m", "sdcpp_rest", "generate", PROMPT, "--steps", "2", "--seed", "4", "--set",
               "engine.n_threads=1", "--data-dir", str(server.folder / "data")]  # fmt: skip
    with_server, without = tmp_path / "with.png", tmp_path / "without.png"
    subprocess.run([*command, "-o", str(with_server)], check=True, timeout=TIMEOUT)
    assert server.get("/queue")["completed_count"] == 1
    server.stop()
    subprocess.run([*command, "-o", str(without)], check=True, timeout=TIMEOUT)
    assert with_server.read_bytes() == without.read_bytes()


def test_generate_reports_errors_in_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sdcpp_rest", "generate", "x", "--steps", "0", "-o", str(tmp_path / "x.png")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    assert result.returncode == 1
    assert "steps" in result.stderr
    assert "Traceback" not in result.stderr


def test_doctor_and_routes_say_what_is_there() -> None:
    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "sdcpp_rest", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=TIMEOUT).stdout

    facts: dict[str, Any] = json.loads(run("doctor", "--json"))
    assert facts["library_version"] == "0.4.7"
    assert facts["devices"][0]["total_bytes"] > 0
    assert "LLAMAFILE" in facts["features"], "make setup builds with it"
    table = run("routes")
    assert "POST    /txt2img" in table
    assert "routes/root_pictures.py:" in table


def test_engine_is_restarted_on_demand_and_draws_the_same_again(server: ServerProcess) -> None:
    def draw() -> bytes:
        job_id = server.submit(PROMPT, steps=2, seed=1)
        assert server.wait(job_id)["status"] == "completed"
        return server.picture(job_id)

    before = server.engine().pid
    pictures = [draw()]
    running = server.submit(PROMPT, **LONG)
    server.wait_running(running)
    assert server.post("/engine/restart").status_code == 409
    answer = server.post("/engine/restart", {"force": True})
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert (shown["status"], shown["requeued"], shown["restarts"]) == ("ready", [running], 1)
    assert shown["pid"] != before
    assert not psutil.pid_exists(before)
    server.wait_running(running)
    server.post(f"/queue/{running}/cancel")
    pictures.append(draw())
    assert pictures[0] == pictures[1]
    checks = {check["name"]: check["status"] for check in server.get("/system/doctor")["checks"]}
    assert checks["engine"] == checks["library"] == "ok"
    assert any("sd" in line or "ggml" in line for line in server.get("/logs/engine")["lines"])


def test_server_process_stays_small(server: ServerProcess) -> None:
    for seed in range(5):
        server.wait(server.submit(PROMPT, steps=1, seed=seed))
    memory = psutil.Process(server.process.pid).memory_info().rss  # type: ignore[union-attr]
    assert memory < 160 * 2**20
    assert os.path.exists(server.folder / "data" / "logs" / "engine.log")


def test_connections_beyond_the_limit_do_not_silence_the_server(make_server: MakeServer) -> None:
    """Each of these says too little to be a request. The limit of open files stays out of their reach."""
    server = make_server('engine.runner="fake"', prefix=("prlimit", "--nofile=256:256"))
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    silent = []
    try:
        for _ in range(400):
            connection = socket.create_connection((host, int(port)), timeout=TIMEOUT)
            silent.append(connection)
            connection.sendall(b"GET / HTTP/1.1\r\n")
        hung_up = [connection for connection in silent if _is_closed(connection)]
        assert len(hung_up) >= 200, "those beyond the limit were hung up on"
        assert "Too many open files" not in server.log.read_text()
    finally:
        for connection in silent:
            connection.close()
    assert server.get("/health")["status"] == "ok"


def _is_closed(connection: socket.socket) -> bool:
    connection.settimeout(0.01)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_download_that_nobody_reads_does_not_keep_the_server_from_stopping(make_server: MakeServer) -> None:
    server = make_server('engine.runner="fake"', "engine.stop_timeout_seconds=1")
    (server.folder / "output").mkdir(exist_ok=True)
    with (server.folder / "output" / "large.bin").open("wb") as file:
        file.truncate(200 * 2**20)
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as connection:
        connection.sendall(b"GET /output/large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(16).startswith(b"HTTP/1.1 200")
        started = time.monotonic()
        assert server.signal(signal.SIGTERM) == 0
        assert time.monotonic() - started < 20
