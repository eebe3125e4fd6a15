from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from sdcpp_rest.services.models.foreign_names import ForeignMatch, ForeignNames
from sdcpp_rest.services.models.hashing import ModelHashes
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.hash_store import HashStore
from tests.cases import for_each_case

FILES = ("a/Style v1.5.safetensors", "plain.gguf", "x/same.gguf", "y/same.gguf")


@pytest.fixture
def library(tmp_path: Path) -> ModelLibrary:
    for name in FILES:
        path = tmp_path / "models" / "loras" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return ModelLibrary(tmp_path / "models")


@pytest.fixture
def hashes(library: ModelLibrary, tmp_path: Path) -> ModelHashes:
    return ModelHashes(library, HashStore(Database(tmp_path / "x.db")))


@for_each_case(
    "name, found",
    [
        ("a/Style v1.5.safetensors", FILES[0]),
        ("style V1.5", FILES[0]),
        ("STYLE v1.5.ckpt", FILES[0]),
        ("C:\\webui\\loras\\style v1.5.safetensors", FILES[0]),
        ("plain", FILES[1]),
        ("same", None),
        ("x/same", FILES[2]),
        ("", None),
        ("../plain", FILES[1]),
        ("style v1", None),
        ("plain\0", None),
    ],
)
def test_names_of_other_programs_are_read(
    name: str, found: str | None, library: ModelLibrary, hashes: ModelHashes
) -> None:
    match = ForeignNames(library, hashes).find(("lora",), name)
    assert match == (ForeignMatch(found, "name") if found else None)


def test_hash_counts_before_the_name_and_is_never_computed(library: ModelLibrary, hashes: ModelHashes) -> None:
    sha256 = hashlib.sha256(FILES[1].encode()).hexdigest()
    names = ForeignNames(library, hashes)
    assert names.find(("lora",), "x/same", sha256) == ForeignMatch(FILES[2], "name")
    hashes.hash_of("lora", "plain")
    names = ForeignNames(library, hashes)
    for hash in (sha256, sha256[:10], sha256[:12]):
        assert names.find(("lora",), "x/same", hash) == ForeignMatch(FILES[1], "hash")
    assert names.find(("lora",), "", sha256[:8]) is None
    assert names.find(("checkpoint",), "plain", sha256) is None


def test_sum_of_a_file_that_has_changed_since_counts_no_more(library: ModelLibrary, hashes: ModelHashes) -> None:
    file = hashes.hash_of("lora", "plain")
    assert file.hash is not None
    os.utime(file.path, ns=(1, 1))
    library.refresh()
    assert ForeignNames(library, hashes).find(("lora",), "", file.hash) is None
