"""One server per module, on models that are made for it."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator

import pytest

from tests.e2e.families.family_server import SCRATCH, FamilyServer


@pytest.fixture(scope="module")
def server() -> Iterator[FamilyServer]:
    """With no model loaded, and an empty models folder inside the checkout."""
    # Hexadecimal, since a "v2" anywhere in a path means PhotoMaker version 2 to the library.
    folder = SCRATCH / uuid.uuid4().hex
    folder.mkdir(parents=True)
    served = FamilyServer(folder)
    try:
        yield served.start()
    finally:
        served.stop()
        shutil.rmtree(folder, ignore_errors=True)
