"""What only shows behind real sockets: bodies, thread pools, who is let in, how it starts and stops."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import pytest
import requests

from sdcpp_rest.web.asgi import _in_chunks
from sdcpp_rest.web.listening import bind
from sdcpp_rest.web.serving import serve
from tests.cases import for_each_case

DEMO = "demo_dit_q8_0.gguf"


def a_load(n_threads: int) -> dict[str, Any]:
    """A body for /models/load that makes the engine load again: no two of them ask for the same thing."""
    return {"model_name": DEMO, "options": {"n_threads": n_threads}}


def raw_exchange(served: Any, request: bytes) -> tuple[int, bytes]:
    """Send bytes that no client library would, read until the server closes or the answer is whole; status and body."""
    with served.connection() as connection:
        connection.sendall(request)
        received = b""
        while b"\r\n\r\n" not in received:
            part = connection.recv(65536)
            if not part:
                break
            received += part
        head, _, body = received.partition(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += connection.recv(65536)
    return int(head.split()[1]), body


# --- bodies ---------------------------------------------------------------------------------------------------------


def test_a_chunked_body_is_read(served: Any) -> None:
    def parts() -> Iterator[bytes]:
        yield b'{"prompt":'
        yield b'"x","steps":1}'

    answer = served.post("/txt2img", data=parts())
    assert answer.status_code == 202, answer.text


def test_a_chunked_body_in_single_bytes_with_a_chunk_extension_is_read(served: Any) -> None:
    body = b'{"prompt":"x","steps":1}'
    chunks = b"".join(b"1;ext=1\r\n%c\r\n" % byte for byte in body) + b"0\r\nTrailer: x\r\n\r\n"
    status, answer = raw_exchange(
        served, b"POST /txt2img HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    )
    assert status == 202, answer


def test_a_body_that_announces_too_much_is_refused_before_it_is_sent(make_served: Any) -> None:
    served = make_served(limits={"body_bytes": 2048})
    status, body = raw_exchange(
        served, b"POST /txt2img HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n"
    )
    assert status == 413
    assert json.loads(body)["code"] == "payload_too_large"
    assert "limits.body_bytes" in json.loads(body)["error"]


def test_a_body_that_turns_out_too_large_is_refused_and_the_client_hears_it(make_served: Any) -> None:
    served = make_served(limits={"body_bytes": 2048})

    def endless() -> Iterator[bytes]:
        for _ in range(2000):
            yield b"x" * 1024

    answer = served.post("/txt2img", data=endless())
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert served.post("/txt2img", data=b"x" * 4096).status_code == 413
    assert served.get("/health").status_code == 200


def test_a_body_of_exactly_the_limit_is_read(make_served: Any) -> None:
    served = make_served(limits={"body_bytes": 2048})
    body = b'{"prompt":"x","steps":1}'
    assert served.post("/txt2img", data=body + b" " * (2048 - len(body))).status_code == 202
    assert served.post("/txt2img", data=body + b" " * (2049 - len(body))).status_code == 413


def test_a_large_body_arrives_whole(served: Any) -> None:
    body = {"prompt": "x", "steps": 1, "init_image_base64_typo": "A" * 20_000_000}
    answer = served.post("/txt2img", json=body)
    assert answer.status_code == 202, answer.text[:500]


def test_a_connection_is_kept_for_the_next_request_also_after_errors(served: Any) -> None:
    with requests.Session() as session:
        for path, status in (("/health", 200), ("/nothing", 404), ("/queue/x", 404), ("/health", 200)):
            answer = session.get(served.url + path, timeout=20)
            assert answer.status_code == status
            assert "close" not in answer.headers.get("Connection", "")


def test_a_very_long_url_makes_a_short_answer(served: Any) -> None:
    answer = served.get("/" + "x" * 8000)
    assert answer.status_code == 404
    assert len(answer.content) < 300


def test_a_client_that_leaves_in_the_middle_of_its_body_hurts_nobody(served: Any, caplog: Any) -> None:
    with served.connection() as connection:
        connection.sendall(b"POST /txt2img HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
    assert served.get("/health").status_code == 200
    assert "Traceback" not in caplog.text


@for_each_case(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused_in_json(served: Any, request_bytes: bytes) -> None:
    status, body = raw_exchange(served, request_bytes)
    assert status == 400
    assert json.loads(body)["error"]


@for_each_case("path", ["/output//etc/passwd", "/output/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd"])
def test_odd_paths_reach_no_file_and_answer_in_json(served: Any, path: str) -> None:
    status, body = raw_exchange(served, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert status in (400, 404)
    assert json.loads(body)["error"]


def test_both_ports_serve_the_same_api(served: Any) -> None:
    answers = [requests.get(url + "/health", timeout=20) for url in (served.url, served.ws_url)]
    assert [answer.json()["model_name"] for answer in answers] == [DEMO, DEMO]


def test_pictures_come_whole_through_the_socket(served: Any) -> None:
    job = served.house.finished(served.house.submit(width=512, height=512))
    answer = served.get("/output/" + job["outputs"][0])
    stored = Path(served.runtime.config.paths.output_dir, job["outputs"][0]).read_bytes()
    assert answer.content == stored
    assert answer.headers["Content-Type"] == "image/png"
    assert "Server" not in answer.headers
    big = Path(served.runtime.config.paths.output_dir, "big.webp")
    big.write_bytes(bytes(range(256)) * 40_000)
    assert served.get("/output/big.webp").content == big.read_bytes()


# --- thread pools ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_callers_that_wait_do_not_delay_the_others_and_too_many_are_told(make_served: Any) -> None:
    served = make_served(server={"blocking_threads": 20, "short_threads": 2})
    served.house.load_gate.clear()
    with ThreadPoolExecutor(20) as waiting:
        loads = [waiting.submit(served.post, "/models/load", json=a_load(threads)) for threads in range(1, 21)]
        _until_waiting(served, 20)
        full = served.post("/models/load", json={})
        assert full.status_code == 503
        assert full.json()["code"] == "engine_unavailable"
        assert full.headers["Retry-After"] == "1"
        for _ in range(20):
            assert served.get("/health").json()["status"] == "ok"
        assert served.post("/txt2img", json={"prompt": "x", "steps": 1}).status_code == 202
        served.house.load_gate.set()
        assert [load.result().status_code for load in loads] == [200] * 20
    assert served.post("/models/load", json={"model_name": DEMO}).status_code == 200


def test_stop_releases_callers_that_wait(make_served: Any) -> None:
    served = make_served(engine={"stop_timeout_seconds": 60})
    served.house.load_gate.clear()
    with ThreadPoolExecutor(3) as waiting:
        loads = [waiting.submit(served.post, "/models/load", json=a_load(threads)) for threads in (1, 2, 3)]
        _until_waiting(served, 3)
        served.server.should_exit = True
        # One load is inside the engine, which the gate still holds; the two that wait for it are released at once.
        released = [done.result().status_code for done in itertools.islice(as_completed(loads, timeout=20), 2)]
        assert released == [503, 503]
        served.house.load_gate.set()
        assert [load.result(20).status_code for load in loads].count(503) >= 2


def test_a_client_that_never_ends_its_body_cannot_hold_up_the_stop(served: Any, caplog: Any) -> None:
    with served.connection() as connection:
        connection.sendall(b"POST /txt2img HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
        served.get("/health")
        # Uvicorn's own patience; that of the setting is a second at least.
        served.server.config.timeout_graceful_shutdown = 0.1
        served.stop()
        assert connection.recv(65536).startswith(b"HTTP/1.1 503")
    assert "Traceback" not in caplog.text


def _until_waiting(served: Any, count: int) -> None:
    for _ in range(2000):
        if served.shell.blocking_in_flight >= count:
            return
        served.get("/health")
    raise AssertionError("the calls never waited")


# --- who is let in --------------------------------------------------------------------------------------------------


def test_a_foreign_host_is_refused_with_the_name_of_the_setting(served: Any) -> None:
    answer = served.get("/health", headers={"Host": "rebound.example"})
    assert answer.status_code == 403
    assert answer.json()["setting"] == "server.allowed_hosts"


def test_a_foreign_page_is_refused_before_anything_happens(served: Any) -> None:
    before = served.runtime.jobs.queue.counts()["total"]
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}):
        answer = served.post("/txt2img", data='{"prompt":"x"}', headers={**headers, "Content-Type": "text/plain"})
        assert answer.status_code == 403
        assert answer.json()["setting"] == "server.cors_origins"
        assert "Access-Control-Allow-Origin" not in answer.headers
    preflight = requests.options(
        served.url + "/txt2img",
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
        timeout=20,
    )
    assert preflight.status_code == 403
    assert served.runtime.jobs.queue.counts()["total"] == before


def test_an_allowed_page_is_answered_with_cors_also_on_errors(make_served: Any) -> None:
    served = make_served(server={"cors_origins": ["https://app.example.org"]})
    for origin in ("https://app.example.org", "http://localhost:5173"):
        for path, status in (("/health", 200), ("/nothing", 404)):
            answer = served.get(path, headers={"Origin": origin})
            assert answer.status_code == status
            assert answer.headers["Access-Control-Allow-Origin"] == origin
            assert "Origin" in answer.headers["Vary"]
        preflight = requests.options(
            served.url + "/models/load",
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type,x-anything",
            },
            timeout=20,
        )
        assert preflight.status_code == 200
        assert preflight.headers["Access-Control-Allow-Origin"] == origin
        assert "x-anything" in preflight.headers["Access-Control-Allow-Headers"]
        assert "DELETE" in preflight.headers["Access-Control-Allow-Methods"]


def test_an_odd_authorization_header_is_fine_while_keys_are_off(served: Any) -> None:
    for header in ("", "Basic ", "Bearer", "Nonsense"):
        assert served.get("/queue", headers={"Authorization": header}).status_code == 200


def test_with_keys_everything_but_health_needs_one(make_served: Any) -> None:
    served = make_served(auth={"api_keys": ["sesame", "anna:secret"]})
    assert served.get("/health").json() == {"status": "ok"}
    assert served.get("/health", headers={"Authorization": "Bearer sesame"}).json()["model_name"] == DEMO
    for path in ("/", "/queue", "/models", "/output", "/nothing", "/queue?token=sesame"):
        refused = served.get(path)
        assert (refused.status_code, refused.json()["code"]) == (401, "not_authenticated")
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert served.get("/queue", headers={"Authorization": "Bearer sesame"}).status_code == 200
    assert served.get("/queue", auth=("anyone", "sesame")).status_code == 200
    assert served.get("/queue", auth=("anna", "secret")).status_code == 200
    assert served.get("/queue", auth=("bob", "secret")).status_code == 401
    assert "Basic" in served.get("/", headers={"Accept": "text/html"}).headers["WWW-Authenticate"]


def test_a_refused_key_is_told_to_allowed_pages(make_served: Any) -> None:
    served = make_served(auth={"api_keys": ["sesame"]})
    answer = served.get("/queue", headers={"Origin": "http://localhost:5173"})
    assert answer.status_code == 401
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:5173"
    preflight = requests.options(
        served.url + "/queue",
        headers={"Origin": "http://localhost:5173", "Access-Control-Request-Method": "GET"},
        timeout=20,
    )
    assert preflight.status_code == 200


# --- starting and stopping ------------------------------------------------------------------------------------------


def test_server_json_tells_where_it_listens_and_goes_with_the_server(served: Any) -> None:
    path = Path(served.runtime.config.paths.data_dir, "server.json")
    told = json.loads(path.read_text())
    assert set(told) == {"pid", "host", "port", "ws_port", "url", "version", "started_at"}
    assert (told["port"], told["ws_port"], told["url"]) == (served.port, served.ws_port, served.url)
    served.stop()
    assert not path.exists()


@pytest.mark.parametrize("which", ["port", "ws_port"])
def test_a_taken_port_is_one_sentence_that_names_it(make_house: Any, which: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = {"port": 0, "ws_port": 0, which: port}
        house = make_house(server=server)
        with pytest.raises(SystemExit) as ended:
            serve(house.runtime)
    sentence = str(ended.value.code)
    assert str(port) in sentence
    assert "in use" in sentence
    assert f"server.{which}" in sentence
    assert "\n" not in sentence


def test_a_second_server_on_a_port_is_refused_though_the_first_has_not_accepted_yet() -> None:
    first = bind("127.0.0.1", (0,))
    try:
        with pytest.raises(SystemExit):
            bind("127.0.0.1", (first[0].getsockname()[1],))
    finally:
        first[0].close()


@pytest.mark.parametrize("host", ["256.1.1.1", "203.0.113.1", "no-such-host.invalid"])
def test_an_address_that_is_not_ours_is_one_sentence(host: str) -> None:
    with pytest.raises(SystemExit) as ended:
        bind(host, (0,))
    assert host in str(ended.value.code)
    assert "server.host" in str(ended.value.code)


def test_a_runtime_that_cannot_start_is_one_sentence(make_house: Any, monkeypatch: Any, caplog: Any) -> None:
    house = make_house(server={"port": 0, "ws_port": 0})

    def broken() -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(house.runtime, "start", broken)
    with pytest.raises(SystemExit) as ended:
        serve(house.runtime)
    assert str(ended.value.code) == "sdcpp-rest: the disk is full"
    assert "Traceback" not in caplog.text
    assert "startup failed" not in caplog.text


def test_answers_on_a_kept_connection_do_not_wait_for_acknowledgements(served: Any) -> None:
    # Looked at by its cause: Nagle's algorithm holds back the second part of an answer, for 40 ms each time.
    with requests.Session() as session:
        for url in (served.url, served.ws_url):
            session.get(url + "/health", timeout=20)
        kept = [open_.transport.get_extra_info("socket") for open_ in served.server.server_state.connections]
        assert len(kept) == 2
        assert all(plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for plain in kept)


def test_a_second_port_of_zero_is_no_second_port() -> None:
    sockets = bind("127.0.0.1", (0, 0))
    assert len(sockets) == 1
    sockets[0].close()


@pytest.mark.parametrize(
    ("parts", "pieces"),
    [
        ([b"a", b"b"], [2]),
        ([b"x" * 600_000], [600_000]),
        ([b"x" * 300_000, b"y" * 300_000], [300_000, 300_000]),
        ([b"a", b"x" * 300_000, b"b"], [300_001, 1]),
        ([], []),
    ],
)
def test_an_answer_leaves_its_thread_in_few_pieces_and_a_large_part_as_it_is(
    parts: list[bytes], pieces: list[int]
) -> None:
    given = list(_in_chunks(parts))
    assert [len(piece) for piece in given] == pieces
    assert b"".join(given) == b"".join(parts)
