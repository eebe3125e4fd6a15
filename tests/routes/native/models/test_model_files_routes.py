from __future__ import annotations

import http.client
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient

from sdcpp_rest.routes.http.pools import pool_of
from sdcpp_rest.web.app import create_app
from tests.cases import for_each_case
from tests.model_files import FLUX, LORA, VAE, gguf_bytes, reversed_shapes, safetensors_bytes, write

DEMO = "demo_dit_q8_0.gguf"
MODEL = safetensors_bytes(reversed_shapes(VAE))


@pytest.fixture
def models_dir(house: Any) -> Path:
    return Path(house.config.paths.models_dir)


def files(models_dir: Path) -> list[str]:
    return sorted(str(path.relative_to(models_dir)) for path in models_dir.rglob("*") if path.is_file())


# --- folders ----------------------------------------------------------------------------------------------------------


def test_paths_are_told_under_the_names_of_the_contract(client: FlaskClient, models_dir: Path) -> None:
    paths = client.get("/models/paths").get_json()
    assert list(paths) == [
        "checkpoints", "diffusion_models", "vae", "lora", "clip", "t5", "embeddings", "controlnet", "llm", "esrgan",
        "taesd",
    ]  # fmt: skip
    assert paths["lora"] == str(models_dir.resolve() / "loras")


def test_folders_of_other_programs_are_told_and_so_is_what_lies_in_them(
    make_house: Callable[..., Any], tmp_path: Path
) -> None:
    program = tmp_path / "webui"
    write(program / "models/Lora/theirs.safetensors", safetensors_bytes(reversed_shapes(LORA)))
    write(program / "models/VAE/theirs.safetensors", MODEL)
    own = {f"{name}_dir": tmp_path / name for name in ("data", "models", "output", "log")}
    house = make_house(paths={**own, "extra_model_dirs": [str(program), str(tmp_path / "missing")]})
    client = house.start().client
    assert client.get("/models/paths").get_json()["extra"] == {
        "vae": [str(program / "models/VAE")], "lora": [str(program / "models/Lora")],
    }  # fmt: skip
    listed = client.get("/models").get_json()
    shown = {file["name"]: file.get("extra_folder") for file in listed["loras"]}
    assert shown == {"demo_lora.safetensors": None, "theirs.safetensors": str(program / "models/Lora")}
    (warning,) = client.post("/models/refresh").get_json()["warnings"]
    assert "missing cannot be read: No such file or directory" in warning
    facts = client.get("/models/vae/theirs/inspect").get_json()
    assert facts["contents"] == "VAE"
    assert len(client.get("/models/hash/lora/theirs").get_json()["hash"]) == 64


def test_refresh_counts_what_is_there(client: FlaskClient, models_dir: Path) -> None:
    before = client.post("/models/refresh").get_json()
    assert before["success"] is True
    assert before["counts"]["diffusion_models"] == 1
    assert "warnings" not in before
    write(models_dir / "vae" / "a.gguf", b"x")
    write(models_dir / "vae" / "b-00001-of-00002.gguf", b"x")
    after = client.post("/models/refresh").get_json()
    assert (after["counts"]["vae"], after["total"]) == (1, before["total"] + 1)
    assert after["warnings"] == ["b.gguf is not listed: only 1 of its 2 parts are there"]
    assert after["models"] == client.get("/models").get_json()


def test_a_split_model_is_listed_as_one(client: FlaskClient, models_dir: Path) -> None:
    for number in (1, 2):
        write(models_dir / "vae" / f"b-0000{number}-of-00002.gguf", b"xx")
    (listed,) = client.get("/models?type=vae").get_json()["vae"]
    assert (listed["name"], listed["size_bytes"], listed["parts"]) == ("b-00001-of-00002.gguf", 4, 2)


def test_the_whole_list_is_written_anew_when_something_changes(client: FlaskClient, models_dir: Path) -> None:
    def shown() -> list[tuple[str, str | None]]:
        return [(file["name"], file["hash"]) for file in client.get("/models").get_json()["vae"]]

    assert shown() == []
    path = write(models_dir / "vae" / "a.gguf", b"x")
    assert shown() == shown() == [("a.gguf", None)]
    client.get("/models/hash/vae/a")
    ((_, sha256),) = shown()
    assert sha256 is not None
    assert client.get(f"/models/hash/vae/{sha256[:10]}").get_json()["model_name"] == "a.gguf"
    path.unlink()
    assert shown() == []
    client.post("/models/unload")
    assert client.get("/models").get_json()["loaded_model"] is None


