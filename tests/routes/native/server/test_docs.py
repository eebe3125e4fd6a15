from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import jsonschema_rs
import pytest
from flask.testing import FlaskClient

from sdcpp_rest.routes.http import openapi
from sdcpp_rest.routes.http.openapi import page_files
from tests.cases import for_each_case
from tests.routes.conftest import House


@pytest.mark.slow
def test_the_document_is_that_of_this_server(make_house: Any) -> None:
    house = make_house(limits={"steps": 33, "prompt_characters": 44})
    document = house.client.get("/openapi.json").get_json()
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["version"] == house.runtime.version
    fields = document["components"]["schemas"]["Txt2ImgBody"]["properties"]
    assert fields["steps"]["maximum"] == 33
    assert fields["prompt"]["maxLength"] == 44
    assert "limits.steps" in fields["steps"]["description"]
    assert "x-limit" not in house.client.get("/openapi.json").text


def test_the_page_needs_nothing_from_elsewhere(client: FlaskClient) -> None:
    page = client.get("/docs")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    linked = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert len(linked) >= 4
    for url in linked:
        assert url.startswith("docs/assets/")
        answer = client.get(urljoin("/docs", url), buffered=True)
        assert answer.status_code == 200, url
        assert len(answer.data) > 100
    assert "<script>" not in page.text, "the policy forbids scripts in the page"


def test_the_page_asks_for_our_document_and_for_no_validator(client: FlaskClient) -> None:
    script = client.get("/docs/assets/start.js")
    assert script.mimetype == "text/javascript"
    assert 'fetch(base + "/openapi.json")' in script.text
    assert "servers: [{ url: base }]" in script.text
    assert "validatorUrl: null" in script.text


def test_the_native_api_comes_first_and_the_page_keeps_that_order(client: FlaskClient) -> None:
    tags = [tag["name"] for tag in client.get("/openapi.json").get_json()["tags"]]
    dialects = ("openai", "sdcn", "a1111", "swarmui", "sdserver", "comfyui", "ollama_pictures")
    first = min(index for index, tag in enumerate(tags) if tag.startswith(dialects))
    assert {"system", "models", "queue", "files", "docs"} <= set(tags[:first])
    assert "tagsSorter" not in client.get("/docs/assets/start.js").text


def test_the_page_can_show_documents_of_our_version(client: FlaskClient) -> None:
    bundle = client.get("/docs/assets/swagger-ui-bundle.js", buffered=True).text
    version = re.search(r'PACKAGE_VERSION:"(\d+)\.', bundle)
    assert version is not None
    assert int(version[1]) >= 5, "Swagger UI knows OpenAPI 3.1 from version 5 on"


def test_assets_are_not_sent_twice(client: FlaskClient) -> None:
    first = client.get("/docs/assets/swagger-ui.css", buffered=True)
    again = client.get("/docs/assets/swagger-ui.css", headers={"If-None-Match": first.headers["ETag"]}, buffered=True)
    assert (again.status_code, again.data) == (304, b"")


@for_each_case("name", ["swagger-ui.js", "..", "%2e%2e", "oauth2-redirect.html", "x" * 5000, "%00"])
def test_only_what_the_page_needs_is_served(shared_client: FlaskClient, name: str) -> None:
    assert shared_client.get(f"/docs/assets/{name}").status_code == 404


def test_the_projects_pages_are_served_as_markdown(client: FlaskClient) -> None:
    pages = page_files()
    assert {"architecture", "decisions"} <= pages.keys()
    for name, file in pages.items():
        answer = client.get(f"/docs/{name}.md")
        assert (answer.status_code, answer.mimetype) == (200, "text/markdown")
        assert answer.text == file.read_text(encoding="utf-8")


@for_each_case("name", ["nothing", "..", "%2e%2e", "../README", "%2e%2e%2fREADME", "assets", "%00"])
def test_a_page_that_is_not_there_is_not_found(shared_client: FlaskClient, name: str) -> None:
    answer = shared_client.get(f"/docs/{name}.md")
    assert answer.status_code == 404
    assert answer.is_json


def test_an_installed_copy_has_its_pages_in_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    inside = tmp_path / "package" / "docs"
    inside.mkdir(parents=True)
    (inside / "guide.md").write_text("# Guide")
    monkeypatch.setattr(openapi, "_PAGE_FOLDERS", (inside, tmp_path / "docs"))
    assert page_files() == {"guide": inside / "guide.md"}
    monkeypatch.setattr(openapi, "_PAGE_FOLDERS", (tmp_path / "nowhere",))
    assert page_files() == {}


def test_the_root_links_every_page(client: FlaskClient) -> None:
    links = client.get("/").get_json()["links"].values()
    assert {"/docs", "/openapi.json", "/metrics", *(f"/docs/{name}.md" for name in page_files())} <= set(links)
    html = client.get("/", headers={"Accept": "text/html"}).text
    assert all(f'href="{link.removeprefix("/")}"' in html for link in links)


@pytest.mark.slow
def test_every_schema_is_one(client: FlaskClient) -> None:
    document = client.get("/openapi.json").get_json()
    schemas = document["components"]["schemas"]
    assert len(schemas) >= 30
    for schema in schemas.values():
        jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})


# Examples that need more than a bare server with the demo model: what they are answered instead.
_NEEDS_MORE = {
    "/txt2vid": 400,  # a model that makes videos
    "/sdcpp/v1/vid_gen": 400,  # the same
    "/controlnet/load": 404,  # a ControlNet
    "/assistant/chat": 503,  # a language model
    "/assistant/chat/stream": 503,
    "/ollama/enhance": 503,
    "/queue/{job_id}/move": 409,  # a job that waits
    "/groups/{group_id}/sheet": 404,  # a grid
    "/prompt/tokens": 501,  # the library
}
_REACHES_OUT = ("/models/download",)
# What loads comes before what draws: a job that still runs would refuse it.
_FIRST = ("/models/load", "/upscaler/load", "/controlnet/load", "/txt2img")
_LAST = ("/settings/reset", "/models/unload", "/upscaler/unload")


@pytest.mark.slow
def test_the_example_of_every_body_works_as_it_stands(house: House, client: FlaskClient) -> None:
    bodies = {
        (path, method): shown["requestBody"]["content"]["application/json"]["example"]
        for path, methods in client.get("/openapi.json").get_json()["paths"].items()
        for method, shown in methods.items()
        if "example" in shown.get("requestBody", {}).get("content", {}).get("application/json", {})
        and path not in _REACHES_OUT
    }
    assert len(bodies) >= 20
    places = {path: place for place, path in enumerate(_FIRST)} | {path: 100 + k for k, path in enumerate(_LAST)}
    job_id = ""
    for (path, method), body in sorted(bodies.items(), key=lambda one: places.get(one[0][0], 50)):
        url = path.replace("{job_id}", job_id).replace("{mode}", "txt2img").replace("{picture_id}", "1")
        answer = client.open(url, method=method, json={**body, **({"force": True} if path == "/models/unload" else {})})
        if path in _NEEDS_MORE:
            assert answer.status_code == _NEEDS_MORE[path], answer.text
            continue
        assert answer.status_code in (200, 201, 202), f"{url}: {answer.text}"
        shown = answer.get_json() or {}
        assert "warnings" not in shown or path.startswith("/queue/"), answer.text
        if not job_id and "job_id" in shown:
            job_id = house.finished(shown["job_id"])["job_id"]
