"""Finds scripts by name, and lists and describes them as AUTOMATIC1111's API does."""

from __future__ import annotations

from typing import Any

from sdcpp_rest.routes.a1111.scripts.loopback import Loopback
from sdcpp_rest.routes.a1111.scripts.prompt_matrix import PromptMatrix
from sdcpp_rest.routes.a1111.scripts.prompts_from_file import PromptsFromFile
from sdcpp_rest.routes.a1111.scripts.script import Script, ScriptChoices
from sdcpp_rest.routes.a1111.scripts.sd_upscale import SdUpscale
from sdcpp_rest.routes.a1111.scripts.xyz_plot import XyzPlot
from sdcpp_rest.services.submission.picture_rounds import PictureKind

KINDS: tuple[PictureKind, ...] = ("txt2img", "img2img")
SCRIPTS: tuple[Script, ...] = (Loopback(), PromptMatrix(), PromptsFromFile(), SdUpscale(), XyzPlot())
"""In that program's order."""


def find_script(name: str, kind: PictureKind) -> Script | None:
    """The script that a call of ``kind`` names, in whatever case."""
    folded = name.casefold()
    return next((one for one in SCRIPTS if kind in one.kinds and one.title.casefold() == folded), None)


def list_scripts() -> dict[str, list[str]]:
    """The names that each kind of call may use."""
    return {kind: [one.title.lower() for one in SCRIPTS if kind in one.kinds] for kind in KINDS}


def describe_scripts(choices: ScriptChoices) -> list[dict[str, Any]]:
    """Each script with its arguments, once for each kind of call that has it."""
    return [
        {
            "name": one.title.lower(),
            "is_alwayson": False,
            "is_img2img": kind == "img2img",
            "args": [argument.describe() for argument in one.arguments(kind, choices)],
        }
        for kind in KINDS
        for one in SCRIPTS
        if kind in one.kinds
    ]
