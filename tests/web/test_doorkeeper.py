"""What a key may do, and how often; and that refusals come in the words of each dialect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from sdcpp_rest.config import Config
from sdcpp_rest.config.auth_section import ApiKey, Scope
from sdcpp_rest.errors import ScopeMissing, TooManyAttempts, TooManyRequests, WrongKey
from sdcpp_rest.services.guess_limit import WINDOW_SECONDS, WRONG_KEYS, GuessLimit
from sdcpp_rest.services.login_sessions import LoginSessions
from sdcpp_rest.web.access import AccessRequest
from sdcpp_rest.web.doorkeeper import Doorkeeper, KeyRates
from tests.cases import for_each_case
from tests.clocks import Clock
from tests.routes.conftest import ServedHouse
from tests.routes.mcp.agents import post, stateless

KEYS = {"looker": {"key": "look"}, "slow": {"key": "slow", "scopes": ["read"], "requests_per_minute": 2}}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def doorkeeper(clock: Clock) -> Doorkeeper:
    config = Config(auth={"api_keys": ["whole", "anna:hers"], "keys": KEYS})
    return Doorkeeper(config, LoginSessions(config, clock, guesses=GuessLimit(clock)), clock)


def ask(doorkeeper: Doorkeeper, key: str, needed: Scope = "read", address: str = "192.0.2.1", **more: Any) -> str:
    """The name of the key that has opened."""
    asking = AccessRequest("/queue", authorizations=(f"Bearer {key}",), address=address)
    found = doorkeeper.admit(asking, needed, **more)
    assert found is not None
    return found.shown_name


def test_a_key_may_do_what_its_scopes_say(doorkeeper: Doorkeeper) -> None:
    assert ask(doorkeeper, "whole", "admin") == "auth.api_keys"
    assert ask(doorkeeper, "hers", "models") == "auth.api_keys"
    assert ask(doorkeeper, "look") == "looker"
    with pytest.raises(ScopeMissing, match=r"key looker may not do this: it needs the scope generate, and has read"):
        ask(doorkeeper, "look", "generate")


def test_what_is_open_to_all_is_open_to_every_key(doorkeeper: Doorkeeper) -> None:
    assert ask(doorkeeper, "look", "admin", is_open_to_all=True) == "looker"


def test_a_key_that_is_used_too_often_waits_for_its_next_turn(doorkeeper: Doorkeeper, clock: Clock) -> None:
    for _ in range(2):
        ask(doorkeeper, "slow")
    with pytest.raises(TooManyRequests, match="2 times a minute; try again in 30 seconds") as refused:
        ask(doorkeeper, "slow")
    assert refused.value.detail["retry_after"] == 30
    ask(doorkeeper, "look")
    clock.now += 29
    with pytest.raises(TooManyRequests, match="in 1 seconds"):
        ask(doorkeeper, "slow")
    clock.now += 1
    ask(doorkeeper, "slow")
    clock.now += 3600
    for _ in range(2):
        ask(doorkeeper, "slow")
    with pytest.raises(TooManyRequests):
        ask(doorkeeper, "slow")


def test_whoever_waits_as_long_as_told_is_served(clock: Clock) -> None:
    for most in (1, 7, 59, 61, 1000, 1_000_000):
        rates, key = KeyRates(clock), ApiKey("one", requests_per_minute=most)
        for _ in range(most):
            rates.take(key)
        with pytest.raises(TooManyRequests) as refused:
            rates.take(key)
        clock.now += refused.value.detail["retry_after"]
        rates.take(key)


def guess(doorkeeper: Doorkeeper, address: str = "192.0.2.1") -> None:
    for number in range(WRONG_KEYS):
        with pytest.raises(WrongKey):
            ask(doorkeeper, f"guess-{number}", address=address)


def test_who_guesses_is_told_to_wait_and_does_not_learn_a_right_key(doorkeeper: Doorkeeper, clock: Clock) -> None:
    guess(doorkeeper)
    for key in ("guess-again", "whole", "look"):
        with pytest.raises(TooManyAttempts) as refused:
            ask(doorkeeper, key)
        assert refused.value.detail["retry_after"] == WINDOW_SECONDS
    for login in ("/session", "/login"):
        asking = AccessRequest(login, authorizations=("Bearer whole",), address="192.0.2.1")
        assert doorkeeper.admit(asking, "read") is None, "no way round"
    with pytest.raises(WrongKey):
        ask(doorkeeper, "guess-1")
    clock.now += WINDOW_SECONDS
    assert ask(doorkeeper, "whole") == "auth.api_keys"


def test_guesses_of_another_address_or_key_close_nobody_elses_door(doorkeeper: Doorkeeper) -> None:
    ask(doorkeeper, "look")
    token = doorkeeper._logins.begin("", "whole", "192.0.2.1").token
    guess(doorkeeper)
    assert ask(doorkeeper, "look") == "looker", "it was right there before"
    assert ask(doorkeeper, "whole", address="192.0.2.2") == "auth.api_keys"
    assert ask(doorkeeper, token) == "auth.api_keys", "a login cannot be guessed"


def test_failed_logins_count_as_wrong_keys(doorkeeper: Doorkeeper) -> None:
    for number in range(WRONG_KEYS):
        with pytest.raises(WrongKey):
            doorkeeper._logins.begin("", f"guess-{number}", "192.0.2.1")
    with pytest.raises(TooManyAttempts):
        ask(doorkeeper, "whole")


# --- over the wire ----------------------------------------------------------------------------------------------------

READ = {"Authorization": "Bearer look"}


def sentence_of(answer: Any) -> str:
    """Wherever the dialect puts it."""
    body = answer.json()
    for name in ("error", "detail", "message", "errors"):
        found = body.get(name)
        if isinstance(found, dict):
            return str(found["message"])
        if isinstance(found, str) and " " in found:
            return found
    return str(body)


DRAWING = {
    "/txt2img": "native", "/v1/images/generations": "openai", "/api/sd/txt2img": "sdcn", "/sdapi/v1/txt2img": "a1111",
    "/API/GenerateText2Image": "swarmui", "/sdcpp/v1/img_gen": "sd-server", "/api/generate": "ollama",
    "/prompt": "comfyui", "/api/prompt": "comfyui",
}  # fmt: skip


def test_a_missing_scope_is_told_in_the_words_of_each_dialect(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(auth={"api_keys": ["whole"], "keys": KEYS})
    shapes = set()
    for path in DRAWING:
        refused = served.post(path, json={"prompt": "a circle"}, headers=READ)
        assert refused.status_code == 403, path
        assert "key looker may not do this: it needs the scope generate, and has read" in sentence_of(refused), path
        shapes.add(tuple(sorted(refused.json())))
    assert len(shapes) >= 4, "they have words of their own"
    assert served.get("/queue", headers=READ).json()["pending_count"] == 0, "nothing was done"
    with pytest.raises(InvalidStatus) as closed:
        served.listen("/API/GenerateText2ImageWS", additional_headers=READ)
    assert closed.value.response.status_code == 403
    with served.listen("/ws", additional_headers=READ) as socket:
        assert "server_status" in socket.recv(timeout=20)


def test_too_many_requests_are_told_in_the_words_of_each_dialect(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(auth={"api_keys": ["whole"], "keys": KEYS})
    slow = {"Authorization": "Bearer slow"}
    for _ in range(2):
        served.get("/queue", headers=slow)
    for path in DRAWING:
        refused = served.post(path, json={"prompt": "a circle"}, headers={**slow, "Accept": "application/json"})
        assert refused.status_code in (403, 429), path
    for path in ("/queue", "/v1/models", "/sdapi/v1/samplers", "/View/x.png", "/sdcpp/v1/capabilities", "/api/tags",
                 "/history", "/api/history"):  # fmt: skip
        refused = served.get(path, headers=slow)
        assert refused.status_code == 429, path
        assert 0 < int(refused.headers["Retry-After"]) <= 60
        assert "2 times a minute" in sentence_of(refused), path
    assert served.get("/health").status_code == 200


def test_tools_of_agents_need_scopes_of_their_own(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(auth={"api_keys": ["whole"], "keys": KEYS})

    def call(tool: str, **arguments: Any) -> dict[str, Any]:
        message, headers = stateless("tools/call", {"name": tool, "arguments": arguments}, tool)
        return dict(post(served.url, message, {**headers, **READ}).json()["result"])

    assert not call("list_models").get("isError")
    refused = call("generate_image", prompt="a circle")
    assert refused["isError"]
    assert "needs the scope generate" in refused["content"][0]["text"]
    assert served.get("/queue", headers=READ).json()["pending_count"] == 0


def test_a_proxy_s_guesser_does_not_close_the_door_for_its_other_callers(
    make_served: Callable[..., ServedHouse],
) -> None:
    served = make_served(auth={"api_keys": ["whole"]})
    for number in range(WRONG_KEYS + 1):
        guess = {"Authorization": f"Bearer guess-{number}", "X-Forwarded-For": "192.0.2.66"}
        status = served.get("/queue", headers=guess).status_code
        assert status == (401 if number < WRONG_KEYS else 429)
    right = {"Authorization": "Bearer whole"}
    assert served.get("/queue", headers={**right, "X-Forwarded-For": "192.0.2.66"}).status_code == 429
    assert served.get("/queue", headers={**right, "X-Forwarded-For": "192.0.2.67"}).status_code == 200
    assert served.get("/queue", headers=right).status_code == 200


@for_each_case("path", ["/ui/bootstrap", "/ui/"])
def test_the_page_is_there_for_a_key_that_may_only_look(make_served: Callable[..., ServedHouse], path: str) -> None:
    served = make_served(auth={"keys": KEYS})
    assert served.get(path, headers=READ).status_code in (200, 501)
