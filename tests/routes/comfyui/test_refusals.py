"""Graphs that cannot be drawn: each is refused in ComfyUI's own words, which name the node and the input."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image

from tests.cases import for_each_case
from tests.routes.comfyui.conftest import Graph, Prompter, node, simple_graph


def changed(node_id: str, **inputs: Any) -> Graph:
    """The simple graph with other inputs of one node; ``None`` leaves one out."""
    graph = simple_graph()
    merged = {**graph[node_id]["inputs"], **inputs}
    graph[node_id]["inputs"] = {name: value for name, value in merged.items() if value is not None}
    return graph


def with_nodes(**nodes: Any) -> Graph:
    """The simple graph and more; ``n10`` is node 10."""
    return {**simple_graph(), **{name.removeprefix("n"): value for name, value in nodes.items()}}


def sampled_again(**inputs: Any) -> Graph:
    """The simple graph with a second sampler over the enlarged latent of the first one."""
    graph = with_nodes(n10=node("LatentUpscaleBy", upscale_method="bilinear", scale_by=2, samples=["3", 0]))
    again = {**graph["3"]["inputs"], "latent_image": ["10", 0], "denoise": 0.5, **inputs}
    graph["11"] = node("KSampler", **again)
    graph["8"]["inputs"]["samples"] = ["11", 0]
    return graph


FAULTS: list[tuple[Graph, str, str, str]] = [
    (changed("3", steps=None), "3", "required_input_missing", "steps"),
    (changed("3", model=None), "3", "required_input_missing", "model"),
    (changed("3", model="4"), "3", "bad_linked_input", "model"),
    (changed("3", model=["4"]), "3", "bad_linked_input", "model"),
    (changed("3", model=["4", 0, 0]), "3", "bad_linked_input", "model"),
    (changed("3", model=["99", 0]), "3", "bad_linked_input", "model"),
    (changed("3", model=["4", 3]), "3", "bad_linked_input", "model"),
    (changed("3", model=["4", -1]), "3", "bad_linked_input", "model"),
    (changed("3", model=["4", 10**30]), "3", "bad_linked_input", "model"),
    (changed("3", model=["4", "0"]), "3", "bad_linked_input", "model"),
    (changed("3", model=["4", True]), "3", "bad_linked_input", "model"),
    (changed("3", model=[["4"], 0]), "3", "bad_linked_input", "model"),
    (changed("3", model=["4", 1]), "3", "return_type_mismatch", "model"),
    (changed("3", latent_image=["6", 0]), "3", "return_type_mismatch", "latent_image"),
    (changed("3", steps=["6", 0]), "3", "return_type_mismatch", "steps"),
    (changed("3", steps="many"), "3", "invalid_input_type", "steps"),
    (changed("3", steps={}), "3", "invalid_input_type", "steps"),
    (changed("3", steps=True), "3", "invalid_input_type", "steps"),
    (changed("3", cfg="nan"), "3", "invalid_input_type", "cfg"),
    (changed("3", cfg="inf"), "3", "invalid_input_type", "cfg"),
    (changed("3", cfg=10**400), "3", "invalid_input_type", "cfg"),
    (changed("3", sampler_name=3), "3", "invalid_input_type", "sampler_name"),
    (changed("6", text={"a": 1}), "6", "invalid_input_type", "text"),
    (changed("3", steps=0), "3", "value_smaller_than_min", "steps"),
    (changed("3", steps=10**9), "3", "value_bigger_than_max", "steps"),
    (changed("3", steps=10**300), "3", "value_bigger_than_max", "steps"),
    (changed("3", seed=-1), "3", "value_smaller_than_min", "seed"),
    (changed("3", seed=2**64), "3", "value_bigger_than_max", "seed"),
    (changed("3", denoise=1.1), "3", "value_bigger_than_max", "denoise"),
    (changed("5", width=10**6), "5", "value_bigger_than_max", "width"),
    (changed("5", width=0), "5", "value_smaller_than_min", "width"),
    (changed("5", batch_size=10**6), "5", "value_bigger_than_max", "batch_size"),
    (changed("3", sampler_name="uni_pc"), "3", "value_not_in_list", "sampler_name"),
    (changed("3", scheduler="beta"), "3", "value_not_in_list", "scheduler"),
    (changed("4", ckpt_name="none.safetensors"), "4", "value_not_in_list", "ckpt_name"),
    (changed("4", ckpt_name="../../etc/passwd"), "4", "value_not_in_list", "ckpt_name"),
    (changed("4", ckpt_name="x" * 100_000), "4", "value_not_in_list", "ckpt_name"),
    (changed("6", text="x" * 1_000_000), "6", "custom_validation_failed", "text"),
    (changed("3", denoise=0.5), "3", "custom_validation_failed", "denoise"),
    (changed("3", denoise=0), "3", "custom_validation_failed", "denoise"),
    (changed("8", samples=["5", 0]), "8", "custom_validation_failed", "samples"),
    (with_nodes(n9=node("SaveImage", images=["10", 0]), n10=node("LoadImage", image="none.png")),
     "10", "custom_validation_failed", "image"),
    (with_nodes(n9=node("SaveImage", images=["10", 0]), n10=node("LoadImage", image="../../secret.png")),
     "10", "custom_validation_failed", "image"),
    (with_nodes(n9=node("SaveImage", images=["10", 0]), n10=node("LoadImage", image="given.png")),
     "9", "custom_validation_failed", "images"),
    (with_nodes(n9=node("SaveImage", images=["10", 0]), n10=node("ETN_LoadImageBase64", image="AAAA")),
     "10", "custom_validation_failed", "image"),
    (with_nodes(n9=node("SaveImage", images=["10", 0]), n10=node("ETN_LoadImageBase64", image="!")),
     "10", "custom_validation_failed", "image"),
    (with_nodes(n9=node("SaveImage", images=["10", 0]),
                n10=node("ImageScale", image=["8", 0], upscale_method="area", width=8, height=8, crop="disabled")),
     "9", "custom_validation_failed", "images"),
    (with_nodes(n9=node("SaveWEBM", images=["8", 0], codec="vp9", fps=8, crf=30)),
     "9", "custom_validation_failed", "images"),
    (with_nodes(n3=node("KSampler", **{**simple_graph()["3"]["inputs"], "positive": ["10", 0]}),
                n10=node("ConditioningZeroOut", conditioning=["6", 0])), "3", "custom_validation_failed", "positive"),
    (with_nodes(n3=node("KSampler", **{**simple_graph()["3"]["inputs"], "negative": ["10", 0]}),
                n10=node("ControlNetApply", conditioning=["7", 0], control_net=["11", 0], image=["12", 0], strength=1),
                n11=node("ControlNetLoader", control_net_name="controlnet"), n12=node("LoadImage", image="given.png")),
     "3", "custom_validation_failed", "negative"),
    (with_nodes(n3=node("KSampler", **{**simple_graph()["3"]["inputs"], "latent_image": ["10", 0], "denoise": 0.5}),
                n10=node("VAEEncode", pixels=["12", 0], vae=["11", 0]), n11=node("VAELoader", vae_name="vae_sd"),
                n12=node("LoadImage", image="given.png")), "10", "custom_validation_failed", "vae"),
    (sampled_again(cfg=9), "11", "custom_validation_failed", "cfg"),
    (sampled_again(sampler_name="heun"), "11", "custom_validation_failed", "sampler_name"),
    (sampled_again(positive=["7", 0]), "11", "custom_validation_failed", "positive"),
    (sampled_again(steps=5_000, denoise=0.0001), "11", "custom_validation_failed", "denoise"),
]  # fmt: skip


@for_each_case(("graph", "node_id", "type", "input_name"), FAULTS)
def test_faults_are_told_of_the_node_and_the_input(
    waiting: Prompter, graph: Graph, node_id: str, type: str, input_name: str
) -> None:
    told = waiting.refuse(graph)
    assert told["error"]["type"] == "prompt_outputs_failed_validation"
    faulty = told["node_errors"][node_id]
    assert faulty["class_type"] == graph[node_id]["class_type"]
    assert faulty["dependent_outputs"] == ["9"]
    (fault,) = faulty["errors"]
    assert (fault["type"], fault["extra_info"]["input_name"]) == (type, input_name), fault
    assert input_name in fault["details"], fault
    assert f"#{node_id}: " in told["error"]["details"]
    assert len(json.dumps(told)) < 10_000


def test_every_faulty_node_is_told_at_once(waiting: Prompter) -> None:
    graph = changed("3", steps=0, cfg=-1)
    graph["5"]["inputs"]["width"] = 7
    told = waiting.refuse(graph)["node_errors"]
    assert {node_id: len(one["errors"]) for node_id, one in told.items()} == {"3": 2, "5": 1}


def test_classes_that_are_not_here_are_refused_by_name_wherever_they_stand(waiting: Prompter) -> None:
    told = waiting.refuse(with_nodes(n20=node("IPAdapter"), n21=node("FaceDetailer", x=["20", 0])))
    assert told["error"]["type"] == "missing_node_type"
    assert told["error"]["message"].endswith("FaceDetailer, IPAdapter")
    assert {node_id: one["class_type"] for node_id, one in told["node_errors"].items()} == {
        "20": "IPAdapter", "21": "FaceDetailer",
    }  # fmt: skip
    assert {one["errors"][0]["type"] for one in told["node_errors"].values()} == {"missing_node_type"}


def chain(length: int) -> Graph:
    """Masks of masks: a graph as long as it gets."""
    graph = with_nodes(n10=node("LoadImageMask", image="given.png", channel="red"))
    for k in range(11, 10 + length):
        graph[str(k)] = node("InvertMask", mask=[str(k - 1), 0])
    graph["a"] = node("LoadImage", image="given.png")
    graph["b"] = node("VAEEncodeForInpaint", grow_mask_by=0, pixels=["a", 0], vae=["4", 2], mask=[str(9 + length), 0])
    graph["3"]["inputs"]["latent_image"] = ["b", 0]
    return graph


def test_a_long_chain_is_followed_to_its_end(waiting: Prompter) -> None:
    (job,) = waiting.jobs(waiting.submit(chain(900)))
    assert sorted(job.inputs) == ["init_image", "mask_image"]


@for_each_case("length", [5_000, 10_000])
def test_graphs_that_are_too_large_are_refused(waiting: Prompter, length: int) -> None:
    told = waiting.refuse(chain(length))
    assert told["error"]["type"] == "invalid_prompt"
    assert "at most 1000" in told["error"]["details"]


def test_cycles_are_refused_with_their_nodes(waiting: Prompter) -> None:
    graph = with_nodes(n10=node("InvertMask", mask=["11", 0]), n11=node("GrowMask", mask=["10", 0], expand=1))
    graph["12"] = node("SetLatentNoiseMask", samples=["5", 0], mask=["10", 0])
    graph["3"]["inputs"]["latent_image"] = ["12", 0]
    told = waiting.refuse(graph)
    assert told["error"]["type"] == "dependency_cycle"
    assert told["error"]["details"] in ("10 -> 11 -> 10", "11 -> 10 -> 11")
    assert {*told["node_errors"]} == {"10", "11"}
    assert waiting.refuse(changed("3", latent_image=["3", 0]))["error"]["details"] == "3 -> 3"


@for_each_case(
    ("sent", "type"),
    [
        (None, "invalid_prompt"),
        ([], "invalid_prompt"),
        ("{}", "invalid_prompt"),
        (7, "invalid_prompt"),
        ({}, "prompt_no_outputs"),
        ({"nodes": [], "links": []}, "invalid_prompt"),
        ({"1": 7}, "invalid_prompt"),
        ({"1": []}, "invalid_prompt"),
        ({"1": {"inputs": {}}}, "missing_node_type"),
        ({"1": {"class_type": 7, "inputs": {}}}, "missing_node_type"),
        ({"1": {"class_type": "SaveImage", "inputs": []}}, "invalid_prompt"),
        ({"4": simple_graph()["4"]}, "prompt_no_outputs"),
    ],
)
def test_what_is_no_graph_is_refused(waiting: Prompter, sent: Any, type: str) -> None:
    told = waiting.refuse(sent)
    assert told["error"]["type"] == type
    assert told["error"]["message"]


@for_each_case(
    "more",
    [
        {"client_id": 7},
        {"client_id": "x" * 1_000},
        {"extra_data": []},
        {"prompt_id": "../x"},
        {"prompt_id": "x" * 1_000},
        {"partial_execution_targets": "9"},
        {"partial_execution_targets": ["10"]},
    ],
)
def test_what_stands_beside_a_graph_is_checked_too(waiting: Prompter, more: dict[str, Any]) -> None:
    assert waiting.refuse(simple_graph(), **more)["error"]["type"] in ("invalid_prompt", "prompt_no_outputs")


@for_each_case(
    "raw",
    [
        b"",
        b"[]",
        b"{",
        b"null",
        b'{"prompt": {"3": {"class_type": "KSampler", "inputs": {"cfg": NaN}}}}',
        b'{"prompt": {"3": {"class_type": "KSampler", "inputs": {"seed": 1, "seed": 2}}}}',
        b'{"prompt": {"3": {"class_type": "K\\u0000", "inputs": {}}}}',
        b'{"prompt": ' + b'{"a":' * 200 + b"1" + b"}" * 201,
        b'{"prompt": {"1": {"class_type": "' + b"x" * 1_000_000 + b'", "inputs": {}}}}',
        b"\xff\xfe\x00",
    ],
)
def test_bodies_that_cannot_be_read_are_refused_in_the_same_shape(shared_client: FlaskClient, raw: bytes) -> None:
    answer = shared_client.post("/prompt", data=raw)
    assert answer.status_code == 400
    told = answer.get_json()
    assert told["error"]["type"] in ("invalid_prompt", "missing_node_type", "no_prompt")
    assert len(answer.data) < 10_000


def test_not_a_number_is_told_with_its_node(shared_client: FlaskClient) -> None:
    answer = shared_client.post("/prompt", data=b'{"prompt": {"3": {"inputs": {"cfg": NaN}}}}')
    assert "prompt.3.inputs.cfg" in answer.get_json()["error"]["details"]


@pytest.mark.slow
def test_pictures_that_are_too_many_are_refused_before_they_are_decoded(waiting: Prompter) -> None:
    graph = simple_graph()
    buffer = io.BytesIO()
    Image.new("1", (8192, 8192)).save(buffer, "PNG", compress_level=1)
    huge = base64.b64encode(buffer.getvalue()).decode("ascii")
    words: Any = ["6", 0]
    for k in range(5):
        graph[f"a{k}"] = node("ETN_LoadImageBase64", image=huge)
        graph[f"b{k}"] = node("VAEEncode", pixels=[f"a{k}", 0], vae=["4", 2])
        graph[f"c{k}"] = node("ReferenceLatent", conditioning=words, latent=[f"b{k}", 0])
        words = [f"c{k}", 0]
    graph["3"]["inputs"]["positive"] = words
    (faulty,) = waiting.refuse(graph)["node_errors"].values()
    assert "pixels together" in faulty["errors"][0]["details"]


def test_the_engine_never_hears_of_a_refused_graph(waiting: Prompter) -> None:
    before = waiting.runtime.engine.supervisor.client
    for graph, *_ in FAULTS[:5]:
        waiting.refuse(graph)
    assert waiting.runtime.engine.supervisor.client is before
    assert before is not None
    assert before.alive


@pytest.mark.parametrize("seed", [2**63, 2**64 - 1])
def test_seeds_that_are_too_long_are_folded_and_said_so(waiting: Prompter, seed: int) -> None:
    (job,) = waiting.jobs(waiting.submit(changed("3", seed=seed)))
    assert job.params["seed"] == seed % 2**62
    assert any("seed" in sentence for sentence in job.warnings)
