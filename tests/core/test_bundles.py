"""The table of recommended models: its shape, and that all it names exists here."""

from __future__ import annotations

import re

import pytest

from sdcpp_rest.core.bundles import BUNDLES, Bundle, find_bundle, read_bundles
from sdcpp_rest.core.catalog import COMPONENT_TYPES, EXTENSIONS
from sdcpp_rest.core.download_source import repo_id_of
from sdcpp_rest.core.load_spec import LoadOptions
from sdcpp_rest.core.presets import PRESETS
from sdcpp_rest.errors import InvalidRequest

EVERY = pytest.mark.parametrize("bundle", BUNDLES.values(), ids=lambda bundle: bundle.id)


def test_the_well_known_ones_are_there() -> None:
    assert {"sd-turbo", "z-image-turbo", "flux-schnell", "wan2.1-t2v-1.3b"} <= BUNDLES.keys()


@EVERY
def test_a_bundle_says_what_runs_on_each_size_of_device(bundle: Bundle) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", bundle.id)
    assert [size.memory_gb for size in bundle.sizes] == [4, 8, 12, 24]
    assert bundle.preset in PRESETS
    assert bundle.display_name
    assert bundle.description.endswith(".")


@EVERY
def test_each_size_is_one_model_and_its_parts(bundle: Bundle) -> None:
    for size in bundle.sizes:
        roles = [file.component for file in size.files]
        assert roles.count(None) == 1, "one file is the model itself"
        assert len(set(roles)) == len(roles)
        assert len({(file.type, file.saved_name) for file in size.files}) == len(size.files)
        LoadOptions.model_validate(dict(size.load_options), strict=True)
        for file in size.files:
            assert repo_id_of(file.repo) == file.repo
            assert "." + file.saved_name.rpartition(".")[2] in EXTENSIONS
            assert not file.file.startswith("/")
            assert ".." not in file.file
            if file.component is not None:
                assert file.type in COMPONENT_TYPES[file.component]
            else:
                assert file.type in ("checkpoint", "diffusion")


@EVERY
def test_parts_that_the_preset_requires_are_in_the_bundle(bundle: Bundle) -> None:
    for size in bundle.sizes:
        if size.files[0].type == "diffusion":
            missing = {*PRESETS[bundle.preset].required} - {file.component for file in size.files}
            assert missing == set(), size.memory_gb


def test_the_best_that_fits_is_chosen() -> None:
    bundle = BUNDLES["z-image-turbo"]
    assert [bundle.for_memory(gb).memory_gb for gb in (2, 4, 7.9, 8, 16, 24, 80)] == [4, 4, 4, 8, 12, 24, 24]


def test_unknown_bundles_are_refused_with_the_names() -> None:
    assert find_bundle(" SD-Turbo ").id == "sd-turbo"
    with pytest.raises(InvalidRequest, match="z-image-turbo"):
        find_bundle("flux3")


def test_a_table_that_is_not_well_formed_is_refused() -> None:
    good = '[x]\ndisplay_name="X"\ndescription="X."\npreset="SD1"\n[x.files.a]\nrepo="o/r"\nfile="a.gguf"\n'
    good += 'type="checkpoint"\n[[x.sizes]]\nmemory_gb=4\nfiles=["a"]\nchecked=false\n'
    assert read_bundles(good)["x"].sizes[0].files[0].request_fields() == {
        "model_type": "checkpoint",
        "repo_id": "o/r",
        "filename": "a.gguf",
    }
    for broken in (
        good.replace('"a"]', '"b"]'),
        good.replace('type="checkpoint"', 'type="ship"'),
        good.replace("=4", "=0"),
    ):
        with pytest.raises((ValueError, KeyError)):
            read_bundles(broken)
