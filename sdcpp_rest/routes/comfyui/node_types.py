"""What a class of nodes is made of: its inputs with their types and limits, its outputs, and what it evaluates to.

Knows no single class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core.bounds import marks_of
from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.core.params import ImageParams, VideoParams

SCALARS = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
"""Types of inputs that are values; all others come by links only."""


class NodeFault(Exception):
    """What is wrong with one node, in the words of ComfyUI's errors.

    ``type`` is the error's word for programs, ``input_name`` the input at fault, if it is one.
    """

    def __init__(self, type: str, message: str, details: str, input_name: str = "", received: Any = None) -> None:
        super().__init__(details)
        self.type = type
        self.message = message
        self.details = details
        self.input_name = input_name
        self.received = received


def refuse(sentence: str, input_name: str = "", received: Any = None) -> NodeFault:
    """A node that is right and cannot be drawn here; ``sentence`` says why."""
    return NodeFault("custom_validation_failed", "This graph cannot be drawn here", sentence, input_name, received)


@dataclass(frozen=True)
class Input:
    """One input of a class.

    ``choices`` of a COMBO are its words, or the name of a list (of files, of samplers) that the server has. A number's
    limits are those of the parameter that it becomes (``param``), or ``low`` and ``high``.
    """

    name: str
    type: str
    default: Any = None
    choices: tuple[str, ...] | str = ()
    param: str = ""
    low: float = -math.inf
    high: float = math.inf
    is_required: bool = True
    is_long_text: bool = False

    def span(self, limits: LimitsConfig) -> tuple[float, float]:
        """The least and the most that it may be."""
        if not self.param:
            return self.low, self.high
        params = ImageParams if self.param in ImageParams.model_fields else VideoParams
        bounds = marks_of(params)[self.param].bounds
        if bounds is None:
            raise LookupError(f"{self.param} has no bounds")
        return bounds.low, bounds.highest(limits)


class Surroundings(Protocol):
    """What the evaluation of a node may ask of the server. ``node_id``: the node that is evaluated."""

    node_id: str

    def note(self, sentence: str) -> None:
        """Tell the client of something that has no effect."""

    def read_picture(self, name: str) -> bytes:
        """The file of an uploaded picture, or of one that was drawn here. Raises NodeFault."""

    def measure(self, picture_file: bytes, input_name: str) -> tuple[int, int]:
        """Width and height of a picture's file. Raises NodeFault."""

    def role_of(self, file: ModelFile) -> str:
        """The component that a file is, by what is in it. Raises NodeFault."""


Evaluate = Callable[[Mapping[str, Any], Surroundings], tuple[Any, ...]]
"""Makes a node's outputs of its inputs: files for names of files, values for links. Raises NodeFault."""


@dataclass(frozen=True)
class NodeClass:
    """A class of nodes that works here. ``outputs`` are types; ``names`` what pages call them."""

    name: str
    category: str
    description: str
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    evaluate: Evaluate
    names: tuple[str, ...] = ()
    is_output: bool = False


def link(name: str, type: str, *, is_required: bool = True) -> Input:
    """An input that another node gives."""
    return Input(name, type, is_required=is_required)


def whole(name: str, default: int, *, param: str = "", low: float = 0, high: float = 2**63 - 1) -> Input:
    """A whole number."""
    return Input(name, "INT", default, param=param, low=low, high=high)


def number(name: str, default: float, *, param: str = "", low: float = 0.0, high: float = 1000.0) -> Input:
    """A number with decimals."""
    return Input(name, "FLOAT", default, param=param, low=low, high=high)


def choice(name: str, choices: tuple[str, ...] | str, default: str | None = None, *, is_required: bool = True) -> Input:
    """A word of several, or of one of the server's lists."""
    return Input(name, "COMBO", default, choices, is_required=is_required)


def text(name: str, default: str = "", *, is_long: bool = False, is_required: bool = True) -> Input:
    """A text."""
    return Input(name, "STRING", default, is_long_text=is_long, is_required=is_required)


def switch(name: str, default: bool) -> Input:
    """On or off."""
    return Input(name, "BOOLEAN", default)
