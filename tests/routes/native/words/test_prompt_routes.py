"""Prompts over HTTP: what becomes of one before it is drawn, and how many tokens it has."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from sdcpp_rest.services.models import library_vocabulary
from sdcpp_rest.services.models.library_vocabulary import PLACES
from tests.cases import for_each_case

SMALL = {"width": 8, "height": 8, "steps": 1}


def expand(client: FlaskClient, prompt: str, **more: Any) -> list[dict[str, Any]]:
    answer = client.post("/prompt/expand", json={"prompt": prompt, **more})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.get_json()["prompts"]
    return found


def test_words_of_a_seed_are_those_of_the_job(house: Any) -> None:
    client = house.client
    client.put("/wildcards/animals", json={"entries": ["a cat", "a {big|small} dog", "<random:1-9> mice"]})
    client.put("/styles/ink", json={"prompt": "{ink|pen} drawing of {prompt}", "negative_prompt": "{photo|film}"})
    words = {"prompt": "<wc:animals> __animals__ {2$$red|blue|green}", "negative_prompt": "<wc:animals>"}
    found = expand(client, **words, styles=["ink"], seed=40, count=20)
    assert [one["seed"] for one in found] == list(range(40, 60))
    assert len({one["prompt"] for one in found}) > 5
    for one in found:
        sent = {**SMALL, **words, "styles": ["ink"], "seed": one["seed"], "expand_prompt": True}
        job = client.post("/txt2img", json=sent).get_json()
        assert (job["resolved_prompt"], job["resolved_negative_prompt"]) == (one["prompt"], one["negative_prompt"])


def test_all_that_was_used_is_told(house: Any) -> None:
    client = house.client
    lora = house.config.paths.models_dir / "loras" / "ink.safetensors"
    lora.parent.mkdir(parents=True, exist_ok=True)
    lora.write_bytes(b"")
    client.put("/wildcards/a/b", json={"entries": ["x"]})
    client.put("/styles/soft", json={"prompt": "softly"})
    (one,) = expand(
        client,
        "<setvar[c]:red> <wc:b> <wc:b> <preset:soft> <param[steps]:7> <lora:nobody> <wc:none> <var:d> <embed:e>",
        seed=3,
    )
    assert one["prompt"] == "red x x <lora:nobody> <wc:none>, softly"
    assert (one["wildcards"], one["presets"], one["variables"]) == (["a/b"], ["soft"], {"c": "red"})
    assert one["settings"] == {"steps": 7}
    assert [(lacking["kind"], lacking["name"]) for lacking in one["unknown"]] == [
        ("LoRA", "nobody"),
        ("wildcard", "none"),
        ("variable", "d"),
        ("embedding", "e"),
    ]
    assert one["unknown"][0]["error"] == "prompt: there is no LoRA 'nobody'; '<lora:nobody>' stays as it is."
    assert one["unknown"][0]["error"] in one["warnings"]


def test_a_seed_that_was_left_to_chance_is_told(shared_client: FlaskClient) -> None:
    first, second = expand(shared_client, "<random:1-1000000>", count=2)
    assert second["seed"] == first["seed"] + 1
    assert expand(shared_client, "<random:1-1000000>", seed=first["seed"]) == [first]


@for_each_case(
    ("body", "field"),
    [
        ({}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": "x" * 20_001}, "prompt"),
        ({"prompt": "<repeat[10000]:aaa>"}, "prompt"),
        ({"prompt": "<setmacro[m]:<macro:m><macro:m>>"}, "prompt"),
        ({"prompt": "x", "count": 51}, "count"),
        ({"prompt": "x", "count": 0}, "count"),
        ({"prompt": "x", "seed": "y"}, "seed"),
        ({"prompt": "x", "seed": 2**63}, "seed"),
        ({"prompt": "x", "styles": ["nobody"]}, "styles"),
        ({"prompt": "x", "mode": "upscale"}, "mode"),
        ({"prompt": "<param[steps]:many>"}, "steps"),
        ({"prompt": "x", "model": ""}, "model"),
    ],
)
def test_what_cannot_be_expanded_is_refused(shared_client: FlaskClient, body: Any, field: str) -> None:
    answer = shared_client.post("/prompt/expand", json=body)
    assert (answer.status_code, answer.get_json().get("field")) == (400, field), answer.text


def test_a_model_can_be_named(shared_client: FlaskClient) -> None:
    assert expand(shared_client, "x", model="demo_dit_q8_0.gguf")[0]["prompt"] == "x"
    answer = shared_client.post("/prompt/expand", json={"prompt": "x", "model": "demo_dit_q8_0.gguff"})
    assert answer.status_code == 404
    assert "demo_dit_q8_0.gguf" in answer.get_json()["nearest"]


def test_without_a_model_there_is_nobody_to_draw(make_house: Any) -> None:
    house = make_house().start()
    house.client.post("/models/unload", json={})
    answer = house.client.post("/prompt/expand", json={"prompt": "x"})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "no_model_loaded")


@for_each_case(
    ("body", "status", "field"),
    [
        ({}, 400, "prompt"),
        ({"prompt": 5}, 400, "prompt"),
        ({"prompt": "x" * 20_001}, 400, "prompt"),
        ({"prompt": "a\x00b"}, 400, "prompt"),
        ({"prompt": "(a:1..)"}, 501, None),
        ({"prompt": "(a:.)"}, 400, "prompt"),
        ({"prompt": "x", "negative_prompt": "(a:.)"}, 501, None),
        ({"prompt": "x", "model": "nobody"}, 404, None),
        ({"prompt": "x", "model": ["x"]}, 400, "model"),
    ],
)
def test_what_cannot_be_counted_is_refused(shared_client: FlaskClient, body: Any, status: int, field: str) -> None:
    """Nothing can be counted here at all: the engine of these tests has no library."""
    answer = shared_client.post("/prompt/tokens", json=body)
    assert (answer.status_code, answer.get_json().get("field")) == (status, field), answer.text


def test_tokens_are_counted_by_the_vocabulary_of_the_library(
    make_house: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merges = b"#version: 0.2\ni n\nt h\n" + "\u0120 c\n".encode()
    file = tmp_path / "library.so"
    file.write_bytes(bytes(100) + merges)
    place = PLACES["clip"]._replace(size=len(merges), sha256=hashlib.sha256(merges).hexdigest())
    monkeypatch.setattr(library_vocabulary, "PLACES", {**PLACES, "qwen2": place})
    house = make_house().start()
    ready = house.runtime.engine.supervisor.ready.model_copy(update={"library_path": str(file)})
    monkeypatch.setattr(house.runtime.engine.supervisor, "ready", ready)
    sent = {"prompt": "ab (c:1.2)  c <lora:x>", "negative_prompt": "\U0001f600", "model": "demo_dit_q8_0.gguf", "x": 1}
    answer = house.client.post("/prompt/tokens", json=sent)
    assert answer.status_code == 200, answer.text
    body = answer.get_json()
    assert body["model"] == "demo_dit_q8_0.gguf"
    assert body["prompt"] == [
        {
            "encoder": "llm",
            "count": 8,
            "chunk": None,
            "chunks": None,
            "limit": None,
            "truncated_at_character": None,
            "exact": True,
        }
    ]
    assert body["negative_prompt"][0]["exact"] is False
    assert "unknown field 'x'" in body["warnings"][0]


def test_without_a_model_no_tokens_are_counted(make_house: Any) -> None:
    house = make_house().start()
    house.client.post("/models/unload", json={})
    answer = house.client.post("/prompt/tokens", json={"prompt": "x"})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "no_model_loaded")
