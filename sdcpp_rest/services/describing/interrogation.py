"""Describes pictures in words: as tags, by a tagger, or as a caption, by a vision model or CLIP.

Decides who describes, and brings pictures to a size that all of them can take. Knows no dialect.
"""

from __future__ import annotations

import io
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from sdcpp_rest.config import InterrogateConfig
from sdcpp_rest.core.chat import ChatMessage, ThoughtFilter
from sdcpp_rest.services.describing.onnx_models import CachedModel
from sdcpp_rest.services.describing.tag_words import TagStyle, write_tags
from sdcpp_rest.services.language.llm_client import ChatRequest, LlmClient
from sdcpp_rest.services.language.llm_connection import OpenCalls
from sdcpp_rest.services.language.llm_errors import LlmDisabled, LlmFailed
from sdcpp_rest.services.language.llm_settings import LlmSettings
from sdcpp_rest.services.language.prompt_enhancer import clean_answer
from sdcpp_rest.services.pictures.input_images import decode_base64, open_picture, to_rgb

if TYPE_CHECKING:
    from sdcpp_rest.services.describing.caption_ranking import CaptionRanking
    from sdcpp_rest.services.describing.image_tagger import ImageTagger

INSTRUCTION = """\
Describe this picture in one sentence of at most 60 words, as a caption from which it could be drawn: what is seen, the
surroundings, the light, the style. Answer with the caption alone: no introduction, no quotation marks."""

# None of the models looks closer than this.
_SIDE = 1024
_JPEG_QUALITY = 90
_MAX_CHARACTERS = 4000


class Interrogation:
    """Describes a picture in words: as tags or as a caption.

    Thread-safe; every method waits for a model.

    Args:
        llm: whose server the vision model runs at.
    """

    def __init__(self, config: InterrogateConfig, models_dir: Path, llm: LlmSettings, lines: OpenCalls) -> None:
        self._config = config
        self._llm = llm
        self._lines = lines
        folder = models_dir / "interrogate"
        tagger, clip = _folder(config.tagger_dir, folder / "tagger"), _folder(config.clip_dir, folder / "clip")
        self._tagger = CachedModel(tagger, partial(_open_tagger, threads=config.threads))
        self._ranking = CachedModel(clip, partial(_open_ranking, threads=config.threads))
        # The largest picture allowed takes some hundred megabytes while it is decoded.
        self._decoding = threading.BoundedSemaphore(2)

    @property
    def style(self) -> TagStyle:
        """How tags are told unless a dialect's clients want something else."""
        return TagStyle(
            general_threshold=self._config.general_threshold, character_threshold=self._config.character_threshold
        )

    def tags(self, image: str, style: TagStyle) -> str:
        """The tags that fit a picture (base64 or a data URL), with commas in between; empty if none is sure enough.

        Raises InvalidRequest, which names the field ``image``; NotSupported, which says what to install; LoadFailed,
        GenerationFailed.
        """
        picture = self._picture(image)
        with self._tagger.in_use() as tagger:
            return write_tags(tagger.tags(picture), style)

    def caption(self, image: str) -> str:
        """A sentence, or phrases, about a picture. Raises as `tags` does, and the errors of `llm_errors`."""
        picture = self._picture(image)
        if self._config.vision_model:
            return self._ask_model(picture, self._config.vision_model)
        with self._ranking.in_use() as ranking:
            return ranking.caption(picture)

    def _picture(self, image: str) -> Image.Image:
        """RGB, at most `_SIDE` on each side: callers that wait for a model hold a small picture."""
        with self._decoding:
            picture = to_rgb(open_picture("image", decode_base64("image", image)), None)
            picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
            return picture

    def _ask_model(self, picture: Image.Image, model: str) -> str:
        choice = self._llm.current()
        if not choice.enabled:
            raise LlmDisabled('The language model server is switched off (PUT /ollama/settings {"enabled": true})')
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=_JPEG_QUALITY)
        message = ChatMessage(role="user", content=INSTRUCTION, pictures=(file.getvalue(),))
        endpoint = replace(self._llm.endpoint(), model=model)
        thoughts, said = ThoughtFilter(), ""
        with self._lines.open() as line, line.limit_time(choice.timeout_seconds):
            for piece in LlmClient(endpoint, line).chat(ChatRequest(messages=(message,))):
                if isinstance(piece, str):
                    said += thoughts.feed(piece)
        caption = " ".join(clean_answer(said + thoughts.flush()).split())[:_MAX_CHARACTERS]
        if not caption:
            raise LlmFailed(f"The vision model {model!r} answered nothing")
        return caption


def _open_tagger(folder: Path, threads: int) -> ImageTagger:
    # Here, as below: it brings numpy along, which takes more memory than all dialects together.
    from sdcpp_rest.services.describing.image_tagger import ImageTagger

    return ImageTagger(folder, threads)


def _open_ranking(folder: Path, threads: int) -> CaptionRanking:
    from sdcpp_rest.services.describing.caption_ranking import CaptionRanking

    return CaptionRanking(folder, threads)


def _folder(chosen: str, default: Path) -> Path:
    return Path(chosen) if chosen else default
