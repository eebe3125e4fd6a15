from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from sdcpp_rest.core.load_spec import LoadOptions
from sdcpp_rest.routes.http.pools import pool_of
from sdcpp_rest.routes.native.wire.load_bodies import LoadBody, LoadOptionsBody, to_request
from sdcpp_rest.services.models.hashing import ModelHashes
from sdcpp_rest.web.app import create_app
from tests import model_files
from tests.cases import for_each_case

DEMO = "demo_dit_q8_0.gguf"
LISTS = [
    "checkpoints", "diffusion_models", "vae", "loras", "clip", "t5", "controlnets", "llm", "esrgan", "taesd",
    "embeddings",
]  # fmt: skip


def test_models_are_listed_in_the_shape_of_the_contract(client: FlaskClient) -> None:
    models = client.get("/models").get_json()
    assert list(models) == [*LISTS, "loaded_model", "loaded_model_type"]
    (demo,) = models["diffusion_models"]
    assert demo.pop("size_bytes") > 0
    assert demo.pop("kept_by") == ["cpu:0"]
    assert demo == {"name": DEMO, "type": "diffusion", "file_extension": ".gguf", "hash": None, "is_loaded": True}
    assert "is_loaded" not in models["llm"][0]
    assert (models["loaded_model"], models["loaded_model_type"]) == (DEMO, "diffusion")


@pytest.mark.parametrize(
    ("query", "applied"),
    [
        ("type=diffusion", {"type": "diffusion"}),
        ("extension=gguf&type=diffusion", {"type": "diffusion", "extension": "gguf"}),
        ("extension=.gguf&search=DIT", {"extension": ".gguf", "search": "DIT"}),
        ("name=demo_dit", {"name": "demo_dit"}),
    ],
)
def test_filters_narrow_the_lists_and_are_told(client: FlaskClient, query: str, applied: dict[str, str]) -> None:
    models = client.get(f"/models?{query}").get_json()
    assert models["applied_filters"] == applied
    assert [file["name"] for name in LISTS for file in models[name]] == [DEMO]


def test_a_filter_that_nothing_matches_gives_empty_lists(client: FlaskClient) -> None:
    models = client.get("/models?search=nothing-like-it").get_json()
    assert not any(models[name] for name in LISTS)


def test_an_unknown_type_is_refused_with_the_known_ones(client: FlaskClient) -> None:
    answer = client.get("/models?type=picture")
    assert answer.status_code == 400
    assert "checkpoint" in answer.get_json()["error"]


def test_load_answers_in_the_shape_of_the_contract(client: FlaskClient) -> None:
    answer = client.post("/models/load", json={"model_name": DEMO, "model_type": "diffusion"})
    assert answer.status_code == 200
    body = answer.get_json()
    assert body["success"] is True
    assert body["message"] == "Model loaded successfully"
    assert (body["model_name"], body["model_type"]) == (DEMO, "diffusion")
    assert set(body["loaded_components"]) == {"vae", "clip_l", "clip_g", "t5xxl", "controlnet", "llm", "llm_vision"}
    assert body["loaded_components"]["llm"] == "demo_llm_q4_0.gguf"


def test_a_wrong_type_is_corrected_and_unknown_fields_are_warned_of(client: FlaskClient) -> None:
    body = client.post("/models/load", json={"model_name": DEMO, "model_type": "checkpoint", "vea": "x"}).get_json()
    assert body["model_type"] == "diffusion"
    assert "unknown field 'vea' ignored; did you mean 'vae'?" in body["warnings"]
    assert any("model_type" in warning for warning in body["warnings"])


@pytest.mark.parametrize("body", [{}, {"model_name": None}, {"vae": "x"}])
def test_load_without_a_name_is_refused_in_the_words_of_the_contract(client: FlaskClient, body: Any) -> None:
    answer = client.post("/models/load", json=body)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "model_name is required")


def test_load_of_an_unknown_model_is_refused_in_the_words_of_the_contract(client: FlaskClient) -> None:
    answer = client.post("/models/load", json={"model_name": "demo_dit_q8_1.gguf"})
    assert answer.status_code == 500
    body = answer.get_json()
    assert body["error"] == "Internal error: Model not found: demo_dit_q8_1.gguf"
    assert body["nearest"] == [DEMO]


def test_an_unknown_component_is_refused_like_an_unknown_model(client: FlaskClient) -> None:
    answer = client.post("/models/load", json={"model_name": DEMO, "llm": "nothing.gguf"})
    assert (answer.status_code, answer.get_json()["code"]) == (500, "model_not_found")
    assert client.get("/health").get_json()["model_name"] == DEMO


@for_each_case("name", ["../x.gguf", "/etc/passwd", "..\\x", "a/../../x", "x\u0000"])
def test_a_name_that_leaves_the_folders_is_refused(client: FlaskClient, name: str) -> None:
    assert client.post("/models/load", json={"model_name": name}).status_code == 400


