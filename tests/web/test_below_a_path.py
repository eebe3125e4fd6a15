"""Requests that come by way of proxies, on real sockets: below a path, with a public address, a host in the target."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
import requests

from tests.cases import for_each_case
from tests.web.test_http_corners import ask, exchange


@pytest.mark.slow
@pytest.mark.parametrize("is_stripped", [True, False])
def test_everything_works_below_a_path(served: Any, next_event: Any, is_stripped: bool) -> None:
    told = {"X-Forwarded-Prefix": "/sd", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "sd.localhost:8443"}
    below = "" if is_stripped else "/sd"
    job = served.house.finished(served.house.submit())

    def get(path: str, **headers: str) -> requests.Response:
        return served.get(below + path, headers={**told, **headers})

    links = get("/", accept="application/json").json()["links"]
    assert links["queue"] == "/sd/queue"
    page = get("/", accept="text/html").text
    assert 'href="docs"' in page
    listing = get("/output", accept="application/json").json()
    assert listing["entries"][0]["url"] == f"/sd/output/{job['job_id']}"
    assert listing["entries"][0]["thumb_url"].startswith("/sd/thumb/")
    assert f'href="../output/{job["outputs"][0]}"' in get(f"/output/{job['job_id']}").text
    assert 'src="docs/assets/start.js"' in get("/docs").text
    assert get("/openapi.json").json()["servers"] == [{"url": "/sd"}]
    made = served.post(
        below + "/v1/images/generations",
        json={"prompt": "x", "size": "64x64", "response_format": "url"},
        headers=told,
    ).json()
    assert made["data"][0]["url"].startswith("https://sd.localhost:8443/sd/output/")
    assert get("/sdapi/v1/options").status_code == 200
    assert get("/nothing").json()["error"] == "Unknown URL: /nothing"
    with served.listen(below + "/ws", additional_headers=told) as connection:
        next_event(connection, "server_status")


def test_a_page_in_a_deeper_folder_leads_back_whatever_its_slashes_are(served: Any) -> None:
    (served.runtime.config.paths.output_dir / "a" / "b").mkdir(parents=True)
    (served.runtime.config.paths.output_dir / "a" / "b" / "c.txt").write_bytes(b"x")
    assert 'href="../../output/a/b/c.txt"' in served.get("/output/a/b").text
    assert 'href="../../../output/a/b/c.txt"' in served.get("/output/a/b/").text
    # The browser resolves against what it sent, in which an encoded slash is none.
    assert 'href="../output/a/b/c.txt"' in exchange(served, ask("/output/a%2Fb")).body.decode()


def test_a_browser_is_led_from_the_bare_prefix_to_its_slash(served: Any) -> None:
    told = {"X-Forwarded-Prefix": "/my%20sd", "Accept": "text/html"}
    answer = served.get("/my%20sd?x=1", headers=told, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (307, "/my%20sd/?x=1")
    assert served.get("/my%20sd", headers={**told, "Accept": "*/*"}).json()["name"] == "sdcpp-rest"


@pytest.mark.slow
def test_the_public_url_is_what_links_have(make_served: Any) -> None:
    served = make_served(server={"public_url": "https://pictures.example.org/sd"}, auth={"api_keys": ["sesame"]})
    key = {"Authorization": "Bearer sesame"}
    made = served.post(
        "/v1/images/generations", json={"prompt": "x", "size": "64x64", "response_format": "url"}, headers=key
    ).json()
    url = made["data"][0]["url"]
    assert url.startswith("https://pictures.example.org/sd/v1/images/files/")
    assert served.get(url.removeprefix("https://pictures.example.org")).status_code == 200
    assert served.get(url.removeprefix("https://pictures.example.org/sd")).status_code == 200
    assert served.get("/openapi.json", headers=key).json()["servers"] == [{"url": "https://pictures.example.org/sd"}]
    assert served.get("/queue", headers={**key, "Host": "pictures.example.org"}).status_code == 200


def test_strangers_words_about_themselves_do_not_count(make_served: Any) -> None:
    served = make_served(server={"trusted_proxies": []})
    told = {"X-Forwarded-Prefix": "/sd", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}
    assert served.get("/", headers={**told, "Accept": "application/json"}).json()["links"]["queue"] == "/queue"
    assert served.get("/sd/health", headers=told).status_code == 404


def test_a_proxys_host_has_to_be_allowed_and_hides_no_other(served: Any) -> None:
    assert served.get("/health", headers={"X-Forwarded-Host": "evil.example"}).status_code == 403
    rebound = {"Host": "evil.example", "X-Forwarded-Host": "localhost"}
    assert served.get("/health", headers=rebound).status_code == 403


def test_callers_behind_one_proxy_are_told_apart(served: Any) -> None:
    served.house.gate.clear()
    anna, bob = ({"X-Forwarded-For": address} for address in ("203.0.113.1", "203.0.113.2"))
    served.house.running.clear()
    answers: list[int] = []
    drawing = threading.Thread(
        target=lambda: answers.append(
            served.post("/sdapi/v1/txt2img", json={"prompt": "x", "steps": 3}, headers=anna).status_code
        )
    )
    drawing.start()
    assert served.house.running.wait(20)
    state = [served.get("/sdapi/v1/progress", headers=headers).json()["state"]["job_count"] for headers in (anna, bob)]
    served.house.gate.set()
    drawing.join(20)
    assert answers == [200]
    assert state[0] != state[1]


@for_each_case("target", ["http://localhost/health", "http://127.0.0.1:1/health?x=1", "HTTP://LOCALHOST/health"])
def test_an_absolute_target_is_the_path_in_it(served: Any, target: str) -> None:
    assert exchange(served, ask(target)).status == 200
    assert exchange(served, ask(target, host="other.example")).status == 200, "the target's host outweighs the header"


def test_an_absolute_target_of_another_host_is_refused(served: Any) -> None:
    answer = exchange(served, ask("http://evil.example/health"))
    assert (answer.status, json.loads(answer.body)["setting"]) == (403, "server.allowed_hosts")
    assert exchange(served, ask("http:///health")).status == 400