# --- what is in a file ------------------------------------------------------------------------------------------------


def test_a_model_tells_what_is_in_it(client: FlaskClient) -> None:
    shown = client.get(f"/models/diffusion/{DEMO}/inspect").get_json()
    assert (shown["model_name"], shown["model_architecture"], shown["format"]) == (DEMO, "Ovis Image", "gguf")
    assert shown["quantization"][0]["type"] == "q8_0"
    assert shown["sidecar"]["components"]["llm"] == "demo_llm_q4_0.gguf"
    assert (shown["fit"]["width"], shown["fit"]["model_name"]) == (64, DEMO)
    assert json.dumps(shown).count("/demo/") == 0


def test_a_lora_is_not_asked_whether_it_fits(client: FlaskClient, models_dir: Path) -> None:
    content = safetensors_bytes(reversed_shapes(LORA), metadata={"modelspec.trigger_phrase": "in blue"})
    write(models_dir / "loras" / "sub" / "l.safetensors", content)
    shown = client.get("/models/lora/sub%2Fl.safetensors/inspect").get_json()
    assert (shown["contents"], shown["trained_words"], shown["fit"]) == ("LoRA", ["in blue"], None)


@pytest.mark.parametrize("what", ["inspect", "fit"])
def test_unknown_models_and_types_are_refused(shared_client: FlaskClient, what: str) -> None:
    assert shared_client.get(f"/models/diffusion/nothing.gguf/{what}").status_code == 404
    assert shared_client.get(f"/models/picture/{DEMO}/{what}").status_code == 400
    assert shared_client.get(f"/models/vae/..%2Fx/{what}").status_code == 400


def test_a_file_that_is_no_model_says_what_it_is(client: FlaskClient, models_dir: Path) -> None:
    write(models_dir / "vae" / "a.gguf", b"<html>")
    answer = client.get("/models/vae/a/inspect")
    assert (answer.status_code, answer.get_json()["code"]) == (400, "not_a_model")


# --- whether it fits --------------------------------------------------------------------------------------------------


def test_a_fit_is_told_for_each_device(client: FlaskClient) -> None:
    small = client.get(f"/models/diffusion/{DEMO}/fit?width=64&height=64").get_json()
    large = client.get(f"/models/diffusion/{DEMO}/fit?width=2048&height=1024&batch_count=4").get_json()
    assert small["weights"] == large["weights"]
    assert large["total_bytes"] > 4 * small["total_bytes"]
    assert (large["width"], large["height"], large["batch_count"]) == (2048, 1024, 4)
    assert small["total_bytes"] == small["weights"]["total"] + small["compute"]["peak"]
    assert small["devices"]
    for device in small["devices"]:
        assert device["verdict"] in ("fits", "tight", "no")


def test_components_may_be_named_and_have_commas_in_their_names(client: FlaskClient, models_dir: Path) -> None:
    write(models_dir / "diffusion_models" / "f.gguf", gguf_bytes(FLUX))
    write(models_dir / "vae" / "a, b.safetensors", MODEL)
    shown = client.get("/models/diffusion/f/fit?component=vae:a,%20b&component=llm:").get_json()
    assert shown["weights"]["vae"] > 0
    assert (shown["width"], shown["height"]) == (1024, 1024)


@for_each_case(
    ("query", "field"),
    [("width=0", "width"), ("height=x", "height"), ("component=vae", "component"), ("component=motor:x", "component"),
     ("weight_type=q8_1", "weight_type"), ("video_frames=0", "video_frames"), ("width=99999", "width")],
)  # fmt: skip
def test_questions_that_make_no_sense_are_refused(shared_client: FlaskClient, query: str, field: str) -> None:
    answer = shared_client.get(f"/models/diffusion/{DEMO}/fit?{query}")
    assert (answer.status_code, answer.get_json()["field"]) == (400, field)


# --- uploads ----------------------------------------------------------------------------------------------------------


def form(content: bytes = MODEL, filename: str = "a.safetensors", **fields: str) -> dict[str, Any]:
    return {**fields, "file": (io.BytesIO(content), filename)}


def test_an_upload_as_a_form_is_listed_at_once(client: FlaskClient, models_dir: Path) -> None:
    answer = client.post("/models/upload", data=form(type="vae", subfolder="sub"))
    assert answer.status_code == 201, answer.text
    assert answer.get_json()["model"] == {
        "name": "sub/a.safetensors", "type": "vae", "file_extension": ".safetensors", "size_bytes": len(MODEL),
        "hash": None,
    }  # fmt: skip
    assert [file["name"] for file in client.get("/models").get_json()["vae"]] == ["sub/a.safetensors"]
    assert files(models_dir) == ["vae/sub/a.safetensors"]