@pytest.mark.parametrize(
    ("name", "status", "code", "words"),
    [
        ("refuse", 500, "load_failed", "refuses this model"),
        ("hungry", 507, "out_of_memory", "Failed to load model: hungry.gguf: asked to be hungry"),
    ],
)
def test_a_load_that_fails_says_why_and_leaves_the_server_usable(
    make_house: Any, name: str, status: int, code: str, words: str
) -> None:
    house = make_house()
    folder = Path(house.config.paths.models_dir) / "diffusion_models"
    folder.mkdir(parents=True)
    house.start()
    demo = next(
        Path(file.path) for file in house.runtime.models.library.list()["diffusion_models"] if file.name == DEMO
    )
    for ending in (".gguf", ".json"):
        (folder / f"{name}{ending}").write_bytes(demo.with_suffix(ending).read_bytes())
    answer = house.client.post("/models/load", json={"model_name": f"{name}.gguf"})
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    assert words in answer.get_json()["error"]
    assert words in house.client.get("/health").get_json()["last_error"]
    assert house.client.post("/models/load", json={"model_name": DEMO}).status_code == 200


def test_a_load_need_not_be_waited_for(house: Any) -> None:
    house.load_gate.clear()
    body = {"model_name": DEMO, "options": {"n_threads": 2}}
    answer = house.client.post("/models/load?wait=false", json=body)
    assert answer.status_code == 202
    assert answer.get_json() | {"message": ""} == {
        "success": True,
        "message": "",
        "status": "loading",
        "model_name": DEMO,
        "model_type": "diffusion",
    } | {name: text for name, text in answer.get_json().items() if name == "warnings"}
    late = house.client.post("/models/load?timeout=0.01", json=body)
    assert late.status_code == 504
    assert "it goes on" in late.get_json()["error"]
    house.load_gate.set()
    assert house.client.post("/models/load?wait=true&timeout=20", json=body).status_code == 200
    assert house.client.get("/health").get_json()["model_name"] == DEMO


def test_what_cannot_be_loaded_is_told_at_once_also_when_nobody_waits(client: FlaskClient) -> None:
    answer = client.post("/models/load?wait=false", json={"model_name": "nothing"})
    assert answer.status_code == 500
    assert client.post("/models/load?wait=perhaps", json={"model_name": DEMO}).status_code == 400


def test_unload_is_idempotent_and_takes_no_body(client: FlaskClient) -> None:
    for _ in range(2):
        answer = client.post("/models/unload")
        assert (answer.status_code, answer.get_json()) == (200, {"success": True, "message": "Model unloaded"})
    assert client.get("/health").get_json()["model_loaded"] is False
    refused = client.post("/txt2img", json={"prompt": "x"})
    assert (refused.status_code, refused.get_json()["error"]) == (400, "No model loaded")


def test_unload_with_jobs_that_need_the_model_is_refused_unless_forced(house: Any) -> None:
    house.gate.clear()
    jobs = [house.submit(), house.submit()]
    assert house.running.wait(20)
    refused = house.client.post("/models/unload")
    assert refused.status_code == 409
    house.gate.set()
    assert house.client.post("/models/unload", json={"force": True}).status_code == 200
    assert [house.finished(job)["status"] for job in jobs] == ["completed", "completed"]


def test_the_wire_knows_every_load_option() -> None:
    assert set(LoadOptionsBody.model_fields) == set(LoadOptions.model_fields)


def test_an_omitted_component_is_the_models_choice_and_an_empty_name_means_none() -> None:
    body = LoadBody.model_validate({"model_name": "m", "vae": "", "llm": "l", "options": {"n_threads": 2}})
    request = to_request(body)
    assert dict(request.components) == {"vae": "", "llm": "l"}
    assert dict(request.options) == {"n_threads": 2}
    assert request.model_type is None


# --- hashes ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def vae(house: Any) -> Path:
    path = Path(house.config.paths.models_dir) / "vae" / "sub folder" / "a+b ü.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    return path


@pytest.mark.parametrize(
    "name",
    ["sub%20folder/a+b%20%C3%BC.safetensors", "sub%20folder%2Fa%2Bb%20%C3%BC.safetensors", "a+b%20%C3%BC", "a+b ü"],
)
def test_a_hash_is_told_in_the_shape_of_the_contract(client: FlaskClient, vae: Path, name: str) -> None:
    answer = client.get(f"/models/hash/vae/{name}")
    assert answer.status_code == 200
    assert answer.get_json() == {
        "model_name": "sub folder/a+b ü.safetensors",
        "model_type": "vae",
        "hash": hashlib.sha256(b"weights").hexdigest(),
    }


def test_a_computed_hash_is_in_the_listing_until_the_file_changes(client: FlaskClient, vae: Path) -> None:
    def listed() -> Any:
        return client.get("/models?type=vae&search=ü").get_json()["vae"][0]["hash"]

    assert listed() is None
    client.get("/models/hash/vae/a+b ü")
    assert listed() == hashlib.sha256(b"weights").hexdigest()
    vae.unlink()
    vae.write_bytes(b"other weights")
    assert listed() is None


