"""Finds the model file that a person means: by its name or path in the model folders, or any file on this machine.

Reads no header: what is in the file is for its callers to find out.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from sdcpp_rest.config import Config
from sdcpp_rest.core.catalog import LIST_NAMES, ModelFile
from sdcpp_rest.errors import ModelNotFound
from sdcpp_rest.runtime import DEMO_ROOT, extra_folders_of
from sdcpp_rest.services.models.model_library import ModelLibrary


class LibraryWithFile(ModelLibrary):
    """Finds models as the library of ``config`` does, and the file that ``given`` names wherever it lies.

    ``given``: a path, or a name of the library. Raises ModelNotFound, InvalidRequest.
    """

    def __init__(self, config: Config, given: str) -> None:
        super().__init__(
            config.paths.models_dir,
            config.models.type_folders,
            DEMO_ROOT if config.models.include_demo else None,
            follow_links=config.paths.follow_links,
            find_extra=extra_folders_of(config),
        )
        self.is_listed = True
        path = Path(given).expanduser()
        self.chosen = (
            (self._find_by_path(path) or self._unlisted_file(path)) if path.is_file() else self._find_by_name(given)
        )
        self._chosen_key = (self.chosen.type, self.chosen.name)

    def find(self, type: str, name: str) -> ModelFile:
        """As the library does, but that a file which lies elsewhere is found as well."""
        if not self.is_listed and (type, name) == self._chosen_key:
            return self.chosen
        return super().find(type, name)

    def _find_by_path(self, path: Path) -> ModelFile | None:
        wanted = path.parent.resolve() / path.name
        for kind in LIST_NAMES:
            for folder in self.all_folders(kind):
                with contextlib.suppress(ValueError, ModelNotFound):
                    return super().find(kind, wanted.relative_to(folder.resolve()).as_posix())
        return None

    def _find_by_name(self, name: str) -> ModelFile:
        nearest: list[str] = []
        for kind in LIST_NAMES:
            try:
                return super().find(kind, name)
            except ModelNotFound as error:
                nearest += error.detail["nearest"]
        hint = f"; the nearest names are {', '.join(nearest[:3])}" if nearest else ""
        raise ModelNotFound(f"{name} is neither a file nor a model of {self._models_dir}{hint}", nearest=nearest)

    def _unlisted_file(self, path: Path) -> ModelFile:
        self.is_listed = False
        status = path.stat()
        return ModelFile(
            name=str(path),
            type="checkpoint",
            path=os.path.abspath(path),
            root=os.path.abspath(path.parent),
            size_bytes=status.st_size,
            mtime_ns=status.st_mtime_ns,
            file_extension=path.suffix.lower(),
        )
