"""Tells pictures that are no pictures: every pixel the same, as numbers that overflowed or are damaged leave them.

Looks at exactness, never at taste: an autoencoder does not decode even a blank wall to one single value, so nothing
that was drawn is called blank. Knows pixels and what was asked for; must not know the library or the queue.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sdcpp_rest.core.job import Failure
from sdcpp_rest.core.params import SamplingParams, VideoParams
from sdcpp_rest.engine.raw_picture import RawPicture
from sdcpp_rest.errors import PictureIsBlank

# A first preview may be of one colour although all is well: a guess of pure black, cut off at 0 everywhere. Later ones
# of healthy runs never were. Previews below 8 x 8 are so few pixels that chance could make them equal.
_FIRST_JUDGED_STEP = 2
_STOPPING_PREVIEWS = 3
_FEWEST_BLANK_PREVIEWS = 2
_FEWEST_PREVIEW_PIXELS = 64
# An autoencoder's way there and back moves a plain colour by less.
_SAME_COLOUR = 24
# They end in a plain picture where they do not fit: with a single step, or (ays) on models it has no table for.
_FLAT_SCHEDULERS = ("karras", "exponential", "ays")


@dataclass(frozen=True)
class Judged:
    """What a run made, and whether it failed all the same."""

    pictures: list[RawPicture]
    warnings: tuple[str, ...] = ()
    failure: Failure | None = None


def is_one_colour(picture: RawPicture) -> bool:
    """Say whether every pixel of ``picture`` is exactly the same."""
    pixels, size = picture.pixels, picture.channels
    probe = pixels[: 64 * size]
    # Most pictures are told apart by their first pixels; only the others are compared whole (1 ms at 1024 x 1024).
    if probe != pixels[:size] * (len(probe) // size):
        return False
    return pixels == pixels[:size] * (len(pixels) // size)


@dataclass
class _Previews:
    """What the previews of one picture have shown so far."""

    blank_in_a_row: int = 0
    saw_content: bool = False
    last: Sequence[RawPicture] = ()

    @property
    def is_blank(self) -> bool:
        return self.blank_in_a_row >= _FEWEST_BLANK_PREVIEWS


class BlankJudge:
    """Judges one run: its previews while it goes on, its pictures (of a video: the frames) at the end.

    The previews count at the end as well: latents that are no numbers leave every preview black, but a tiny
    autoencoder cuts them off and decodes them to a grey with a texture of its own.

    Args:
        sources: the pictures it starts from. Where one is of one colour, a result of that colour proves nothing.
    """

    def __init__(self, params: SamplingParams, sources: Sequence[RawPicture]) -> None:
        self._params = params
        self._what = "video" if isinstance(params, VideoParams) else "picture"
        self._plain = [source.pixels[: source.channels] for source in sources if is_one_colour(source)]
        # One broken picture of a batch must not cost the others: their previews come later.
        self._may_stop = not self._plain and params.picture_count == 1
        self._previews: defaultdict[int, _Previews] = defaultdict(_Previews)
        self.stopped_at: int | None = None
        """The step after which the run was found to be blank and was to be stopped."""

    def hear_preview(self, step: int, frames: Sequence[RawPicture], image: int = 0) -> bool:
        """Take picture number ``image``'s preview (of a video: all its frames) after ``step``; true, once, when the run
        is to be stopped."""
        seen = self._previews[image]
        blank = all(is_one_colour(frame) for frame in frames)
        seen.saw_content, seen.last = not blank, frames
        too_small = not frames or frames[0].width * frames[0].height < _FEWEST_PREVIEW_PIXELS
        if not blank or too_small or step < _FIRST_JUDGED_STEP or self._plain:
            seen.blank_in_a_row = 0
            return False
        seen.blank_in_a_row += 1
        if not self._may_stop or self.stopped_at is not None or seen.blank_in_a_row < _STOPPING_PREVIEWS:
            return False
        self.stopped_at = step
        return True

    def judge_stopped(self) -> Judged:
        """Judge a run that was stopped for its previews: the last one is what is left of it."""
        left = list(self._previews[0].last)
        seen = f"Stopped after step {self.stopped_at}, because the previews were of one single colour ({_hex(left[0])})"
        return Judged(left, failure=_failure(f"{seen}: {self._cause(0)}"))

    def judge(self, pictures: list[RawPicture], warnings: tuple[str, ...] = ()) -> Judged:
        """Judge what was made. Blank as a whole is a failure; blank pictures among others, and what is plain because
        its source is, are warnings. A video is blank when every frame is."""
        if self._what == "video":
            is_blank = self._previews[0].is_blank or all(map(is_one_colour, pictures))
            blank = list(range(len(pictures))) if is_blank else []
        else:
            blank = [k for k, one in enumerate(pictures) if self._previews[k].is_blank or is_one_colour(one)]
        if not blank:
            return Judged(pictures, warnings)
        if all(self._has_colour_of_source(pictures[k]) for k in blank):
            text = f"the {self._what} is of one single colour, as is what it was made from: maybe nothing was drawn"
            return Judged(pictures, (*warnings, text))
        if len(blank) < len(pictures):
            which = ", ".join(f"image_{k}.png" for k in blank)
            text = f"{len(blank)} of {len(pictures)} pictures are blank ({which}): {self._cause(blank[0])}"
            return Judged(pictures, (*warnings, text))
        first, previews = pictures[0], self._previews[0].last
        if is_one_colour(first):
            seen = f"The {self._what} is of one single colour ({_hex(first)}), as nothing that was drawn ever is"
        else:
            seen = f"The {self._what}'s previews were of one single colour to the last ({_hex(previews[0])})"
        return Judged(pictures, warnings, _failure(f"{seen}: {self._cause(0)}"))

    def _has_colour_of_source(self, picture: RawPicture) -> bool:
        colour = picture.pixels[: picture.channels]
        return any(max(abs(a - b) for a, b in zip(colour, one, strict=False)) <= _SAME_COLOUR for one in self._plain)

    def _cause(self, image: int) -> str:
        """What was most likely wrong with picture number ``image``, and what would help."""
        if self._previews[image].saw_content:
            return (
                "the last preview had content, so it was lost in decoding. Likely cause: a VAE whose numbers overflow, "
                "or that belongs to another model. Take the model's own VAE in f32 or bf16 (for SDXL one made for f16, "
                "or the option force_sdxl_vae_conv_scale), or a TAESD."
            )
        params, causes = self._params, []
        if params.loras:
            names = ", ".join(f"{lora.name} at {lora.weight:g}" for lora in params.loras)
            causes.append(f"a LoRA that is damaged or too strong ({names}): draw without it, or with a smaller weight")
        if params.scheduler in _FLAT_SCHEDULERS:
            causes.append(f"the scheduler {params.scheduler} with {params.steps} steps on this model: take another")
        causes.append(
            "a model file that is damaged, badly converted, or of a number format that the library misreads (scaled "
            "FP8): take a plain f16 file of it, or a GGUF"
        )
        return f"the model's numbers overflowed or are damaged. Likely causes: {'; '.join(causes)}."


def judge_enlarged(larger: list[RawPicture], given: Sequence[RawPicture], upscaler: str) -> Judged:
    """Judge what an upscaler made of ``given``, picture by picture; those that were blank before are not its fault."""
    lost = [
        k
        for k, (after, before) in enumerate(zip(larger, given, strict=True))
        if is_one_colour(after) and not is_one_colour(before)
    ]
    if not lost:
        return Judged(larger)
    which = ", ".join(f"image_{k}.png" for k in lost)
    text = (
        f"The upscaler {upscaler} made one single colour ({_hex(larger[lost[0]])}) of a picture that has content "
        f"({which}): its file is damaged, or its numbers overflowed. Download it again, or take another one."
    )
    return Judged(larger, failure=_failure(text)) if len(lost) == len(larger) else Judged(larger, (text,))


def _failure(sentence: str) -> Failure:
    return Failure(code=PictureIsBlank.code, message=f"{sentence} What was made is kept in the job's outputs.")


def _hex(picture: RawPicture) -> str:
    return "#" + picture.pixels[: picture.channels].hex()
