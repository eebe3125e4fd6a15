"""What a hostile input is. Everything in it is made by code, the same each time for a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fields:
    """Fields of a picture, by their native names, beside those of a good small one."""

    name: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class VideoFields:
    """Fields of a video, by their native names."""

    name: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class PictureFile:
    """A file that is sent where a picture belongs."""

    name: str
    content: bytes


@dataclass(frozen=True)
class ModelFile:
    """A file that lies where a model does. ``type`` as in model folders; ``roles``: what it is to be loaded as."""

    name: str
    type: str
    content: bytes
    roles: Sequence[str] = ("model",)


@dataclass(frozen=True)
class LoadOptions:
    """What else the demo model is to be loaded with; ``values`` that are no options stand beside them."""

    name: str
    values: Mapping[str, Any]
    is_option: bool = True


@dataclass(frozen=True)
class Conversion:
    """Fields of a conversion of the demo model."""

    name: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Upscaling:
    """Fields of an upscaling of a small picture."""

    name: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Body:
    """The bytes of a body that is to be JSON."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Form:
    """The bytes of a body that is to be a form, and what its header says it is."""

    name: str
    content: bytes
    content_type: str


@dataclass(frozen=True)
class Graph:
    """A prompt of ComfyUI's."""

    name: str
    nodes: Any


@dataclass(frozen=True)
class Call:
    """A body of one dialect's own, in which one field is hostile."""

    name: str
    dialect: str
    path: str
    body: Mapping[str, Any]


Input = (
    Call | Fields | VideoFields | PictureFile | ModelFile | LoadOptions | Conversion | Upscaling | Body | Form | Graph
)


@dataclass
class Named:
    """Gives inputs of one kind names that are told apart."""

    taken: set[str] = field(default_factory=set)

    def __call__(self, name: str) -> str:
        short = "".join(letter if letter.isprintable() and letter.isascii() else "?" for letter in name)[:60]
        number, found = 1, short
        while found in self.taken:
            number += 1
            found = f"{short} #{number}"
        self.taken.add(found)
        return found