def test_hashes_of_the_bundled_model_are_told_too(client: FlaskClient, demo_folder: Path) -> None:
    expected = hashlib.sha256((demo_folder / "diffusion_models" / DEMO).read_bytes()).hexdigest()
    assert client.get(f"/models/hash/diffusion/{DEMO}").get_json()["hash"] == expected


def test_the_hash_of_an_unknown_model_is_refused_in_the_words_of_the_contract(shared_client: FlaskClient) -> None:
    answer = shared_client.get("/models/hash/diffusion/invalid_model.safetensors")
    assert (answer.status_code, answer.get_json()["error"]) == (404, "Model not found: invalid_model.safetensors")


@for_each_case("kind", ["picture", "..", "DIFFUSION", "%00", "x" * 5000])
def test_the_hash_of_an_unknown_type_is_refused_with_the_known_ones(shared_client: FlaskClient, kind: str) -> None:
    answer = shared_client.get(f"/models/hash/{kind}/{DEMO}")
    assert answer.status_code == 400
    assert "checkpoint" in answer.get_json()["allowed"]


@for_each_case("name", ["../x.gguf", "%2e%2e%2fx.gguf", "..%5cx", "/etc/passwd", "%00", "a%00b", "x" * 5000])
def test_a_hash_of_what_lies_elsewhere_is_refused(shared_client: FlaskClient, name: str) -> None:
    answer = shared_client.get(f"/models/hash/vae/{name}")
    assert answer.status_code in (400, 404)
    assert answer.is_json


def test_hashing_waits_on_a_thread_of_the_large_pool() -> None:
    assert pool_of(create_app(None).view_functions["models.hash_model"]) == "blocking"


def test_a_hash_that_takes_long_delays_nobody(make_served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    served = make_served()
    reading, done = threading.Event(), threading.Event()

    def read_slowly(*_: object) -> str:
        reading.set()
        assert done.wait(20)
        return "0" * 64

    monkeypatch.setattr(ModelHashes, "_read", read_slowly)
    with ThreadPoolExecutor(40) as pool:
        # More of them than there are threads for short calls.
        asked = [pool.submit(served.get, f"/models/hash/diffusion/{DEMO}") for _ in range(40)]
        assert reading.wait(20)
        for path in ("/health", "/models", "/queue", "/metrics", "/preview/settings"):
            assert served.get(path).status_code == 200
        assert not any(one.done() for one in asked)
        done.set()
        assert {one.result(20).json()["hash"] for one in asked} == {"0" * 64}


@pytest.mark.slow
def test_new_routes_want_a_key_where_keys_are_configured(make_served: Any) -> None:
    served = make_served(auth={"api_keys": ["secret"]})
    paths = (f"/models/hash/diffusion/{DEMO}", "/preview/settings", "/metrics", "/docs", "/openapi.json", "/options")
    for path in paths:
        refused = served.get(path)
        assert (refused.status_code, refused.json()["code"]) == (401, "not_authenticated"), path
        assert served.get(path, headers={"Authorization": "Bearer secret"}).status_code == 200, path
    assert served.get("/jobs/x/preview").status_code == 401
    assert served.get("/jobs/x/preview", auth=("anyone", "secret")).status_code == 404


def test_a_load_that_asks_for_an_encoder_that_is_not_there_keeps_to_the_schema(house: Any) -> None:
    tae = {"decoder.layers.0.bias": (4,), "decoder.layers.0.weight": (3, 3, 16, 64)}
    model_files.write(house.config.paths.models_dir / "taesd/half.safetensors", model_files.safetensors_bytes(tae))
    answer = house.client.post(
        "/models/load", json={"model_name": DEMO, "taesd": "half.safetensors", "options": {"vae_decode_only": False}}
    )
    assert answer.status_code == 400
    assert answer.get_json()["field"] == "options.vae_decode_only"
    assert answer.get_json()["allowed"] == "true"


def test_an_empty_choice_of_a_load_option_is_the_usual_one(client: FlaskClient) -> None:
    options = {"rng_type": "", "lora_apply_mode": "", "sampler_rng_type": "", "weight_type": ""}
    answer = client.post("/models/load", json={"model_name": DEMO, "options": options})
    assert answer.status_code == 200, answer.text
    assert (
        client.get("/health").get_json()["load_options"].items()
        >= {"rng_type": "cuda", "lora_apply_mode": "auto"}.items()
    )


def test_text_encoders_may_be_left_to_the_server(client: FlaskClient) -> None:
    body = {"model_name": "demo_dit_q8_0.gguf", "options": {"keep_clip_on_cpu": "Auto"}}
    answered = client.post("/models/load", json=body).get_json()
    assert "options.keep_clip_on_cpu: auto is true: the model is loaded so." in answered["warnings"]
    assert client.get("/health").get_json()["load_options"]["keep_clip_on_cpu"] is True
    refused = client.post("/models/load", json={**body, "options": {"keep_clip_on_cpu": "yes"}})
    assert refused.status_code == 400
    assert refused.get_json()["error"].endswith("must be true, false or 'auto', got \"yes\"")
