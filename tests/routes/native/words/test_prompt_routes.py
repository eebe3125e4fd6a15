"""Prompts over HTTP: what becomes of one before it is drawn, and how many tokens it has."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient

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
