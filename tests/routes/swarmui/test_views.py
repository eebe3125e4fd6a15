from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import ClientConnection

from sdcpp_rest.routes.swarmui.dialect import SWARMUI
from sdcpp_rest.routes.swarmui.errors import SOCKET_ROUTES
from sdcpp_rest.routes.swarmui.sessions import Sessions
from sdcpp_rest.routes.swarmui.sockets import http_only
from tests.cases import for_each_case
from tests.routes.conftest import PATIENCE_SECONDS, House, ServedHouse
from tests.routes.swarmui.conftest import SwarmClient, next_message


def test_session_is_opened_as_upstream_opens_it(shared_swarm: SwarmClient) -> None:
    opened = shared_swarm.call("GetNewSession", session_id=None)
    assert len(opened["session_id"]) == 40
    assert opened["session_id"] == opened["session_id"].upper()
    assert int(opened["session_id"], 16)
    assert (opened["user_id"], opened["output_append_user"]) == ("local", True)
    again = shared_swarm.call("GetNewSession", session_id=None)
    assert again["session_id"] != opened["session_id"]
    assert (again["server_id"], again["version"]) == (opened["server_id"], opened["version"])
    assert "fundamental_generate_tab_access" in opened["permissions"]
    assert not {"view_server_tab", "comfy_direct_calls", "utilities_tab"} & {*opened["permissions"]}


def test_nobody_is_impersonated(shared_swarm: SwarmClient) -> None:
    refused = shared_swarm.call("GetNewSession", impersonateUser="admin")
    assert refused["error_id"] == "bad_impersonate"


@for_each_case(
    ("route", "body", "status", "error_id", "words"),
    [
        ("GetCurrentStatus", b"", 400, "basic_api", "bad content length"),
        ("GetCurrentStatus", b"null", 400, "basic_api", "null input"),
        ("GetCurrentStatus", b"{}", 400, "basic_api", "missing session id"),
        ("GetCurrentStatus", b'{"session_id": null}', 400, "basic_api", "missing session id"),
        ("GetCurrentStatus", b'{"session_id": 7}', 400, "basic_api", "missing session id"),
        ("GetCurrentStatus", b'{"session_id": "x"}', 401, "invalid_session_id", "Invalid session ID."),
        ("GetCurrentStatus", b'{"session_id": "' + b"0" * 40 + b'"}', 401, "invalid_session_id", "Invalid session"),
        ("GetCurrentStatus", b"{", 400, "internal_error", "An internal error occurred"),
        ("GetCurrentStatus", b"[]", 400, "internal_error", "An internal error occurred"),
        ("Whatever", b"{}", 400, "bad_route", "Unknown API route"),
        ("Whatever/below", b"", 400, "bad_route", "Unknown API route"),
    ],
)
def test_call_that_is_none_is_answered_in_upstreams_words(
    shared_swarm: SwarmClient, route: str, body: bytes, status: int, error_id: str, words: str
) -> None:
    shown = shared_swarm.client.post(f"/API/{route}", data=body)
    assert (shown.status_code, shown.get_json()["error_id"]) == (status, error_id)
    assert shown.get_json()["error"].startswith(words)


def test_session_may_come_as_a_header(shared_swarm: SwarmClient) -> None:
    shown = shared_swarm.client.post("/API/GetCurrentStatus", json={}, headers={"X-Session-ID": shared_swarm.session})
    assert shown.status_code == 200


def test_content_type_does_not_matter(shared_swarm: SwarmClient) -> None:
    body = json.dumps({"session_id": shared_swarm.session})
    assert shared_swarm.client.post("/API/GetCurrentStatus", data=body).status_code == 200


def test_arguments_are_parsed_from_their_text(shared_swarm: SwarmClient) -> None:
    for value in (True, "True", "false", None):
        assert shared_swarm.call("InterruptAll", other_sessions=value) == {"success": True}
    for value, words in (("yes", "yes"), (1, "1"), ([], "[]")):
        refused = shared_swarm.refusal("InterruptAll", other_sessions=value)
        assert refused == f"Invalid value '{words}' for parameter 'other_sessions', must be type 'Boolean'"


def test_status_of_an_idle_server(shared_swarm: SwarmClient) -> None:
    shown = shared_swarm.call("GetCurrentStatus")
    assert shown["status"] == {"waiting_gens": 0, "loading_models": 0, "waiting_backends": 0, "live_gens": 0}
    assert shown["backend_status"] == {"status": "running", "class": "", "message": "", "any_loading": False}
    assert "gguf" in shown["supported_features"]


