from __future__ import annotations

import json
import time
from typing import Any

import pytest

from sdcpp_rest.services.pictures.metadata.found_settings import MOST_LORAS, FoundSettings, clean_value
from sdcpp_rest.services.pictures.metadata.reading import read_file
from tests.cases import for_each_case
from tests.services.pictures.metadata import made_files as made
from tests.services.pictures.metadata import made_graphs as graphs


def found_in(**texts: str) -> FoundSettings:
    read = read_file(made.png(texts))
    assert read is not None
    return read.found


def graph(nodes: dict[str, Any]) -> FoundSettings:
    return found_in(prompt=json.dumps(nodes))


# --- which tool -----------------------------------------------------------------------------------------------------


@for_each_case(
    "version, tool",
    [
        ("sdcpp-rest 0.1.0", "sdcpp-rest"),
        ("v1.10.1", "a1111"),
        ("f2.0.1v1.10.1-previous-304-g394da019", "forge"),
        ("neo", "forge"),
        ("Fooocus v2.5.5", "fooocus"),
        ("ComfyUI", "comfyui"),
    ],
)
def test_version_of_a_text_tells_the_tool(version: str, tool: str) -> None:
    assert found_in(parameters=f"a\nSteps: 1, Seed: 2, Size: 8x8, Version: {version}").tool == tool


def test_text_without_any_settings_is_a_prompt() -> None:
    found = found_in(parameters="just words")
    assert (found.tool, found.values) == ("a1111", {"prompt": "just words"})


def test_graph_that_has_such_a_text_among_its_own_is_a_graph() -> None:
    nodes = graphs.simple()
    nodes["99"] = graphs.node("Note", text="a\nSteps: 20, Sampler: Euler, Seed: 1, Size: 8x8")
    read = read_file(made.webm(comment=json.dumps({"prompt": json.dumps(nodes)})))
    assert read is not None
    assert read.found.tool == "comfyui"


def test_text_counts_before_the_graph_beside_it() -> None:
    texts = {"prompt": json.dumps(graphs.simple()), "parameters": "a\nSteps: 1, Seed: 2, Size: 8x8, Version: ComfyUI"}
    found = found_in(**texts)
    assert (found.tool, found.values["steps"]) == ("comfyui", "1")


# --- graphs ---------------------------------------------------------------------------------------------------------


def test_preview_counts_only_where_nothing_is_saved() -> None:
    nodes = graphs.with_hires()
    nodes["0"] = graphs.node("PreviewImage", images=["40", 0])
    nodes["40"] = graphs.node("VAEDecode", samples=["10", 0], vae=["11", 0])
    assert graph(nodes).values["hires"] is True
    del nodes["13"]
    assert "hires" not in graph(nodes).values


def test_picture_that_is_saved_before_and_after_is_the_last_one() -> None:
    nodes = {"0": graphs.node("SaveImage", images=["40", 0]), **graphs.with_hires()}
    nodes["40"] = graphs.node("VAEDecode", samples=["10", 0], vae=["11", 0])
    assert graph(nodes).values["hires_scale"] == 1.5


def test_several_pictures_of_one_graph_are_told() -> None:
    nodes = graphs.simple()
    nodes["50"] = {**nodes["10"], "inputs": {**nodes["10"]["inputs"], "seed": 777}}
    nodes["51"] = graphs.node("VAEDecode", samples=["50", 0], vae=["11", 0])
    nodes["52"] = graphs.node("SaveImage", images=["51", 0])
    found = graph(nodes)
    assert found.values["seed"] == 123
    assert any("several pictures" in note for note in found.notes)


def test_hires_fix_over_pixels_names_its_upscaler() -> None:
    nodes = graphs.with_hires()
    nodes["60"] = graphs.node("UpscaleModelLoader", model_name="4x-sharp.pth")
    nodes["61"] = graphs.node("VAEDecode", samples=["10", 0], vae=["11", 0])
    nodes["62"] = graphs.node("ImageUpscaleWithModel", image=["61", 0], upscale_model=["60", 0])
    nodes["63"] = graphs.node("ImageScale", image=["62", 0], upscale_method="lanczos", width=1024, height=1536)
    nodes["20"] = graphs.node("VAEEncode", pixels=["63", 0], vae=["11", 0])
    found = graph(nodes)
    assert found.kind == "txt2img"
    told = {name: found.values[f"hires_{name}"] for name in ("width", "height", "upscaler")}
    assert told == {"width": 1024, "height": 1536, "upscaler": "4x-sharp.pth"}


