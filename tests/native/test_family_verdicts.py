"""What our detection says of a file's header is what the library says of the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sdcpp_rest.core import family_signs
from tests.core.test_architectures import FAMILIES
from tests.model_files import gguf_bytes, write
from tests.native.drawing import Ended

pytestmark = pytest.mark.native

# The library counts Chroma as Flux, and tells them apart later.
_OTHER_NAMES = {"Chroma": "Flux"}

_ASK = """
import os

library = open_library()
paths = {paths!r}
for index, (option, path) in enumerate(paths):
    # Most of these files end the process soon after the verdict: each is loaded by a child of its own. Nothing has been
    # loaded before the fork, and the child ends at the verdict, before memory is taken for the model.
    child = os.fork()
    if child == 0:
        def hear(level, text):
            if "Version: " in text or "get sd version" in text:
                report([index, text.partition("Version: ")[2].strip()])
                os._exit(0)
        library.set_log(hear)
        try:
            Context.load(ContextOptions(**{{option: path}}, n_threads=1))
        finally:
            os._exit(1)
    os.waitpid(child, 0)
"""


def test_detection_agrees_with_the_library_on_every_family(own_process: Callable[..., Ended], tmp_path: Path) -> None:
    paths = []
    for index, (_, tensors) in enumerate(FAMILIES):
        path = write(tmp_path / f"{index}.gguf", gguf_bytes(tensors))
        is_bare = family_signs.natural_kind(tensors) == "diffusion"
        paths.append(("diffusion_model_path" if is_bare else "model_path", str(path)))
    ended = own_process(_ASK.format(paths=paths))
    assert ended.exit_code == 0, ended.stderr
    heard = dict(ended.reported)
    expected = {index: _OTHER_NAMES.get(name, name) for index, (name, _) in enumerate(FAMILIES)}
    assert heard == expected
    assert len(heard) >= 33
