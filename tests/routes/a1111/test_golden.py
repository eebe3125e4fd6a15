"""Whole requests and whole answers, as files: what a change of this dialect changes is seen at a glance.

Pictures are written as their format and size; what differs from run to run is named by a word in capitals.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.routes.a1111.pictures import got

FOLDER = Path(__file__).parent / "golden"
CASES = sorted(FOLDER.glob("*.json"))
_WRITES = os.environ.get("WRITE_GOLDEN") == "1"


def steady(value: Any, name: str = "") -> Any:
    """``value`` without what is different next time."""
    if name == "job_timestamp":
        return "TIME"
    if name in ("images", "image") and value:
        pictures = value if isinstance(value, list) else [value]
        shown = ["{} {}x{}".format(one.format, *one.size) for one in map(got, pictures)]
        return shown if isinstance(value, list) else shown[0]
    if name == "info" and isinstance(value, str) and value.startswith("{"):
        return steady(json.loads(value))
    if isinstance(value, dict):
        return {key: steady(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [steady(inner) for inner in value]
    if isinstance(value, str):
        value = re.sub(r"sdcpp-rest \d[\w.]*", "VERSION", value)
        value = re.sub(r"(?<![0-9a-f])[0-9a-f]{10}(?![0-9a-f])", "HASH", value)
        return re.sub(r"/\S+/demo/", "DEMO/", value)
    return value


def test_there_are_cases() -> None:
    assert len(CASES) >= 10


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_an_answer_is_what_it_was(client: FlaskClient, case: Path) -> None:
    told = json.loads(case.read_text(encoding="utf-8"))
    answer = client.open(told["path"], method=told["method"], json=told.get("request"))
    seen = {"status": answer.status_code, "response": steady(answer.get_json())}
    if _WRITES:
        case.write_text(json.dumps({**told, **seen}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert seen == {"status": told["status"], "response": told["response"]}
