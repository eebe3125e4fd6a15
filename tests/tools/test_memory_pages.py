"""The tables of what to download and what it takes are the bundles' and the estimator's."""

from __future__ import annotations

import re

import pytest

from sdcpp_rest.core.bundles import BUNDLES
from sdcpp_rest.core.presets import PRESETS
from tools.memory_pages import buffers_text, bundles_text, fill_memory_tables, measured_text, overview_text


def test_every_bundle_and_every_memory_is_told() -> None:
    told, overview = bundles_text(), overview_text()
    for bundle in BUNDLES.values():
        assert f"## {bundle.display_name}\n" in told
        assert f"[{bundle.display_name}](#" in overview
        for size in bundle.sizes:
            for file in size.files:
                assert f"(https://huggingface.co/{file.repo}/blob/main/{file.file})" in told
    assert "| 4 GB | 6 GB | 8 GB | 12 GB | 24 GB |" in overview
    # Six gigabytes have what `sdcpp-rest download --memory 6` takes.
    assert len(re.findall(r"^\| 4, 6 GB \|", told, re.MULTILINE)) == len(BUNDLES)


def test_options_that_save_memory_save_some_in_the_tables() -> None:
    rows = re.findall(r"^\| [^|]+ \| \d[^|]+ \|(.+)\|$", buffers_text(), re.MULTILINE)
    assert len(rows) >= 20
    for row in rows:
        plain, flash, vae, direct, tiled = (int(cell.strip(" MiB").replace(",", "")) for cell in row.split("|"))
        assert flash <= plain
        assert tiled < direct < vae


def test_the_figures_that_are_told_as_measured_are_those_of_the_page_about_gpus() -> None:
    assert "| `offload_to_cpu` | 1.83 | equal | 260 |" in measured_text()


def test_a_table_that_nobody_makes_is_noticed() -> None:
    with pytest.raises(KeyError, match="nothing"):
        fill_memory_tables("<!-- table: nothing -->\n<!-- end -->")


def test_every_bundle_has_a_family_that_the_tables_know() -> None:
    assert {PRESETS[bundle.preset].family for bundle in BUNDLES.values()} <= {"sd2", "sdxl", "z_image", "flux", "wan2"}
