"""Model files written anew: what is refused, where the result lies, what a failure leaves behind (nothing)."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sdcpp_rest.core.events import JobProgress
from sdcpp_rest.errors import Conflict, InvalidRequest, ModelNotFound
from sdcpp_rest.runtime import DEMO_MODEL, DEMO_ROOT
from sdcpp_rest.services.model_headers.inspection import NotAModel
from sdcpp_rest.services.models.load_specs import LoadRequest, build_spec
from sdcpp_rest.services.models.model_conversion import ConvertRequest
from tests.cases import for_each_case
from tests.model_files import FLUX, write
from tests.paired_files import Tensor, codes, f16, f32, meant, read_tensors, write_tensors
from tests.services.conftest import House, copy_demo
from tests.split_models import contents_of, split_gguf

LLM = "demo_llm_q4_0.gguf"


def convert(house: House, input_path: str = DEMO_MODEL, output_type: str = "q4_0", **more: object) -> tuple[str, Path]:
    asked = {"input_path": input_path, "output_type": output_type, **more}
    job, _, target = house.runtime.models.conversions.submit(ConvertRequest.model_validate(asked))
    return job.id, target


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def diffusion_models(house: House) -> Path:
    return house.config.paths.models_dir / "diffusion_models"


def own_model(house: House, name: str) -> str:
    copy_demo(house.config, name)
    house.runtime.models.library.refresh()
    return name


def test_the_result_gets_a_name_of_its_own_and_is_listed_at_once(any_house: House) -> None:
    job_id, target = convert(any_house)
    assert target == diffusion_models(any_house).resolve() / "demo_dit_q8_0.q4_0.gguf"
    job = any_house.finished(job_id)
    assert (job.status, job.outputs, job.error) == ("completed", (), None)
    assert any_house.runtime.jobs.queue.progress(job).percentage == 100.0
    listed = any_house.runtime.models.library.find("diffusion", "demo_dit_q8_0.q4_0.gguf")
    assert listed.size_bytes == (DEMO_ROOT / "diffusion_models" / DEMO_MODEL).stat().st_size
    assert names_in(diffusion_models(any_house)) == ["demo_dit_q8_0.q4_0.gguf", "demo_dit_q8_0.q4_0.json"]
    spec, _ = build_spec(any_house.runtime.models.library, LoadRequest(model_name="demo_dit_q8_0.q4_0"))
    assert spec.components.keys() == {"llm", "taesd"}


def test_the_model_stays_loaded_and_the_queue_keeps_its_order(any_house: House) -> None:
    engine = any_house.runtime.engine.supervisor.client
    first, (second, _), third = any_house.submit(), convert(any_house), any_house.submit()
    jobs = [any_house.finished(job_id) for job_id in (first, second, third)]
    assert [job.status for job in jobs] == ["completed"] * 3
    ends = [job.completed_at for job in jobs]
    assert ends == sorted(ends)  # type: ignore[type-var]
    assert any_house.runtime.engine.supervisor.client is engine
    assert any_house.runtime.engine.supervisor.restarts == 0


@pytest.mark.parametrize(
    "name",
    [
        "diffusion_models/demo_dit_q8_0.gguf",
        "demo_dit_q8_0",
        str(DEMO_ROOT / "diffusion_models" / DEMO_MODEL),
    ],
)
def test_a_model_is_found_by_any_of_its_names(house: House, name: str) -> None:
    job_id, target = convert(house, name)
    assert house.finished(job_id).status == "completed"
    assert target.name == "demo_dit_q8_0.q4_0.gguf"


@pytest.mark.parametrize("output", ["new/mine.gguf", "diffusion_models/new/mine.gguf"])
def test_a_given_name_counts_from_the_folder_of_the_type(house: House, output: str) -> None:
    job_id, target = convert(house, output_path=output)
    assert house.finished(job_id).status == "completed"
    assert target == diffusion_models(house).resolve() / "new" / "mine.gguf"
    assert target.is_file()


def test_a_language_model_stays_in_its_folder(house: House) -> None:
    job_id, target = convert(house, LLM, "q8_0")
    assert house.finished(job_id).status == "completed"
    assert target == house.config.paths.models_dir.resolve() / "llm" / "demo_llm_q4_0.q8_0.gguf"


@for_each_case(
    ("asked", "error", "words"),
    [
        ({"input_path": "nothing"}, ModelNotFound, "Model not found: nothing"),
        ({"input_path": " "}, InvalidRequest, "input_path is required"),
        ({"input_path": "../secret.gguf"}, InvalidRequest, "input_path: .* leads out of the model folders"),
        ({"input_path": "/etc/passwd"}, ModelNotFound, "Model not found"),
        ({"output_type": "q9_9"}, InvalidRequest, "output_type: 'q9_9' is not a weight type; allowed: f32"),
        ({"output_type": "q8_k"}, InvalidRequest, "output_type: 'q8_k' cannot hold"),
        ({"output_type": "i8"}, InvalidRequest, "output_type: 'i8' cannot hold"),
        ({"tensor_type_rules": "(=f16"}, InvalidRequest, "tensor_type_rules: the rule"),
        ({"tensor_type_rules": "vae=q8_1"}, InvalidRequest, "tensor_type_rules: the rule"),
        ({"output_path": "x.bin"}, InvalidRequest, "must end in .gguf or .safetensors"),
        ({"output_path": "x.safetensors"}, InvalidRequest, "a safetensors file cannot hold q4_0"),
        ({"output_path": "x.safetensors", "output_type": "f16"}, InvalidRequest, "a quantized model cannot become"),
        ({"output_path": "../x.gguf"}, InvalidRequest, "output_path: .* leads out of the model folders"),
        ({"output_path": "/tmp/x.gguf"}, InvalidRequest, "output_path: .* leads out of the model folders"),
        ({"output_path": "x" * 300 + ".gguf"}, InvalidRequest, "output_path: .* is longer than 200 bytes"),
        ({"output_path": "é" * 120 + "/x.gguf"}, InvalidRequest, "output_path: .* is longer than 200 bytes"),
        ({"output_path": "a\nb.gguf"}, InvalidRequest, "output_path: .* a character that cannot be shown"),
        ({"output_path": "\ud800.gguf"}, InvalidRequest, "output_path: .* a character that cannot be shown"),
        ({"output_path": ".x.gguf"}, InvalidRequest, "output_path: .* leads out of the model folders"),
        ({"output_path": str(DEMO_ROOT / "llm" / "x.gguf")}, InvalidRequest, "leads out of the model folders"),
        ({"vae_path": "nothing"}, ModelNotFound, "Model not found: nothing"),
    ],
)
def test_bad_requests_are_refused(house: House, asked: dict[str, str], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        convert(house, **{"input_path": DEMO_MODEL, "output_type": "q4_0", **asked})  # type: ignore[arg-type]
    assert house.runtime.jobs.queue.counts()["total"] == 0


def test_a_link_out_of_the_folders_is_no_way_out(house: House, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    diffusion_models(house).mkdir(parents=True)
    (diffusion_models(house) / "link").symlink_to(outside)
    with pytest.raises(InvalidRequest, match="leads out of the model folders"):
        convert(house, output_path="link/x.gguf")
    assert names_in(outside) == []


def test_an_existing_file_is_replaced_only_when_asked(house: House) -> None:
    name = own_model(house, "mine.gguf")
    taken = diffusion_models(house) / "mine.q4_0.gguf"
    taken.write_bytes(b"precious")
    with pytest.raises(Conflict, match=r"mine\.q4_0\.gguf exists already"):
        convert(house, name)
    assert taken.read_bytes() == b"precious"
    job_id, _ = convert(house, name, overwrite=True)
    assert house.finished(job_id).status == "completed"
    assert taken.stat().st_size > 8


def test_the_input_itself_is_never_overwritten(house: House) -> None:
    name = own_model(house, "mine.gguf")
    with pytest.raises(InvalidRequest, match="is the file to convert"):
        convert(house, name, output_path=name, overwrite=True)


def test_a_full_disk_is_seen_before(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(house.config.paths.models_dir.parent)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with pytest.raises(InvalidRequest, match="GB are free on its disk"):
        convert(house)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("fake~fail", "generation_failed"), ("fake~die", "engine_crashed")])
def test_a_failed_conversion_leaves_nothing_and_costs_nothing(process_house: House, name: str, code: str) -> None:
    own = own_model(process_house, f"{name}.gguf")
    engine = process_house.runtime.engine.supervisor.client
    job_id, _ = convert(process_house, own)
    job = process_house.finished(job_id)
    assert (job.status, job.error_code) == ("failed", code)
    assert names_in(diffusion_models(process_house)) == [f"{name}.gguf", f"{name}.json"]
    assert process_house.runtime.engine.supervisor.client is engine
    assert process_house.draw().status == "completed"


@pytest.mark.slow
def test_a_cancelled_conversion_ends_at_once_and_leaves_nothing(process_house: House) -> None:
    own = own_model(process_house, "fake~deaf.gguf")
    job_id, target = convert(process_house, own)
    process_house.until(JobProgress, job_id=job_id, phase="converting")
    hidden = diffusion_models(process_house) / f".{target.stem}.{job_id}.part.gguf"
    hidden.write_bytes(b"half")
    process_house.runtime.jobs.queue.cancel(job_id)
    assert process_house.finished(job_id).status == "cancelled"
    assert names_in(diffusion_models(process_house)) == ["fake~deaf.gguf", "fake~deaf.json"]
    assert process_house.draw().status == "completed"


def test_what_a_killed_server_left_is_swept_at_the_next_start(make_house: Callable[..., House]) -> None:
    """Its own alone: another server may be writing to the same folders."""
    first = make_house().start()
    job_id, _ = convert(first)
    first.finished(job_id)
    first.stop()
    folder = diffusion_models(first)
    left = folder / f".x.{job_id}.part.gguf"
    merged = folder / f".x.{job_id}.part.merged.gguf"
    kept = [folder / ".x.550e8400-e29b-41d4-a716-446655440000.part.gguf", folder / ".hidden.gguf"]
    restored = folder / f".x.{job_id}.part.fp.safetensors"
    for path in (left, merged, restored, *kept):
        path.write_bytes(b"half")
    make_house().start().draw()
    assert not left.exists()
    assert not merged.exists()
    assert not restored.exists()
    assert all(path.exists() for path in kept)


def test_progress_counts_the_bytes_of_the_result(house: House) -> None:
    job_id, _ = convert(house, output_type="f16")
    job = house.finished(job_id)
    parameters_at_two_bytes = 2 * 7_000_000
    assert job.params["expected_bytes"] > parameters_at_two_bytes / 4
    assert job.params["output"]["name"] == "demo_dit_q8_0.f16.gguf"


# --- split models ----------------------------------------------------------------------------------------------------


def split_demo(house: House, stem: str = "mine") -> str:
    """The bundled model in three parts, with a sidecar; the name under which they are listed."""
    parts = split_gguf(DEMO_ROOT / "diffusion_models" / DEMO_MODEL, diffusion_models(house), 3, stem=stem)
    shutil.copy((DEMO_ROOT / "diffusion_models" / DEMO_MODEL).with_suffix(".json"), parts[0].with_suffix(".json"))
    house.runtime.models.library.refresh()
    return parts[0].name


@pytest.mark.parametrize("name", ["mine-00001-of-00003.gguf", "mine.gguf", "mine"])
def test_parts_are_merged_into_a_file_that_can_be_loaded(any_house: House, name: str) -> None:
    listed, before = split_demo(any_house), names_in(diffusion_models(any_house))
    with pytest.raises(NotAModel, match="merge them first"):
        build_spec(any_house.runtime.models.library, LoadRequest(model_name=listed))
    job_id, target = convert(any_house, name, "KEEP")
    job = any_house.finished(job_id)
    assert (job.status, job.error, job.params["output_type"]) == ("completed", None, "keep")
    assert target == diffusion_models(any_house).resolve() / "mine.gguf"
    assert contents_of(target) == contents_of(DEMO_ROOT / "diffusion_models" / DEMO_MODEL)
    assert names_in(diffusion_models(any_house)) == sorted([*before, "mine.gguf", "mine.json"])
    spec, _ = build_spec(any_house.runtime.models.library, LoadRequest(model_name="mine.gguf"))
    assert spec.components.keys() == {"llm", "taesd"}


def test_parts_that_get_another_type_are_merged_on_the_way(any_house: House) -> None:
    listed = split_demo(any_house)
    job_id, target = convert(any_house, listed, "q4_0")
    job = any_house.finished(job_id)
    assert (job.status, target.name) == ("completed", "mine.q4_0.gguf")
    # The fake converter copies what it is given.
    assert contents_of(target) == contents_of(DEMO_ROOT / "diffusion_models" / DEMO_MODEL)
    left = {name for name in names_in(diffusion_models(any_house)) if "-of-00003" not in name}
    assert left == {"mine.q4_0.gguf", "mine.q4_0.json"}


@for_each_case(
    ("asked", "error", "words"),
    [
        ({"input_path": DEMO_MODEL}, InvalidRequest, "output_type: 'keep' merges the parts .* is one file"),
        ({"vae_path": "demo_tae"}, InvalidRequest, "vae_path: 'demo_tae' changes the model"),
        ({"tensor_type_rules": "x=f16"}, InvalidRequest, "tensor_type_rules: 'x=f16' changes the model"),
        ({"output_path": "x.safetensors"}, InvalidRequest, "output_path: parts are merged into a GGUF file"),
        ({"output_path": "mine-00002-of-00003.gguf", "overwrite": True}, InvalidRequest, "is the file to convert"),
        ({"output_path": "mine-00002-of-00003.gguf"}, InvalidRequest, "is the file to convert"),
        ({"input_path": "mine-00002-of-00003.gguf"}, ModelNotFound, "Model not found"),
    ],
)
def test_bad_merges_are_refused(house: House, asked: dict[str, object], error: type[Exception], words: str) -> None:
    wanted = {"input_path": split_demo(house), "output_type": "keep", **asked}
    before = names_in(diffusion_models(house))
    with pytest.raises(error, match=words):
        convert(house, **wanted)  # type: ignore[arg-type]
    assert house.runtime.jobs.queue.counts()["total"] == 0
    assert names_in(diffusion_models(house)) == before


def test_a_merge_replaces_a_file_only_when_asked(house: House) -> None:
    listed = split_demo(house)
    taken = write(diffusion_models(house) / "mine.gguf", b"precious")
    with pytest.raises(Conflict, match=r"mine\.gguf exists already"):
        convert(house, listed, "keep")
    assert taken.read_bytes() == b"precious"
    job_id, _ = convert(house, listed, "keep", overwrite=True)
    assert house.finished(job_id).status == "completed"
    assert contents_of(taken) == contents_of(DEMO_ROOT / "diffusion_models" / DEMO_MODEL)


def test_a_merge_on_the_way_to_another_type_needs_room_for_both(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = split_demo(house)
    (size,) = {
        file.size_bytes for file in house.runtime.models.library.list()["diffusion_models"] if file.name == listed
    }
    spare = 64 << 20
    free = shutil.disk_usage(house.config.paths.models_dir.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free._replace(free=spare + size - 1))
    with pytest.raises(InvalidRequest, match="GB are free on its disk"):
        convert(house, listed, "keep")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free._replace(free=spare + size))
    convert(house, listed, "keep")
    with pytest.raises(InvalidRequest, match="GB are free on its disk") as caught:
        convert(house, listed, "q4_0")
    assert caught.value.detail["needed_bytes"] > size * 1.3


def test_parts_that_do_not_fit_together_are_refused_before_anything_is_written(house: House) -> None:
    split_demo(house)
    split_gguf(DEMO_ROOT / "llm" / LLM, diffusion_models(house), 3, stem="other")
    shutil.copy(
        diffusion_models(house) / "other-00002-of-00003.gguf", diffusion_models(house) / "mine-00003-of-00003.gguf"
    )
    before = names_in(diffusion_models(house))
    with pytest.raises(NotAModel, match=r"mine-00003-of-00003\.gguf is part 3 of 3 by its name"):
        convert(house, "mine", "keep")
    assert names_in(diffusion_models(house)) == before


def test_parts_that_changed_while_the_job_waited_fail_it(house: House) -> None:
    listed = split_demo(house)
    house.runtime.jobs.queue.pause()
    job_id, _ = convert(house, listed, "keep")
    second = diffusion_models(house) / "mine-00002-of-00003.gguf"
    second.write_bytes(second.read_bytes()[:-100])
    house.runtime.jobs.queue.resume()
    job = house.finished(job_id)
    assert (job.status, job.error_code) == ("failed", "not_a_model")
    assert "mine-00002-of-00003.gguf is truncated" in (job.error or "")
    assert not (diffusion_models(house) / "mine.gguf").exists()


@pytest.mark.slow
def test_a_cancelled_merge_leaves_nothing(process_house: House) -> None:
    listed = split_demo(process_house, "fake~deaf")
    before = names_in(diffusion_models(process_house))
    job_id, target = convert(process_house, listed, "q4_0")
    process_house.until(JobProgress, job_id=job_id, phase="converting")
    for ending in (".part.gguf", ".part.merged.gguf"):
        write(diffusion_models(process_house) / f".{target.stem}.{job_id}{ending}", b"half")
    process_house.runtime.jobs.queue.cancel(job_id)
    assert process_house.finished(job_id).status == "cancelled"
    assert names_in(diffusion_models(process_house)) == before


def test_a_folder_that_cannot_be_written_to_is_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))
    with pytest.raises(InvalidRequest, match="cannot be written to"):
        convert(house)


# --- numbers and scales that lie apart -------------------------------------------------------------------------------

LAYER = "double_blocks.0.img_attn.qkv"


def scaled_model(house: House, name: str = "mine.safetensors", **tensors: Tensor) -> str:
    """A model in scaled FP8, listed under ``name``; further tensors replace those of the same name."""
    plain = {tensor: f16(np.ones(shape[::-1])) for tensor, shape in FLUX.items()}
    given = {
        **plain,
        f"{LAYER}.weight": codes("F8_E4M3", (384, 128)),
        f"{LAYER}.scale_weight": f32(0.25),
        "scaled_fp8": ("F8_E4M3", (0,), b""),
        **{f"{LAYER}.{ending}": tensor for ending, tensor in tensors.items()},
    }
    write_tensors(diffusion_models(house) / name, given)
    house.runtime.models.library.refresh()
    return name


def test_a_load_offers_the_conversion_that_makes_it_work(any_house: House) -> None:
    name = scaled_model(any_house)
    weight = codes("F8_E4M3", (384, 128))
    with pytest.raises(NotAModel, match=r"`sdcpp-rest convert mine\.safetensors q8_0`"):
        build_spec(any_house.runtime.models.library, LoadRequest(model_name=name))
    job_id, target = convert(any_house, name, "q8_0")
    job = any_house.finished(job_id)
    assert (job.status, job.error, target.name) == ("completed", None, "mine.q8_0.gguf")
    # The fake converter copies what it is given.
    found, _ = read_tensors(target)
    assert found.keys() == FLUX.keys()
    kind, values = found[f"{LAYER}.weight"]
    assert (kind, values.tolist()) == ("F16", (meant(weight) * 0.25).tolist())
    assert names_in(diffusion_models(any_house)) == ["mine.q8_0.gguf", "mine.safetensors"]


def test_a_safetensors_result_is_written_at_once(house: House) -> None:
    name = scaled_model(house, "fake~mine.safetensors")
    job_id, target = convert(house, name, "bf16", output_path="whole.safetensors")
    job = house.finished(job_id)
    assert (job.status, job.error, job.warnings) == ("completed", None, ())
    assert {kind for kind, _ in read_tensors(target)[0].values()} == {"BF16", "F16"}
    assert job.params["expected_bytes"] == pytest.approx(target.stat().st_size, rel=0.2)
    assert names_in(diffusion_models(house)) == ["fake~mine.safetensors", "whole.safetensors"]


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (
            {"scale_weight": f32([1.0, 2.0])},
            rf"mine\.safetensors cannot be converted: the tensor '{LAYER}\.scale_weight'",
        ),
        ({"scale_weight": ("I32", (), bytes(4))}, rf"'{LAYER}\.scale_weight' is stored as I32"),
        ({"qweight": ("I8", (2,), bytes(2)), "wscales": f16([1.0])}, r"SVDQuant .* cannot be converted either"),
    ],
)
def test_scales_that_do_not_fit_are_refused_before(house: House, tensors: dict[str, Tensor], words: str) -> None:
    name = scaled_model(house, **tensors)
    with pytest.raises(NotAModel, match=words):
        convert(house, name, "q8_0")
    assert house.runtime.jobs.queue.counts()["total"] == 0


@pytest.mark.parametrize(
    ("tensors", "output_type", "words"),
    [
        ({"scale_weight": f32(float("nan"))}, "q8_0", f"the tensor '{LAYER}.scale_weight' holds a scale that is no"),
        ({"scale_weight": f32(1e9)}, "f16", f"the tensor '{LAYER}.weight' holds numbers beyond 65504"),
    ],
)
def test_numbers_that_cannot_be_restored_fail_the_job(
    house: House, tensors: dict[str, Tensor], output_type: str, words: str
) -> None:
    name = scaled_model(house, **tensors)
    for output_path in ("", "whole.safetensors") if output_type == "f16" else ("",):
        job = house.finished(convert(house, name, output_type, output_path=output_path)[0])
        assert job.status == "failed"
        assert f"mine.safetensors cannot be converted: {words}" in (job.error or "")
    assert names_in(diffusion_models(house)) == ["mine.safetensors"]


def test_a_file_that_changed_while_its_job_waited_fails_it(house: House) -> None:
    name = scaled_model(house)
    house.runtime.jobs.queue.pause()
    job_id, _ = convert(house, name, "q8_0")
    scaled_model(house, scale_weight=f32([1.0, 2.0]))
    house.runtime.jobs.queue.resume()
    job = house.finished(job_id)
    assert (job.status, job.error_code) == ("failed", "not_a_model")
    assert names_in(diffusion_models(house)) == ["mine.safetensors"]


def test_restored_numbers_need_room_beside_the_result(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    name = scaled_model(house)
    numbers, restored, spare = 384 * 128, 2 * sum(math.prod(shape) for shape in FLUX.values()), 64 << 20
    assert restored > 2 * numbers
    free = shutil.disk_usage(house.config.paths.models_dir.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free._replace(free=spare + restored))
    with pytest.raises(InvalidRequest, match="GB are free on its disk") as caught:
        convert(house, name, "q8_0")
    assert restored * 1.4 < caught.value.detail["needed_bytes"] < restored * 1.7
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free._replace(free=spare + 2 * restored))
    convert(house, name, "q8_0")


@pytest.mark.slow
def test_a_cancelled_restoration_leaves_nothing(process_house: House) -> None:
    name = scaled_model(process_house, "fake~deaf.safetensors")
    job_id, target = convert(process_house, name, "q8_0")
    process_house.until(JobProgress, job_id=job_id, phase="converting")
    for ending in (".part.gguf", ".part.fp.safetensors"):
        (diffusion_models(process_house) / f".{target.stem}.{job_id}{ending}").write_bytes(b"half")
    process_house.runtime.jobs.queue.cancel(job_id)
    assert process_house.finished(job_id).status == "cancelled"
    assert names_in(diffusion_models(process_house)) == ["fake~deaf.safetensors"]


def test_a_vae_whose_scales_lie_apart_is_refused_with_the_call(house: House) -> None:
    folder = house.config.paths.models_dir / "vae"
    given = {"decoder.conv_in.weight": codes("F8_E4M3", (8, 4, 3, 3)), "decoder.conv_in.weight_scale": f32(1.0)}
    write_tensors(folder / "scaled_vae.safetensors", given)
    house.runtime.models.library.refresh()
    with pytest.raises(NotAModel, match=r"`sdcpp-rest convert scaled_vae\.safetensors q8_0`"):
        convert(house, vae_path="scaled_vae")
