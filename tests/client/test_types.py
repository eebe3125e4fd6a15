"""What a type checker knows of the client: that is half of what it is for, and nothing at run time would miss it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
from sdcpp_rest.client import AsyncClient, Client

client = Client()
reveal_type(client.show_job("1")["progress"]["percentage"])
reveal_type(client.txt2img(prompt="x", steps=3))
reveal_type(client.job("1").result().images())
for event in client.job("1").events(timeout=1):
    reveal_type(event)
client.txt2img(prompt="x", step=3)
client.txt2img(steps=3)
client.list_jobs(status=["done"])
client.health()["modelname"]

async def main() -> None:
    awaited = AsyncClient()
    reveal_type(await awaited.show_job("1"))
    job = await awaited.img2img(prompt="x", init_image_base64="")
    reveal_type(job)
    async for event in awaited.events():
        reveal_type(event)
    awaited.health()["status"]
"""
NOTES = {
    5: "float",
    6: "sdcpp_rest.client.jobs.SubmittedJob",
    7: "list[bytes]",
    9: "sdcpp_rest.core.events.Event",
    17: "TypedDict({'",
    19: "sdcpp_rest.client.jobs.AsyncSubmittedJob",
    21: "sdcpp_rest.core.events.Event",
}
ERRORS = {10: "call-arg", 11: "call-arg", 12: "list-item", 13: "misc", 22: "index"}


@pytest.mark.slow
def test_type_checker_knows_fields_and_answers(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(program)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    revealed = re.findall(r"program\.py:(\d+): note: Revealed type is \"(.*)\"", said)
    assert {int(line): text[: len(NOTES[int(line)])] for line, text in revealed} == NOTES
    # mypy lists the fields by name, or as they stand where it has not remembered them from an earlier run.
    assert "'completed_at'?: str" in dict(revealed)["17"]
    assert {int(line): code for line, code in re.findall(r"program\.py:(\d+): error: .*\[([\w-]+)\]", said)} == ERRORS
