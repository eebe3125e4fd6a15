"""Logging in: the two calls, the page that works without scripts, and what the cookie opens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from websockets.exceptions import InvalidStatus

from sdcpp_rest.config.web_names import LOGIN_COOKIE
from tests.routes.conftest import House, ServedHouse

KEYS = {"api_keys": ["bare-key", "anna:annas-key"]}
PATIENCE_SECONDS = 20


@pytest.fixture
def locked(make_served: Callable[..., ServedHouse]) -> ServedHouse:
    return make_served(auth=KEYS)


def log_in(served: ServedHouse, **fields: Any) -> requests.Response:
    return served.post("/auth/login", json=fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"username": "anna", "password": "annas-key"},
        {"username": "anyone", "password": "bare-key"},
        {"username": "", "password": "bare-key"},
        {"key": "annas-key"},
    ],
)
def test_a_right_key_opens_everything_by_cookie_and_by_token(locked: ServedHouse, fields: dict[str, str]) -> None:
    answer = log_in(locked, **fields)
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert (shown["success"], shown["auth_required"], shown["token_type"]) == (True, True, "bearer")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"{LOGIN_COOKIE}={shown['token']};")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert locked.get("/queue").status_code == 401
    for headers in (
        {"Cookie": f"other=1; {LOGIN_COOKIE}={shown['token']}"},
        {"Cookie": f"{LOGIN_COOKIE}={shown['token']}", "Origin": locked.url, "Sec-Fetch-Site": "same-origin"},
        {"Authorization": f"Bearer {shown['token']}"},
    ):
        assert locked.get("/queue", headers=headers).status_code == 200, headers
        assert "model_loaded" in locked.get("/health", headers=headers).json()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://localhost:1"},
        {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_the_cookie_does_not_open_for_other_pages(locked: ServedHouse, headers: dict[str, str]) -> None:
    token = log_in(locked, key="bare-key").json()["token"]
    answer = locked.get("/queue", headers={"Cookie": f"{LOGIN_COOKIE}={token}", **headers})
    assert answer.status_code == 401


def test_the_cookie_opens_the_websocket_of_an_own_page_alone(locked: ServedHouse) -> None:
    token = log_in(locked, key="bare-key").json()["token"]
    cookie = {"Cookie": f"{LOGIN_COOKIE}={token}"}
    with locked.listen(additional_headers=cookie, origin=locked.url):
        pass
    with locked.listen(f"/ws?token={token}"):
        pass
    with pytest.raises(InvalidStatus), locked.listen(additional_headers=cookie, origin="http://localhost:1"):
        pass


def test_a_wrong_key_is_a_401(locked: ServedHouse) -> None:
    for fields in ({"username": "bob", "password": "annas-key"}, {"key": "guess"}):
        answer = log_in(locked, **fields)
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
        assert "Set-Cookie" not in answer.headers
    assert log_in(locked).json()["field"] == "password"


def test_guessing_is_slowed_down(locked: ServedHouse) -> None:
    for _ in range(10):
        assert log_in(locked, key="guess").status_code == 401
    answer = log_in(locked, key="bare-key")
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_attempts")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert locked.get("/queue", headers={"Authorization": "Bearer bare-key"}).status_code == 200


def test_after_a_logout_neither_cookie_nor_token_opens(locked: ServedHouse) -> None:
    token = log_in(locked, key="bare-key").json()["token"]
    cookie = {"Cookie": f"{LOGIN_COOKIE}={token}"}
    answer = locked.post("/auth/logout", headers=cookie)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert f"{LOGIN_COOKIE}=;" in answer.headers["Set-Cookie"]
    assert locked.get("/queue", headers=cookie).status_code == 401
    assert locked.get("/queue", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    again = log_in(locked, key="bare-key").json()["token"]
    locked.post("/auth/logout", headers={"Authorization": f"Bearer {again}"})
    assert locked.get("/queue", headers={"Authorization": f"Bearer {again}"}).status_code == 401
    assert locked.post("/auth/logout").status_code == 200


def test_the_pages_form_works_without_a_script(locked: ServedHouse) -> None:
    page = locked.get("/login?redirect=/queue", headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-store")
    assert '<form method="post" action="auth/login">' in page.text
    assert 'name="redirect" value="/queue"' in page.text
    assert "<script" not in page.text
    wrong = locked.post("/auth/login", data={"password": "no", "redirect": "/queue"}, allow_redirects=False)
    assert (wrong.status_code, wrong.headers["Location"]) == (303, "/login?failed=key&redirect=%2Fqueue")
    assert "is not right" in locked.get(wrong.headers["Location"]).text
    with requests.Session() as browser:
        form = {"username": "anna", "password": "annas-key", "redirect": "/queue"}
        there = browser.post(f"{locked.url}/auth/login", data=form, timeout=PATIENCE_SECONDS)
        assert (there.status_code, there.url) == (200, f"{locked.url}/queue")
        assert "items" in there.json()


def test_below_a_path_the_page_and_its_cookie_stay_there(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(auth=KEYS, server={"trusted_proxies": ["127.0.0.1"]})
    below = {"X-Forwarded-Prefix": "/sd", "X-Forwarded-Proto": "https"}
    assert 'action="auth/login"' in served.get("/login", headers=below).text
    answer = served.post("/auth/login", data={"password": "bare-key"}, headers=below, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sd/")
    assert {"Path=/sd/", "Secure"} <= {part.strip() for part in answer.headers["Set-Cookie"].split(";")}


@pytest.mark.parametrize("place", ["//evil.example", "https://evil.example", "/\\evil.example", "queue", "/a\r\nb"])
def test_a_login_leads_nowhere_else(make_house: Callable[..., House], place: str) -> None:
    client = make_house(auth=KEYS).client
    answer = client.post("/auth/login", data={"password": "bare-key", "redirect": place})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")


def test_where_no_key_is_asked_for_everybody_is_right(make_house: Callable[..., House]) -> None:
    client = make_house().client
    answer = client.post("/auth/login", json={"username": "anna", "password": "x"})
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (200, False)
    shown = answer.get_json()
    assert (shown["success"], shown["auth_required"], shown["token"]) == (True, False, None)
    assert "asks for no key" in client.get("/login").text
    assert client.post("/auth/logout").status_code == 200
