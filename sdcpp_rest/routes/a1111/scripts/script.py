"""Says what a script is: a name, arguments, and from a request with them the pictures of one round and what is
answered. Knows no single script, and no round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from PIL import Image

from sdcpp_rest.core.load_spec import UpscalerSpec
from sdcpp_rest.routes.a1111.answering import PictureFacts, ScriptAnswer
from sdcpp_rest.routes.a1111.scripts.arguments import Argument
from sdcpp_rest.routes.a1111.translate import PictureCall
from sdcpp_rest.routes.a1111.wire import A1111Request
from sdcpp_rest.services.submission.picture_enlarging import PictureEnlarging, Resampler
from sdcpp_rest.services.submission.picture_rounds import PictureKind, PictureRequest


@dataclass(frozen=True)
class ScriptChoices:
    """What there is to choose from, as this dialect's lists have it: labels, titles, names.

    ``find_checkpoint`` gives the name of the model that a title, a name, a sum or a part of a title means.
    """

    samplers: Callable[[], list[str]]
    schedulers: Callable[[], list[str]]
    checkpoints: Callable[[], list[str]]
    autoencoders: Callable[[], list[str]]
    styles: Callable[[], list[str]]
    upscalers: Callable[[], list[str]]
    hires_upscalers: Callable[[], list[str]]
    find_checkpoint: Callable[[str], str | None]
    has_autoencoder: Callable[[str], bool]


@dataclass(frozen=True)
class ScriptTools:
    """What scripts need of the server.

    ``translate`` turns a request without a script into what its jobs draw. ``most_pictures`` bounds one call, and
    ``most_megapixels`` a grid. ``describe`` tells what a picture (base64) shows, in the manner of ``clip`` or
    ``deepdanbooru``.
    """

    translate: Callable[[A1111Request], PictureCall]
    choices: ScriptChoices
    enlarging: PictureEnlarging
    describe: Callable[[str, str], str]
    most_pictures: int
    most_megapixels: float


@dataclass(frozen=True)
class Shot:
    """One job of a script: job ``index`` of ``call``."""

    call: PictureCall
    index: int = 0

    @property
    def request(self) -> PictureRequest:
        return self.call.request(self.index)


@dataclass(frozen=True)
class DrawnPicture:
    """Picture ``index`` of ``call``: its pixels as a PNG without a text, its text, and what is told of it. ``params``
    are its job's."""

    call: PictureCall
    index: int
    params: Mapping[str, Any]
    png: bytes
    text: str
    facts: PictureFacts


@dataclass(frozen=True)
class DrawnShot:
    """What came of one job. One that is not finished was stopped: it has the last preview, or no picture at all."""

    pictures: list[DrawnPicture]
    is_finished: bool


class ScriptStage(Protocol):
    """The round of one call of a script."""

    @property
    def is_interrupted(self) -> bool: ...

    def draw_all(self, shots: list[Shot]) -> list[DrawnShot | None]:
        """Submit all, and wait for them; ``None`` for what an interrupt left out. Raises as `PictureRounds.take`."""
        ...

    def draw_next(self, shot: Shot) -> DrawnShot | None:
        """Submit one and wait for it; ``None``: the round was interrupted before. Raises as `draw_all`."""
        ...

    def enlarge(self, picture: Image.Image, upscaler: UpscalerSpec | Resampler, factor: float) -> Image.Image | None:
        """``picture`` made larger by a job of this round; ``None`` when it was interrupted meanwhile. Raises as
        `PictureEnlarging.enlarge`."""
        ...

    def tell_text(self, picture: DrawnPicture, extra: Mapping[str, Any]) -> str:
        """The text of a drawn picture with ``extra`` in it."""
        ...

    def encode(self, picture: DrawnPicture) -> bytes:
        """A drawn picture's file in the format of the options, with its text."""
        ...

    def encode_image(self, picture: Image.Image, text: str) -> bytes:
        """The file of a picture that was put together here, likewise."""
        ...


class ScriptRun(Protocol):
    """A script with a request and arguments: ready to be drawn.

    ``call`` stands for all: its options, its model, what is told of the whole. ``count`` is how many jobs there will
    be.
    """

    @property
    def call(self) -> PictureCall: ...

    @property
    def count(self) -> int: ...

    def draw(self, stage: ScriptStage) -> ScriptAnswer: ...


class Script(Protocol):
    """One script. ``kinds`` are the calls that have it."""

    title: str
    kinds: frozenset[PictureKind]

    def arguments(self, kind: PictureKind, choices: ScriptChoices) -> tuple[Argument, ...]:
        """Its arguments in order."""
        ...

    def prepare(self, body: A1111Request, given: Mapping[str, Any], tools: ScriptTools) -> ScriptRun:
        """What a request means. ``body`` has no script in it; ``given`` are the arguments by name. Raises Unreadable
        for what cannot be done, and what ``tools.translate`` raises."""
        ...


TXT2IMG_AND_IMG2IMG: frozenset[PictureKind] = frozenset({"txt2img", "img2img"})
ONLY_IMG2IMG: frozenset[PictureKind] = frozenset({"img2img"})