def test_loras_of_a_list_with_switches_are_read() -> None:
    nodes = graphs.simple()
    rows = {
        "lora_1": {"on": True, "lora": "on.safetensors", "strength": 0.5},
        "lora_2": {"on": False, "lora": "off.safetensors", "strength": 1},
    }
    nodes["3"] = graphs.node("Power Lora Loader (rgthree)", model=["1", 0], clip=["1", 1], **rows)
    assert [(lora.name, lora.weight) for lora in graph(nodes).loras] == [("on.safetensors", 0.5)]


def test_zeroed_negative_prompt_is_empty() -> None:
    nodes = graphs.simple()
    nodes["7"] = graphs.node("ConditioningZeroOut", conditioning=["6", 0])
    assert "negative_prompt" not in graph(nodes).values


def test_sampler_of_an_extension_is_known_by_its_inputs() -> None:
    nodes = graphs.simple()
    nodes["10"]["class_type"] = "SomebodysDreamMachine"
    assert graph(nodes).values["seed"] == 123


def test_graph_without_a_sampler_says_so() -> None:
    found = graph({"1": graphs.node("LoadImage", image="x.png"), "2": graphs.node("SaveImage", images=["1", 0])})
    assert (found.tool, found.values) == ("comfyui", {})
    assert "no sampler" in found.notes[0]


# --- hostile texts --------------------------------------------------------------------------------------------------


def test_graph_that_goes_in_circles_is_read() -> None:
    nodes = graphs.simple()
    nodes["9"] = graphs.node("LatentUpscaleBy", samples=["10", 0], scale_by=["9", 0])
    nodes["8"] = graphs.node("Reroute", **{"": ["8", 0]})
    nodes["5"] = graphs.node("PrimitiveString", value=["5", 0])
    nodes["1"] = graphs.node("LoraLoader", model=["3", 0], lora_name=["1", 0])
    nodes["11"] = graphs.node("Reroute", vae=["11", 0])
    found = graph(nodes)
    assert found.values["seed"] == 123


def test_graph_of_all_nodes_with_all_links_takes_no_time() -> None:
    count = 100
    inputs = {f"samples{number}": [str(number), 0] for number in range(count)}
    nodes = {str(number): graphs.node("Mix", **inputs) for number in range(count)}
    nodes["s"] = graphs.node("SaveImage", images=["0", 0])
    nodes["0"] = graphs.node("KSampler", seed=1, latent_image=["1", 0], positive=["2", 0], model=["3", 0], **inputs)
    started = time.process_time()
    assert graph(nodes).values["seed"] == 1
    assert time.process_time() - started < 2


@pytest.mark.slow
def test_worst_graphs_take_seconds_at_most() -> None:
    count = 4_900
    names = ("lora_name", "model", "lora_stack", "width", "height", "scale_by", "samples", "clip", "text")
    chain = {
        str(number): graphs.node("LoraLoader", **{name: [str(number + 1), 0] for name in names})
        for number in range(count)
    }
    start = {name: ["0", 0] for name in ("model", "positive", "negative", "latent_image")}
    chain["k"] = graphs.node("KSampler", seed=1, steps=2, **start)
    samplers = {
        str(number): graphs.node(
            "KSampler",
            seed=1,
            steps=2,
            **{f"latent_image{j}": [str((number * 7 + j) % count), 0] for j in range(20)},
            latent_image=[str((number + 1) % count), 0],
        )
        for number in range(count)
    }
    for nodes in (chain, samplers):
        nodes["s"] = graphs.node("SaveImage", images=["k" if "k" in nodes else "0", 0])
        nodes |= {f"s{number}": graphs.node("SaveImage", images=[str(number), 0]) for number in range(30)}
        started = time.process_time()
        assert graph(nodes).values["seed"] == 1
        assert time.process_time() - started < 5


def test_thousands_of_unknown_settings_are_cut_and_told_briefly() -> None:
    settings = json.dumps(json.dumps({f"k{number}": number for number in range(20_000)}))
    found = found_in(parameters=f"a\nSteps: 1, Seed: 1, Size: 8x8, Settings: {settings}, Version: sdcpp-rest 1")
    assert len(found.values) < 600
    found = found_in(invokeai_metadata=json.dumps({f"k{number}": number for number in range(20_000)}))
    assert (len(found.unmapped), len(found.notes)) == (500, 1)


