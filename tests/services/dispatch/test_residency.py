"""What the engine holds, and when it is loaded again: the encoder that comes along, weights that are freed."""

from __future__ import annotations

from pathlib import Path

from sdcpp_rest.core.events import ModelLoaded, ModelUnloaded
from sdcpp_rest.core.load_spec import FileRef, LoadSpec, UpscalerSpec
from sdcpp_rest.core.params import UpscaleParams
from sdcpp_rest.services.models.load_specs import LoadRequest
from tests.services.conftest import House


def choose(house: House, **options: object) -> LoadSpec:
    outcome = house.runtime.models.slot.load(LoadRequest(model_name=house.runtime.default_model, options=options))
    house.mailbox.drain()
    return outcome.spec


def loads(house: House) -> list[str]:
    names = {ModelLoaded: "loaded", ModelUnloaded: "unloaded"}
    return [names[type(event)] for event in house.mailbox.drain() if type(event) in names]


def test_a_job_that_needs_the_encoder_brings_it_in_and_it_stays(any_house: House, png: str) -> None:
    spec = choose(any_house, vae_decode_only=True)
    assert any_house.draw().status == "completed"
    assert loads(any_house) == []
    assert any_house.draw(images={"init_image": png}).status == "completed"
    assert any_house.draw().status == "completed"
    assert any_house.draw(images={"init_image": png}).status == "completed"
    assert loads(any_house) == ["unloaded", "loaded"]
    assert any_house.runtime.models.slot.selected == spec
    assert any_house.runtime.models.slot.resident == spec.with_encoder


def test_a_spec_with_the_encoder_serves_one_without_and_not_the_other_way(house: House) -> None:
    without = choose(house, vae_decode_only=True)
    other = without.model_copy(update={"options": without.options.model_copy(update={"n_threads": 3})})
    assert without.with_encoder.serves(without)
    assert not without.serves(without.with_encoder)
    assert not other.with_encoder.serves(without)


def test_a_model_whose_weights_are_freed_is_loaded_anew_for_each_job(any_house: House) -> None:
    choose(any_house, free_params_immediately=True)
    first, second = any_house.submit(), any_house.submit()
    assert any_house.finished(first).status == "completed"
    assert any_house.finished(second).status == "completed"
    any_house.until(ModelUnloaded)
    assert any_house.runtime.models.slot.selected is not None
    assert any_house.draw().status == "completed"


def test_it_rests_between_jobs_instead_of_being_loaded_for_nothing(house: House) -> None:
    choose(house, free_params_immediately=True)
    assert house.draw().status == "completed"
    house.until(ModelUnloaded)
    # A call of its own takes its turn after whatever the dispatcher would do by itself.
    house.runtime.models.upscalers.unload()
    assert loads(house) == []
    assert house.runtime.models.slot.resident is None


def test_an_upscaler_that_was_replaced_is_not_given_to_the_engine(house: House, tmp_path: Path) -> None:
    file = tmp_path / "up.safetensors"
    file.write_bytes(b"something else")
    spec = UpscalerSpec(model=FileRef(name=file.name, path=str(file)))
    params = UpscaleParams(upscaler=spec)
    job, _ = house.runtime.submission.entry.enter("upscale", params, images={}, size=(1, 1), spec=None)
    failed = house.finished(job.id)
    assert (failed.status, failed.error_code) == ("failed", "load_failed")
    assert "up.safetensors is not a model file" in (failed.error or "")