def test_backend_is_an_object_by_its_id(shared_swarm: SwarmClient) -> None:
    (backend,) = shared_swarm.call("ListBackends", nonreal=True, full_data=True).values()
    assert (backend["id"], backend["status"], backend["time_since_used"]) == (0, "running", "Never")
    assert backend["type"] != "swarmswarmbackend"
    assert "comfyui" in backend["features"]


def test_resources_are_told(shared_swarm: SwarmClient) -> None:
    shown = shared_swarm.call("GetServerResourceInfo")
    assert shown["cpu"]["cores"] >= 1
    assert shown["system_ram"]["total"] >= shown["system_ram"]["free"] > 0


def test_freeing_memory_unloads_the_model(swarm: SwarmClient, house: House) -> None:
    assert swarm.call("FreeBackendMemory") == {"result": True, "count": 1}
    assert house.runtime.models.slot.resident is None
    assert swarm.call("FreeBackendMemory") == {"result": False, "count": 0}


def test_probe_by_get_is_answered(shared_swarm: SwarmClient) -> None:
    shown = shared_swarm.client.get("/API/GetCurrentStatus")
    assert (shown.status_code, shown.get_json()["error_id"]) == (200, "basic_api")


def test_case_of_a_path_is_the_clients(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served()
    for path in ("/API/GetNewSession", "/api/getnewsession", "/Api/GETNEWSESSION"):
        assert len(served.post(path, json={}).json()["session_id"]) == 40
    assert served.post("/api/nothing", json={}).status_code == 404, "not ours: as every unknown path"
    assert served.post("/API/nothing", json={}).json()["error_id"] == "bad_route"


def test_session_survives_a_restart_for_a_month(house: House, swarm: SwarmClient) -> None:
    options = house.runtime.settings.swarm_options
    now = [1_800_000_000.0]
    session_id = Sessions(options, lambda: now[0]).open()
    day = 24 * 3600
    for age, is_known in ((0, True), (30 * day, True), (32 * day, False)):
        now[0] = 1_800_000_000.0 + age
        assert Sessions(options, lambda: now[0]).is_known(session_id) == is_known
    assert not Sessions(options).is_known(session_id[:-1] + ("0" if session_id[-1] != "0" else "1"))


@for_each_case("session_id", ["", "é" * 40, "Z" * 40, "0" * 39, "0" * 4000])
def test_junk_is_no_session(house: House, session_id: str) -> None:
    assert not Sessions(house.runtime.settings.swarm_options).is_known(session_id)


@pytest.mark.parametrize(
    ("route", "error_id"),
    [("GetCurrentStatus", "bad_request_method"), ("getcurrentstatus", "bad_request_method"), ("Whatever", "bad_route")],
)
def test_socket_where_there_is_none_is_told_so(
    swarm_socket: Callable[[str], ClientConnection], route: str, error_id: str
) -> None:
    socket = swarm_socket(route)
    assert next_message(socket)["error_id"] == error_id
    with pytest.raises(ConnectionClosedOK):
        socket.recv(timeout=PATIENCE_SECONDS)


@pytest.fixture
def locked_served(make_served: Callable[..., ServedHouse]) -> ServedHouse:
    return make_served(auth={"api_keys": ["secret"]})


@for_each_case(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Cookie": "swarm_token=wrong"}, 401),
        ({"Cookie": "swarm_token=secret"}, 200),
        ({"Cookie": 'other=1; swarm_token="secret"'}, 200),
        ({"Authorization": "secret"}, 200),
        ({"Authorization": "Bearer secret"}, 200),
        ({"Cookie": "swarm_token=secret", "Sec-Fetch-Site": "cross-site"}, 401),
    ],
)
def test_key_may_come_as_swarmuis_clients_send_it(
    locked_served: ServedHouse, headers: dict[str, str], status: int
) -> None:
    shown = locked_served.post("/API/GetNewSession", json={}, headers=headers)
    assert shown.status_code == status
    if status == 401:
        assert shown.json()["error_id"] == "bad_permissions"
        assert locked_served.get("/health", headers={**headers, "Authorization": "secret"}).json().get("engine") is None


def test_errors_know_every_route_that_is_a_socket() -> None:
    sockets = {path.removeprefix("/API/") for path, serve in SWARMUI.sockets.items() if serve is not http_only}
    assert sockets - {""} == SOCKET_ROUTES


def test_first_calls_at_once_agree_on_the_key(house: House) -> None:
    options = house.runtime.settings.swarm_options
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: Sessions(options).open(), range(32)))
    assert all(Sessions(options).is_known(session_id) for session_id in ids)