def test_prompt_of_millions_of_characters_is_left_out() -> None:
    found = found_in(parameters="<lora:a:1>" * 300_000 + "\nSteps: 1, Seed: 1, Size: 8x8")
    assert (found.loras, "prompt" in found.values) == ([], False)
    assert len(found.unmapped["prompt"]) == 10_000


def test_long_chain_is_followed_without_recursion() -> None:
    nodes = {str(number): graphs.node("Reroute", **{"": [str(number + 1), 0]}) for number in range(4_000)}
    nodes["4000"] = graphs.simple()["10"]
    nodes["s"] = graphs.node("SaveImage", images=["0", 0])
    assert graph(nodes).values["seed"] == 123


@for_each_case("key", ["parameters", "prompt", "workflow", "invokeai_metadata", "sd-metadata", "Comment"])
def test_deeply_nested_json_is_passed_over(key: str) -> None:
    deep = '{"a":' * 100_000 + "1" + "}" * 100_000
    found = found_in(**{key: deep, "Software": "NovelAI", "fooocus_scheme": "fooocus"})
    assert "a" not in found.unmapped
    shallow = '{"a":' * 400 + "1" + "}" * 400
    assert len(json.dumps(found_in(invokeai_metadata=shallow).unmapped)) < 200


@for_each_case("value", ["NaN", "Infinity", "1" + "0" * 400, "-1e400", "[]", "{}", "null", "true", '"\\ud800\\u0000"'])
def test_no_value_ends_the_reading(value: str) -> None:
    whole = ", ".join(
        f'"{name}": {value}'
        for name in ("prompt", "positive_prompt", "steps", "seed", "scheduler", "model", "loras", "vae", "clip_skip")
    )
    found_in(invokeai_metadata="{" + whole + "}")
    found_in(parameters='{"sui_image_params": {' + whole + "}}")
    found_in(parameters="{" + whole + "}", fooocus_scheme="fooocus")
    found_in(Comment="{" + whole + "}", Software="NovelAI")
    found_in(**{"sd-metadata": '{"image": {' + whole + "}}"})
    found_in(**{"XML:com.adobe.xmp": made.xmp_comment('{"c": 1, "sampler": ' + value + ', "v2": ' + value + "}")})
    for name in graphs.simple():
        nodes = graphs.simple()
        inputs = nodes[name]["inputs"]
        replaced = dict.fromkeys(inputs, "VALUE")
        nodes[name] = {"class_type": nodes[name]["class_type"], "inputs": replaced}
        found_in(prompt=json.dumps(nodes).replace('"VALUE"', value))


def test_ten_thousand_loras_are_cut_and_told() -> None:
    tags = "".join(f"<lora:l{number}:1>" for number in range(10_000))
    found = found_in(parameters=f"a {tags}\nSteps: 1, Seed: 1, Size: 8x8")
    assert (len(found.loras), found.values["prompt"]) == (MOST_LORAS, "a")
    assert any("more than 100 LoRAs" in note for note in found.notes)


@pytest.mark.slow
def test_texts_that_make_readers_look_again_take_no_time() -> None:
    started = time.process_time()
    many = 1_000_000
    for text in (
        "a\n" + "Steps: 1, " * (many // 10),
        'a\nSteps: "' + 'k: "' * (many // 4),
        "<lora:" * (many // 6) + "\nSteps: 1, Seed: 1, Size: 8x8",
        "<lora:a:1:" * (many // 10) + "\nSteps: 1, Seed: 1, Size: 8x8",
        "<" + " " * many + "\nSteps: 1, Seed: 1, Size: 8x8",
        "a\nSteps: 1, Seed: 1, Size: 8x8, Lora hashes: " + "a" * many,
    ):
        found_in(parameters=text)
    found_in(**{"XML:com.adobe.xmp": "<exif:UserComment<rdf:li" * (many // 24)})
    found_in(Dream="[" * many)
    found_in(Dream="'" + "-s " * (many // 3))
    assert time.process_time() - started < 5


def test_values_in_an_answer_are_neither_deep_nor_long_nor_many() -> None:
    wide = {str(number): [[["deep"] * 100] * 100] * 100 for number in range(1_000)}
    assert len(json.dumps(clean_value(wide))) < 500_000
    assert clean_value({"a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}}) == {
        "a": {"b": {"c": {"d": {"e": {"f": "..."}}}}}
    }
    assert clean_value([float("nan"), 10**400, "\ud800\0"]) == ["nan", "a number with too many digits", "?"]
