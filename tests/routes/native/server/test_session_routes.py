"""Signing in from a page: what the cookie opens, for whom, and for how long."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import requests
from websockets.exceptions import InvalidStatus

from sdcpp_rest.config.web_names import LOGIN_COOKIE
from sdcpp_rest.services.login_sessions import BROWSER_LIFETIME_SECONDS
from tests.cases import for_each_case
from tests.routes.conftest import House, ServedHouse, make_config

KEYS = {"api_keys": ["bare-key", "anna:annas-key"]}
PATIENCE_SECONDS = 20


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHouse]:
    """One server for the module: nobody changes anything on it but who is signed in."""
    house = House(make_config(tmp_path_factory.mktemp("locked"), auth=KEYS))
    served = ServedHouse(house).start()
    yield served
    served.stop()
    house.close()


def sign_in(served: ServedHouse, **more: str) -> dict[str, str]:
    """The headers that a browser sends afterwards."""
    answer = served.post("/session", json={"key": "bare-key", **more})
    assert answer.status_code == 200, answer.text
    return {"Cookie": f"{LOGIN_COOKIE}={answer.cookies[LOGIN_COOKIE]}"}


def session_of(served: ServedHouse, **headers: str) -> dict[str, bool]:
    answer = served.get("/session", headers=headers)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    return dict(answer.json())


@for_each_case("body", [{"key": "bare-key"}, {"key": "annas-key", "username": "anna"}, {"key": "annas-key"}])
def test_a_key_gets_a_cookie_for_thirty_days(locked: ServedHouse, body: dict[str, str]) -> None:
    answer = locked.post("/session", json=body)
    assert answer.json() == {"auth_required": True, "signed_in": True, "expires_in": BROWSER_LIFETIME_SECONDS}
    parts = {part.strip() for part in answer.headers["Set-Cookie"].split(";")}
    assert {"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=2592000"} <= parts
    assert "Secure" not in parts
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_cookie_opens_http_and_the_websocket(locked: ServedHouse) -> None:
    assert locked.get("/queue").status_code == 401
    cookie = sign_in(locked)
    image = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"}
    for headers in (cookie, {**cookie, **image}, {**cookie, "Origin": locked.url}):
        assert locked.get("/queue", headers=headers).status_code == 200
        assert locked.get("/output", headers=headers).status_code == 200
    with locked.listen(additional_headers=cookie, origin=locked.url):  # type: ignore[arg-type]
        pass


def test_everybody_may_ask_who_is_signed_in(locked: ServedHouse) -> None:
    out, signed_in = {"auth_required": True, "signed_in": False}, {"auth_required": True, "signed_in": True}
    assert session_of(locked) == out
    assert session_of(locked, Cookie=f"{LOGIN_COOKIE}=stale.thing") == out
    assert session_of(locked, Authorization="Bearer wrong") == out
    assert session_of(locked, Authorization="Bearer bare-key") == signed_in
    assert session_of(locked, **sign_in(locked)) == signed_in


def test_pages_of_other_origins_can_neither_read_nor_act(locked: ServedHouse) -> None:
    cookie = sign_in(locked)
    for headers in (
        {"Origin": "http://localhost:1"},
        {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        assert locked.get("/queue", headers={**cookie, **headers}).status_code == 401, headers
        assert locked.post("/txt2img", json={"prompt": "x"}, headers={**cookie, **headers}).status_code == 401
        assert session_of(locked, **cookie, **headers)["signed_in"] is False
        for method, path in (("DELETE", "/session"), ("POST", "/auth/logout")):
            requests.request(method, locked.url + path, headers={**cookie, **headers}, timeout=PATIENCE_SECONDS)
        with pytest.raises(InvalidStatus), locked.listen(additional_headers={**cookie, **headers}):
            pass
    foreign = {**cookie, "Origin": "https://evil.example"}
    assert locked.get("/queue", headers=foreign).status_code == 403
    assert requests.delete(locked.url + "/session", headers=foreign, timeout=PATIENCE_SECONDS).status_code == 403
    assert locked.get("/queue", headers=cookie).status_code == 200, "nobody has signed it out"


def test_after_signing_out_the_cookie_opens_nothing_also_after_a_restart(
    make_served: Callable[..., ServedHouse],
) -> None:
    served = make_served(auth=KEYS)
    cookie, kept = sign_in(served), sign_in(served)
    answer = requests.delete(served.url + "/session", headers=cookie, timeout=PATIENCE_SECONDS)
    assert (answer.status_code, answer.json()) == (200, {"auth_required": True, "signed_in": False})
    assert f"{LOGIN_COOKIE}=;" in answer.headers["Set-Cookie"]
    assert served.get("/queue", headers=cookie).status_code == 401
    served.stop()
    served.house.close()
    house = House(served.house.config)
    again = ServedHouse(house).start()
    try:
        assert again.get("/queue", headers=cookie).status_code == 401
        assert again.get("/queue", headers=kept).status_code == 200
    finally:
        again.stop()
        house.close()


@for_each_case("cookie", ["", ".", "a.b", "x" * 5000, "%00", '"', "a=b.c", "\xe9.\xe9", "W10.AAAA"])
def test_a_cookie_that_is_none_is_a_401(locked: ServedHouse, cookie: str) -> None:
    headers = {"Cookie": f"{LOGIN_COOKIE}={cookie}".encode("latin-1")}
    assert locked.get("/queue", headers=headers).status_code == 401
    answer = requests.delete(locked.url + "/session", headers=headers, timeout=PATIENCE_SECONDS)
    assert answer.status_code == 200


def test_a_cut_cookie_is_a_401(locked: ServedHouse) -> None:
    cookie = sign_in(locked)["Cookie"]
    assert [locked.get("/queue", headers={"Cookie": cookie[:-end]}).status_code for end in (1, 5, 60)] == [401] * 3


def test_guesses_are_slowed_down_whichever_way_they_come(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(auth=KEYS, server={"trusted_proxies": ["127.0.0.1"]})
    for _ in range(5):
        assert served.post("/session", json={"key": "guess"}).status_code == 401
        assert served.post("/auth/login", json={"key": "guess"}).status_code == 401
    answer = served.post("/session", json={"key": "bare-key"})
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_attempts")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    elsewhere = served.post("/session", json={"key": "bare-key"}, headers={"X-Forwarded-For": "192.0.2.1"})
    assert elsewhere.status_code == 200


@for_each_case("body", [{}, {"key": ""}, {"key": 7}, {"key": "x" * 5000}, {"key": ["bare-key"]}])
def test_a_body_without_a_key_is_refused(locked: ServedHouse, body: dict[str, object]) -> None:
    answer = locked.post("/session", json=body)
    assert (answer.status_code, answer.json()["field"]) == (400, "key")
    assert "Set-Cookie" not in answer.headers


def test_below_a_path_and_behind_tls_the_cookie_stays_there(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(auth=KEYS, server={"trusted_proxies": ["127.0.0.1"]})
    below = {"X-Forwarded-Prefix": "/sd", "X-Forwarded-Proto": "https"}
    answer = served.post("/session", json={"key": "bare-key"}, headers=below)
    assert {"Path=/sd/", "Secure"} <= {part.strip() for part in answer.headers["Set-Cookie"].split(";")}


def test_where_no_key_is_asked_for_everybody_is_signed_in(house: House) -> None:
    client = house.client
    assert client.get("/session").get_json() == {"auth_required": False, "signed_in": True}
    answer = client.post("/session", json={"key": "x", "colour": "red"})
    assert "Set-Cookie" not in answer.headers
    shown = answer.get_json()
    assert (shown["signed_in"], shown["expires_in"], len(shown["warnings"])) == (True, None, 1)
    assert client.delete("/session").get_json() == {"auth_required": False, "signed_in": True}