def test_fields_after_the_file_and_in_the_query_count_too(client: FlaskClient, models_dir: Path) -> None:
    late = {"file": (io.BytesIO(MODEL), "ignored.bin"), "type": "vae", "name": "b.safetensors"}
    assert client.post("/models/upload", data=late).status_code == 201
    assert (
        client.post("/models/upload?type=vae&name=c.safetensors", data={"file": (io.BytesIO(MODEL), "x")}).status_code
        == 201
    )
    assert files(models_dir) == ["vae/b.safetensors", "vae/c.safetensors"]


def test_a_bare_body_is_a_file_too(client: FlaskClient, models_dir: Path) -> None:
    for content_type in ("application/octet-stream", None):
        answer = client.post(
            "/models/upload?type=vae&name=a.safetensors&overwrite=true", data=MODEL, content_type=content_type
        )
        assert answer.status_code == 201, answer.text
    assert files(models_dir) == ["vae/a.safetensors"]


def test_a_taken_name_is_a_conflict_unless_it_may_be_replaced(client: FlaskClient) -> None:
    assert client.post("/models/upload", data=form(type="vae")).status_code == 201
    assert client.post("/models/upload", data=form(type="vae")).status_code == 409
    assert client.post("/models/upload", data=form(type="vae", overwrite="false")).status_code == 409
    assert client.post("/models/upload", data=form(type="vae", overwrite="true")).status_code == 201


@for_each_case(
    ("fields", "field"),
    [
        ({}, "type"),
        ({"type": "motion"}, "type"),
        ({"type": "vae", "subfolder": "../x"}, "subfolder"),
        ({"type": "vae", "name": "../x.gguf"}, "name"),
        ({"type": "vae", "name": "x.exe"}, "name"),
        ({"type": "vae", "overwrite": "perhaps"}, "overwrite"),
    ],
)
def test_bad_fields_are_refused_by_name(
    client: FlaskClient, models_dir: Path, fields: dict[str, str], field: str
) -> None:
    answer = client.post("/models/upload", data=form(MODEL, **fields))
    assert (answer.status_code, answer.get_json()["field"]) == (400, field), answer.text
    assert files(models_dir) == []


@pytest.mark.parametrize("content", [b"<html>log in</html>", b"", b"GGUF", b"x" * 10_000])
def test_what_is_no_model_is_refused_and_leaves_nothing(client: FlaskClient, models_dir: Path, content: bytes) -> None:
    answer = client.post("/models/upload", data=form(content, type="vae"))
    assert (answer.status_code, answer.get_json()["code"]) == (400, "not_a_model")
    assert answer.get_json()["error"].startswith("a.safetensors ")
    assert files(models_dir) == []


def test_a_form_without_a_file_or_with_two_is_refused(client: FlaskClient, models_dir: Path) -> None:
    assert client.post("/models/upload", data={"type": "vae"}, content_type="multipart/form-data").status_code == 400
    two = {"type": "vae", "file": [(io.BytesIO(MODEL), "a.safetensors"), (io.BytesIO(MODEL), "b.safetensors")]}
    assert client.post("/models/upload", data=two).status_code == 400
    assert client.post("/models/upload").status_code == 400
    assert files(models_dir) == []


def test_a_full_disk_is_told(client: FlaskClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1))
    answer = client.post("/models/upload", data=form(type="vae"))
    assert (answer.status_code, answer.get_json()["code"]) == (507, "disk_full")


def test_an_upload_may_say_model_type_and_filename(client: FlaskClient, models_dir: Path) -> None:
    # The file first, as SDCPP-RESTAPI's page sends its form.
    sent = {"file": (io.BytesIO(MODEL), "a.safetensors"), "model_type": "vae", "subfolder": "sub"}
    answer = client.post("/models/upload", data=sent).get_json()
    shown = {name: answer[name] for name in ("filename", "model_name", "model_type", "size_bytes", "subfolder")}
    assert shown == {
        "filename": "a.safetensors", "model_name": "sub/a.safetensors", "model_type": "vae", "size_bytes": len(MODEL),
        "subfolder": "sub",
    }  # fmt: skip
    assert Path(answer["full_path"]).read_bytes() == MODEL
    named = {"model_type": "vae", "filename": "b.safetensors", "file": (io.BytesIO(MODEL), "a.safetensors")}
    other = client.post("/models/upload", data=named).get_json()
    assert (other["model_name"], "subfolder" in other) == ("b.safetensors", False)
    assert client.post("/models/upload?model_type=vae&filename=c.safetensors", data=MODEL).status_code == 201
    refused = client.post("/models/upload", data=MODEL)
    assert (refused.status_code, refused.get_json()["field"]) == (400, "type")


