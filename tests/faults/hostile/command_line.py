"""How the command line says what a hostile input says: a process for each, which speaks to the server that is tried."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.served import Server
from tests.faults.hostile.inputs import Conversion, Fields, Input, ModelFile, PictureFile, Upscaling
from tests.faults.hostile.known_files import MODEL
from tests.faults.hostile.sending import TIME_LIMIT_SECONDS, Outcome, wrong_with

NAME = "command line"
# More than a system takes as one argument.
_LONGEST = 100_000


def try_input(one: Input, server: Server) -> Iterator[Outcome]:
    """Runs the commands that can say it."""
    folder = server.folder / "command-line"
    folder.mkdir(exist_ok=True)
    for arguments in say(one, folder):
        if any("\0" in word or len(word) > _LONGEST or not word.isascii() for word in arguments):
            continue
        # It finds the server by the file that this one has in its data folder.
        command = [sys.executable, "-m", "sdcpp_rest", *arguments, "--url", f"http://127.0.0.1:{server.port}"]
        if arguments[0] == "inspect":
            command = command[:-2]
        where = f"{one.name} by {arguments[0]}"
        try:
            ran = subprocess.run(command, capture_output=True, timeout=TIME_LIMIT_SECONDS, cwd=folder)
        except subprocess.TimeoutExpired:
            yield Outcome(NAME, where, 0, "", "a hang")
            continue
        if ran.returncode == 0:
            yield Outcome(NAME, where, 0)
            continue
        said = ran.stderr.decode("utf-8", "replace").strip()
        fault = "an internal error" if ran.returncode < 0 else wrong_with(said)
        yield Outcome(NAME, where, ran.returncode, said or " ", fault)


def say(one: Input, folder: Path) -> list[list[str]]:
    """The arguments of each command."""
    if isinstance(one, Fields):
        values = dict(one.values)
        prompt = values.pop("prompt", "a cat")
        if not isinstance(prompt, str):
            return []
        small = {"width": 64, "height": 64, "steps": 1, **values}
        told = [word for name, value in small.items() for word in ("-p", f"{name}={json.dumps(value)}")]
        return [["generate", *told, "--", prompt]]
    if isinstance(one, Conversion):
        values = {"input_path": MODEL, "output_type": "q4_0", "output_path": "hostile.gguf", **one.values}
        if not all(isinstance(value, str) for value in values.values()):
            return []
        rest = [f"--rules={values['tensor_type_rules']}"] if "tensor_type_rules" in values else []
        return [["convert", *rest, "-o", values["output_path"], "--", values["input_path"], values["output_type"]]]
    if isinstance(one, Upscaling):
        (folder / "small.png").write_bytes(b"no picture")
        options = {
            "upscale_factor": "--factor",
            "repeats": "--repeats",
            "tile_size": "--tile-size",
            "upscaler": "--upscaler",
        }
        known = [f"{options[name]}={value}" for name, value in one.values.items() if name in options]
        return [["upscale", *known, "small.png"]] if known else []
    if isinstance(one, PictureFile):
        (folder / "hostile.png").write_bytes(one.content)
        return [
            ["generate", "a cat", "--init-image", "hostile.png", "--steps", "1", "--width", "64", "--height", "64"],
            ["upscale", "hostile.png", "-o", "larger.png"],
        ]
    if isinstance(one, ModelFile):
        path = folder.parent / "models" / one.type / one.name
        found = [["inspect", str(path)]]
        if one.roles[0] == "model":
            found.append(["generate", "a cat", "--model", one.name, "--steps", "1"])
        return found
    return []
