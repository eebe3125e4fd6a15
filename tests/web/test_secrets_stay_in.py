"""A server that is shown every secret in every way, reads out all that it can, fails, and stops: no secret is in any
file, line of the log, or answer."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from websockets.exceptions import InvalidStatus

from sdcpp_rest import cli
from sdcpp_rest.config.web_names import LOGIN_COOKIE
from sdcpp_rest.services.login_sessions import LoginSessions
from sdcpp_rest.web.access_table import access_table
from tests.canaries import CanaryWatch, find_secrets, spellings_of
from tests.routes.conftest import PATIENCE_SECONDS, ServedHouse

WHOLE, HERS, NAMED = "bird-whole-5d1f", "bird-hers-91ce", "bird-named-c0a8"
WRONG = "bird-of-elsewhere-77aa"
HUB, CIVITAI, LLM = "hf_birdHubToken1234", "bird-civitai-42d0", "sk-bird-llm-6b7e"
SECRETS = (WHOLE, HERS, NAMED, WRONG, HUB, CIVITAI, LLM)


@pytest.fixture
def served(make_served: Callable[..., ServedHouse]) -> ServedHouse:
    return make_served(
        server={"access_log": True},
        auth={"api_keys": [WHOLE, f"anna:{HERS}"], "keys": {"named": {"key": NAMED, "scopes": ["read"]}}},
        downloads={"huggingface_token": HUB, "civitai_token": CIVITAI},
    )


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def show_everything(served: ServedHouse) -> list[requests.Response]:
    """Show each secret where a caller may show one, or thinks so."""
    answers = []
    for secret in SECRETS:
        for headers in (
            bearer(secret), basic(f"anna:{secret}"), basic(f"{secret}:"), {"Authorization": secret},
            {"Authorization": f"Token {secret}"}, {"X-API-Key": secret}, {"Cookie": f"{LOGIN_COOKIE}={secret}"},
            {"Cookie": f"swarm_token={secret}"}, {"Idempotency-Key": secret}, {"Proxy-Authorization": secret},
        ):  # fmt: skip
            answers += [served.get("/queue", headers=headers), served.post("/API/GetNewSession", headers=headers)]
        for query in ("token", "api_key", "key", "password"):
            answers.append(served.get(f"/queue?{query}={secret}"))
        for body in (
            {"key": secret}, {"key": secret, "username": "anna"}, {"key": [secret]}, {"password": secret},
            {"key": secret * 400}, {"key": secret, "more": secret}, [secret], secret,
        ):  # fmt: skip
            answers += [served.post(path, json=body) for path in ("/session", "/auth/login")]
        answers.append(served.post("/session", data=f'{{"key": "{secret}'))
        answers.append(served.post("/auth/login", data={"key": secret}, allow_redirects=False))
        with contextlib.suppress(InvalidStatus), served.listen(f"/ws?token={secret}") as socket:
            socket.recv(timeout=PATIENCE_SECONDS)
    return answers


def read_everything(served: ServedHouse) -> list[requests.Response]:
    """Every answer that needs no more than a path."""
    places = {row.url for row in access_table() if row.method == "GET" and "<" not in row.url}
    return [served.get(place, headers=bearer(WHOLE)) for place in sorted(places)]


@pytest.mark.slow
def test_no_secret_is_written_down_or_answered(
    served: ServedHouse, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with caplog.at_level(logging.DEBUG, "sdcpp_rest"):
        put = {"base_url": "http://127.0.0.1:1", "api_key": LLM}
        answers = [
            requests.put(served.url + path, json=put, headers=bearer(WHOLE), timeout=PATIENCE_SECONDS)
            for path in ("/ollama/settings", "/assistant/settings")
        ]
        assert [one.status_code for one in answers] == [200, 200]
        answers += show_everything(served)

        def fail(*args: Any, **more: Any) -> None:
            raise RuntimeError("a fault of the server's own")

        with monkeypatch.context() as broken:
            broken.setattr(LoginSessions, "begin", fail)
            answers += [served.post(path, json={"key": WHOLE}) for path in ("/session", "/auth/login")]
            assert answers[-1].status_code == 500
        answers += read_everything(served)
        folder = served.house.config.paths
        arguments = ["doctor", "--data-dir", str(folder.data_dir), "--set", f'auth.api_keys=["{WHOLE}"]',
                     "--set", f"downloads.civitai_token={CIVITAI}", "--json"]  # fmt: skip
        printed = CliRunner().invoke(cli.main, arguments).output
        served.stop()
    assert printed.startswith("{"), printed
    statuses = {one.status_code for one in answers}
    assert {200, 400, 401, 403, 429, 500} <= statuses, statuses
    told = [one.text + json.dumps(dict(one.headers)) for one in answers] + [printed, caplog.text]
    for text in told:
        for secret in SECRETS:
            assert not any(spelling in text.encode() for spelling in spellings_of(secret)), text[:1000]
    stored = [
        (path, secret)
        for path, secret in find_secrets(tmp_path, SECRETS)
        # That is where it is kept.
        if not (secret == LLM and path.name.startswith("sdcpp_rest.db"))
    ]
    assert stored == []
    assert list(find_secrets(tmp_path, [LLM])), "the look through the files finds what is there"


def test_a_secret_is_found_however_it_is_written(tmp_path: Path) -> None:
    for number, user in enumerate(("", "a", "an", "ann", "anna")):
        (tmp_path / f"{number}.log").write_text(basic(f"{user}:{WHOLE}")["Authorization"])
    (tmp_path / "raw.bin").write_bytes(b"\0" * 100_000 + WHOLE.encode() + b"\xff")
    (tmp_path / "other.log").write_text(basic("anna:other-key")["Authorization"])
    (tmp_path / "empty").touch()
    assert sorted(path.name for path, _ in find_secrets(tmp_path, [WHOLE])) == [
        "0.log", "1.log", "2.log", "3.log", "4.log", "raw.bin"
    ]  # fmt: skip


def test_the_watch_over_the_log_hears_messages_arguments_and_tracebacks() -> None:
    from tests.canaries import CANARY_KEY

    watch = CanaryWatch()
    record = logging.LogRecord("x", logging.INFO, "x", 1, "shown %s", (CANARY_KEY,), None)
    watch.emit(record)
    watch.emit(logging.LogRecord("x", logging.INFO, "x", 1, "nothing", (), None))
    try:
        raise ValueError(CANARY_KEY)
    except ValueError as error:
        watch.emit(logging.LogRecord("x", logging.ERROR, "x", 1, "fault", (), (type(error), error, None)))
    assert len(watch.leaks) == 2