def test_uploads_have_threads_of_their_own() -> None:
    views = create_app(None).view_functions
    assert pool_of(views["model_files.upload_model"]) == "upload"
    assert pool_of(views["model_files.inspect_model"]) == "blocking"


# --- uploads behind real sockets --------------------------------------------------------------------------------------


def big(size: int) -> bytes:
    """A safetensors file of about ``size`` bytes."""
    return safetensors_bytes({"decoder.conv_in.weight": (size // 4,)})


def test_an_upload_larger_than_any_body_is_taken(make_served: Any) -> None:
    served = make_served(limits={"body_bytes": 2048})
    content = big(3_000_000)
    answer = requests.post(
        served.url + "/models/upload", files={"file": ("a.safetensors", content)}, data={"type": "vae"}, timeout=20
    )
    assert answer.status_code == 201, answer.text
    path = Path(served.house.config.paths.models_dir) / "vae" / "a.safetensors"
    assert path.read_bytes() == content


def test_a_chunked_upload_is_taken(served: Any) -> None:
    content = big(500_000)

    def parts() -> Iterator[bytes]:
        for start in range(0, len(content), 7_777):
            yield content[start : start + 7_777]

    answer = served.post("/models/upload?type=vae&name=a.safetensors", data=parts())
    assert answer.status_code == 201, answer.text
    assert answer.json()["model"]["size_bytes"] == len(content)


def test_an_upload_beyond_its_limit_is_refused_and_leaves_nothing(make_served: Any) -> None:
    served = make_served(limits={"upload_bytes": 100_000})
    content = big(300_000)

    def parts() -> Iterator[bytes]:
        for start in range(0, len(content), 5_000):
            yield content[start : start + 5_000]

    for data in (content, parts()):
        answer = served.post("/models/upload?type=vae&name=a.safetensors", data=data)
        assert (answer.status_code, answer.json()["setting"]) == (413, "limits.upload_bytes")
    assert files(Path(served.house.config.paths.models_dir)) == []


def test_an_upload_that_is_cut_leaves_nothing(served: Any) -> None:
    models_dir = Path(served.house.config.paths.models_dir)
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.putrequest("POST", "/models/upload?type=vae&name=a.safetensors")
    connection.putheader("Content-Length", "1000000")
    connection.endheaders(MODEL)
    until_half = [False]
    for _ in range(10_000):
        # Every answer of the server gives the upload's thread its turn.
        assert served.get("/health").status_code == 200
        if files(models_dir):
            until_half[0] = True
            break
    assert until_half[0], "the upload did not begin"
    assert served.get("/models").json()["vae"] == []
    connection.close()
    for _ in range(10_000):
        assert served.get("/health").status_code == 200
        if not files(models_dir):
            break
    assert files(models_dir) == []


def test_a_refusal_before_the_body_is_heard_and_the_connection_lives_on(served: Any) -> None:
    with requests.Session() as session:
        for _ in range(2):
            answer = session.post(served.url + "/models/upload?type=vae&name=..", data=big(2_000_000), timeout=20)
            assert (answer.status_code, answer.json()["field"]) == (400, "name")
        assert session.get(served.url + "/health", timeout=20).status_code == 200


def test_an_upload_wants_a_key_where_keys_are_configured(make_served: Any) -> None:
    served = make_served(auth={"api_keys": ["secret"]})
    assert served.post("/models/upload?type=vae&name=a.safetensors", data=MODEL).status_code == 401
    key = {"Authorization": "Bearer secret"}
    assert served.post("/models/upload?type=vae&name=a.safetensors", data=MODEL, headers=key).status_code == 201


def test_a_stop_ends_an_upload_that_hangs(make_served: Any) -> None:
    served = make_served()
    connection = served.connection()
    head = (
        b"POST /models/upload?type=vae&name=a.safetensors HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\nx"
    )
    connection.sendall(head)
    models_dir = Path(served.house.config.paths.models_dir)
    assert any(served.get("/health").ok and files(models_dir) for _ in range(10_000))
    # Uvicorn's own patience; that of the setting is a second at least.
    served.server.config.timeout_graceful_shutdown = 0.1
    served.stop()
    assert files(models_dir) == []
    connection.close()
