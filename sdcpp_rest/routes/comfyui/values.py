"""What flows along the links of a graph: models, prompts, latents and pictures, as far as they are known before they
are drawn.

Pure values. Each knows the node that made it, so that a refusal and the progress of its job can name it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sdcpp_rest.core.catalog import ModelFile

MOST_LORAS = 64


@dataclass(frozen=True)
class LoraWeight:
    """A LoRA and how much it has to say."""

    name: str
    weight: float


@dataclass(frozen=True)
class Model:
    """MODEL. ``shift`` moves the noise schedule; ``is_exponent``: as the exponent that Flux's node counts in."""

    node: str
    file: ModelFile
    loras: tuple[LoraWeight, ...] = ()
    shift: float | None = None
    is_exponent: bool = False


@dataclass(frozen=True)
class Encoders:
    """CLIP: a checkpoint's own, or files by their roles."""

    node: str
    checkpoint: str | None = None
    files: tuple[tuple[str, str], ...] = ()
    loras: tuple[LoraWeight, ...] = ()
    stop_at: int | None = None


@dataclass(frozen=True)
class Autoencoder:
    """VAE: a checkpoint's own, or a file and its role."""

    node: str
    checkpoint: str | None = None
    role: str = "vae"
    file: str = ""

    @property
    def source(self) -> tuple[str | None, str]:
        """Where it comes from: equal for two nodes that load the same."""
        return self.checkpoint, self.file


@dataclass(frozen=True)
class GivenPicture:
    """A picture that was brought along: its file's bytes and its size in pixels."""

    node: str
    file: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Mask:
    """MASK: a channel of a picture, turned around and grown step by step. White is drawn anew."""

    source: GivenPicture
    channel: str
    steps: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Control:
    """A picture that guides the drawing, and the network that reads it."""

    node: str
    file: str
    picture: GivenPicture
    strength: float
    finds_edges: bool = False


@dataclass(frozen=True)
class EdgesOf:
    """IMAGE: the edges of a picture, which the library finds."""

    picture: GivenPicture


@dataclass(frozen=True)
class Conditioning:
    """CONDITIONING: words and what goes with them."""

    node: str
    text: str
    encoders: Encoders
    guidance: float | None = None
    controls: tuple[Control, ...] = ()
    references: tuple[GivenPicture, ...] = ()
    is_zeroed: bool = False


@dataclass(frozen=True)
class Sampled:
    """One pass of a sampler over ``start``."""

    node: str
    model: Model
    positive: Conditioning
    negative: Conditioning | None
    cfg: float
    seed: int
    steps: int
    sampler: str
    scheduler: str
    denoise: float
    start: Latent


@dataclass(frozen=True)
class Latent:
    """LATENT: empty, of a picture, or sampled (``drawn``), and perhaps enlarged since by ``method`` to its size.

    ``frames`` of 0: pictures.
    """

    node: str
    width: int
    height: int
    batch: int = 1
    frames: int = 0
    picture: GivenPicture | None = None
    mask: Mask | None = None
    vae: Autoencoder | None = None
    drawn: Sampled | None = None
    method: str = ""


@dataclass(frozen=True, eq=False)
class DrawnPicture:
    """IMAGE of a latent: decoded, and perhaps enlarged by an upscaler or brought to another size. Equal only to itself:
    two nodes that show the same one show one job's pictures."""

    node: str
    latent: Latent
    vae: Autoencoder
    tile_size: int = 0
    tile_overlap: int = 0
    upscaler: ModelFile | None = None
    upscaling_node: str = ""
    scaled: tuple[int, int] | None = None
    scaling_method: str = "Lanczos"


@dataclass(frozen=True, eq=False)
class EnlargedPicture:
    """IMAGE: a given picture, enlarged by an upscaler."""

    node: str
    picture: GivenPicture
    upscaler: ModelFile


@dataclass(frozen=True)
class Film:
    """VIDEO: pictures that follow each other."""

    picture: DrawnPicture
    fps: float


@dataclass(frozen=True)
class Noise:
    """NOISE."""

    seed: int


@dataclass(frozen=True)
class Guider:
    """GUIDER: a model with its words."""

    model: Model
    positive: Conditioning
    negative: Conditioning | None
    cfg: float


@dataclass(frozen=True)
class Schedule:
    """SIGMAS. ``model``: whose shift they have, where it is named for itself."""

    scheduler: str
    steps: int
    denoise: float
    model: Model | None = None


@dataclass(frozen=True)
class Output:
    """What an output node shows. ``video_format`` is empty for pictures; ``is_kept`` false for previews; ``is_sent``:
    through the WebSocket."""

    node: str
    picture: DrawnPicture | EnlargedPicture
    video_format: str = ""
    fps: float = 0.0
    is_kept: bool = True
    is_sent: bool = False
