from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.routes.conftest import House

EMPTY = ["hypernetworks", "face-restorers", "extensions"]


def listed(client: FlaskClient, name: str) -> list[dict[str, object]]:
    answer = client.get(f"/sdapi/v1/{name}")
    assert answer.status_code == 200
    return list(answer.get_json())


def test_samplers_are_those_the_engine_has(shared_client: FlaskClient) -> None:
    rows = listed(shared_client, "samplers")
    assert [row["name"] for row in rows] == ["Euler", "Euler a", "Heun", "DPM++ 2M"]
    assert rows[1] == {"name": "Euler a", "aliases": ["k_euler_a", "k_euler_ancestral"], "options": {}}


def test_schedulers(shared_client: FlaskClient) -> None:
    rows = listed(shared_client, "schedulers")
    assert rows[0] == {
        "name": "automatic", "label": "Automatic", "aliases": None, "default_rho": -1.0, "need_inner_model": False
    }  # fmt: skip
    assert [row["label"] for row in rows] == ["Automatic", "Karras", "Align Your Steps GITS"]


def test_upscalers_begin_with_none(shared_client: FlaskClient) -> None:
    rows = listed(shared_client, "upscalers")
    assert [row["name"] for row in rows] == ["None", "Lanczos", "Nearest", "esrgan_x2", "esrgan_x4"]
    assert [row["scale"] for row in rows[3:]] == [2.0, 4.0]
    assert {row["model_url"] for row in rows} == {None}
    assert [(row["name"], row["scale"]) for row in listed(shared_client, "realesrgan-models")] == [
        ("esrgan_x2", 2), ("esrgan_x4", 4)
    ]  # fmt: skip


def test_latent_modes(shared_client: FlaskClient) -> None:
    names = [row["name"] for row in listed(shared_client, "latent-upscale-modes")]
    assert names[0] == "Latent"
    assert set(names) == {
        "Latent", "Latent (antialiased)", "Latent (bicubic)", "Latent (bicubic antialiased)", "Latent (nearest)",
        "Latent (nearest-exact)",
    }  # fmt: skip


def test_models_have_whole_paths(shared_client: FlaskClient) -> None:
    (row,) = listed(shared_client, "sd-models")
    assert row["model_name"] == "demo_dit_q8_0"
    assert Path(str(row["filename"])).is_file()
    assert row["config"] is None


def test_loras_have_an_alias(shared_client: FlaskClient) -> None:
    (row,) = listed(shared_client, "loras")
    assert (row["name"], row["alias"], row["metadata"]) == ("demo_lora", "demo_lora", {})
    assert Path(str(row["path"])).is_file()


@pytest.mark.parametrize("name", EMPTY)
def test_lists_of_what_there_is_not(shared_client: FlaskClient, name: str) -> None:
    assert listed(shared_client, name) == []


def test_embeddings_are_listed_whether_they_are_loaded_or_not(make_house: Callable[..., House]) -> None:
    house = make_house()
    folder = house.config.paths.models_dir / "embeddings"
    folder.mkdir(parents=True)
    (folder / "style.pt").write_bytes(b"x")
    shown = house.client.get("/sdapi/v1/embeddings").get_json()
    assert shown["loaded"] == {}
    assert list(shown["skipped"]) == ["style"]


def test_what_is_added_is_listed_after_a_refresh(client: FlaskClient, house: House) -> None:
    for kind, route, listing in (
        ("vae", "refresh-vae", "sd-vae"), ("loras", "refresh-loras", "loras"),
        ("checkpoints", "refresh-checkpoints", "sd-models"), ("embeddings", "refresh-embeddings", "embeddings"),
    ):  # fmt: skip
        folder = house.config.paths.models_dir / kind
        folder.mkdir(parents=True)
        (folder / "added.safetensors").write_bytes(b"x")
        answer = client.post(f"/sdapi/v1/{route}")
        assert (answer.status_code, answer.text) == (200, "null")
        assert "added" in client.get(f"/sdapi/v1/{listing}").text
    (row,) = listed(client, "sd-vae")
    assert row["model_name"] == "added.safetensors"


def test_prompt_styles_are_those_of_the_file(make_house: Callable[..., House], tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("name,prompt,negative_prompt\nOil,oil painting,photo\n")
    house = make_house(a1111={"styles_file": str(file)})
    assert listed(house.client, "prompt-styles") == [
        {"name": "Oil", "prompt": "oil painting", "negative_prompt": "photo"}
    ]  # fmt: skip
