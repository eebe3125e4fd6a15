from __future__ import annotations

from collections.abc import Callable

import pytest

from sdcpp_rest.errors import InvalidRequest, ModelNotFound
from sdcpp_rest.runtime import DEMO_MODEL
from sdcpp_rest.services.submission.model_titles import ModelTitles
from tests.cases import for_each_case
from tests.services.conftest import PATIENCE_SECONDS, House, copy_demo


@pytest.fixture
def titles(house: House) -> ModelTitles:
    return house.runtime.submission.titles


def test_a_title_gets_the_beginning_of_the_sum_when_that_is_known(titles: ModelTitles) -> None:
    selected = titles.selected_model()
    assert selected is not None
    assert (selected.title, selected.short_hash) == (DEMO_MODEL, None)
    titles.begin_sum(selected.file)
    sha256 = titles.sum_of(selected.file, PATIENCE_SECONDS)
    assert sha256 is not None
    again = titles.selected_model()
    assert again is not None
    assert again.title == f"{DEMO_MODEL} [{sha256[:10]}]"
    assert again.title in [one.title for one in titles.all()]


def test_a_model_is_found_by_all_its_names(titles: ModelTitles) -> None:
    selected = titles.selected_model()
    assert selected is not None
    titles.begin_sum(selected.file)
    sha256 = titles.sum_of(selected.file, PATIENCE_SECONDS)
    assert sha256 is not None
    stem = DEMO_MODEL.removesuffix(".gguf")
    for name in (DEMO_MODEL, stem, stem.upper(), f"{DEMO_MODEL} [{sha256[:10]}]", sha256[:10], sha256,
                 f"renamed.gguf [{sha256[:10]}]", f"  {stem} "):  # fmt: skip
        found = titles.find(name)
        assert found is not None, name
        assert found.name == DEMO_MODEL


@for_each_case("name", ["", "nope", "../secret", "a" * 2000, "nope [0123456789]", "C:\\x"])
def test_names_that_nobody_knows_find_nothing(titles: ModelTitles, name: str) -> None:
    assert titles.find(name) is None


def test_the_selected_models_spec_is_the_selected_one(house: House, titles: ModelTitles) -> None:
    selected = titles.selected_model()
    assert selected is not None
    assert titles.spec() == titles.spec(selected.file) == house.runtime.models.slot.selected


def test_another_models_spec_is_built(house: House, titles: ModelTitles) -> None:
    copy_demo(house.config, "other.gguf")
    file = titles.find("other")
    assert file is not None
    spec = titles.spec(file)
    assert spec is not None
    assert spec.model.name == "other.gguf"
    assert "taesd" in spec.components, "with what its sidecar says"


def test_pictures_whose_edges_meet_have_a_spec_of_their_own(titles: ModelTitles) -> None:
    spec = titles.spec(circular=True)
    assert spec is not None
    assert spec.options.circular_x
    assert spec.options.circular_y
    assert titles.spec(circular=False) == titles.spec()


def test_components_are_taken_out_put_in_and_left_to_the_model(titles: ModelTitles) -> None:
    whole = titles.spec()
    assert whole is not None
    assert titles.spec_of(whole, components={"vae": "", "taesd": None}) == whole
    assert titles.spec_of(whole, components={"taesd": "demo_tae.safetensors"}) == whole
    with pytest.raises(InvalidRequest, match="encoder"):
        titles.spec_of(whole, components={"taesd": ""})
    with pytest.raises(ModelNotFound):
        titles.spec(components={"vae": "nope"})


def test_without_a_selected_model_there_is_no_spec(make_house: Callable[..., House]) -> None:
    house = make_house("models.include_demo=false")
    assert house.runtime.submission.titles.selected_model() is None
    assert house.runtime.submission.titles.spec() is None


def test_a_file_that_is_gone_has_no_sum(house: House, titles: ModelTitles) -> None:
    path = copy_demo(house.config, "gone.gguf")
    file = titles.find("gone")
    assert file is not None
    path.unlink()
    titles.begin_sum(file)
    assert titles.sum_of(file, PATIENCE_SECONDS) is None
