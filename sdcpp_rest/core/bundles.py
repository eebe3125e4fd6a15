"""Reads the table of models to begin with: which files make each of them run on a device of a given size.

Read once, from the package's own file. It must not know what the sources say about the files, nor which of them lie on
the disk.
"""

from __future__ import annotations

import importlib.resources
import sys
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from sdcpp_rest.core.catalog import ModelType
from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.load_spec import Component
from sdcpp_rest.errors import InvalidRequest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]


class BundleFile(Frozen):
    """One file: where it comes from, and as what it is loaded (``component`` of ``None``: as the model)."""

    repo: str
    file: str
    type: ModelType
    component: Component | None = None
    name: str = ""

    def request_fields(self) -> dict[str, Any]:
        """The fields of `POST /models/download`."""
        asked = {"model_type": self.type, "repo_id": self.repo, "filename": self.file}
        return asked | ({"name": self.name} if self.name else {})

    @property
    def saved_name(self) -> str:
        return self.name or self.file.rsplit("/", 1)[-1]


class BundleSize(Frozen):
    """What runs on a device with ``memory_gb`` gigabytes. ``load_options`` are fields of LoadOptions."""

    memory_gb: int = Field(ge=1)
    files: tuple[BundleFile, ...] = Field(min_length=1)
    load_options: Mapping[str, Any] = Field(default_factory=dict)
    note: str = ""
    checked: bool


class Bundle(Frozen):
    """A model with everything it needs; ``sizes`` from the smallest device to the largest."""

    id: str
    display_name: str
    description: str
    preset: str
    sizes: tuple[BundleSize, ...] = Field(min_length=1)

    def for_memory(self, memory_gb: float) -> BundleSize:
        """The best that runs on so much; the smallest one where nothing does."""
        fitting = [size for size in self.sizes if size.memory_gb <= memory_gb]
        return fitting[-1] if fitting else self.sizes[0]


def read_bundles(text: str) -> dict[str, Bundle]:
    """The bundles of a table in TOML, by id. Raises ValueError (pydantic's, TOML's) and KeyError for a file that is not
    described."""
    found = {}
    for name, table in tomllib.loads(text).items():
        files = {key: BundleFile.model_validate(one) for key, one in table.pop("files").items()}
        sizes = []
        for size in table.pop("sizes"):
            options = size.pop("load", {})
            sizes.append({**size, "files": [files[key] for key in size["files"]], "load_options": options})
        found[name] = Bundle.model_validate({"id": name, **table, "sizes": sizes})
    return found


def find_bundle(name: str) -> Bundle:
    """Raises InvalidRequest with the names that there are."""
    found = BUNDLES.get(name.strip().lower())
    if found is None:
        raise InvalidRequest(
            f"bundle: {name[:80]!r} is not known; there are {', '.join(BUNDLES)}", field="bundle", allowed=[*BUNDLES]
        )
    return found


BUNDLES: dict[str, Bundle] = read_bundles(
    (importlib.resources.files("sdcpp_rest") / "presets" / "bundles.toml").read_text(encoding="utf-8")
)
