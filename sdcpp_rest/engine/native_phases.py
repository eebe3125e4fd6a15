"""Follows a call of the native library through its log and its progress callback: which phase, which step.

The library announces its phases in its log only. The texts are those of the pinned version, and only progress hangs on
them.
"""

from __future__ import annotations

import re

from sdcpp_rest.core.job import Phase
from sdcpp_rest.engine.runner import Report

_PICTURE_BEGINS = re.compile(r"generating image: (\d+)/\d+")
_PICTURES_END = re.compile(r"generating \d+ latent images completed")
_HIRES_BEGINS = re.compile(r"hires fix: upscaling")
_HIRES_ENDS = re.compile(r"hires fix completed")
_VIDEO_BEGINS = re.compile(r"generate_video \d+x\d+x\d+")
_FIRST_EXPERT_ENDS = re.compile(r"sampling\(high noise\) completed")
_ROOM_IS_MADE = re.compile(r"compute buffer size: ")
_VIDEO_ENDS = re.compile(r"generating latent video completed")


class Follower:
    """Follows one call through the library's log and progress callbacks.

    The library counts VAE tiles and loaded tensors with the same callback as sampling steps; only what is counted
    while it samples reaches the report as steps, and only in order.

    Args:
        video_steps: of a video, all its steps. It is sampled by one expert or by two, which count from 1 each; they
            are reported as one run.
    """

    def __init__(self, report: Report, loading: bool = False, video_steps: int = 0) -> None:
        self.report = report
        self._loading = loading
        self._video_steps = video_steps
        self._phase: Phase = "loading" if loading else "conditioning"
        self.image = 0
        """The picture of the batch that is drawn."""
        self.steps_before = 0
        """Steps that the first expert of a video has done when the second one counts from 1 again."""
        self._step = 0
        self._total = 0

    @property
    def steps(self) -> int:
        """Steps of the sampling that goes on, 0 while none does."""
        return self._total if self._phase in ("sampling", "hires") else 0

    def hear_log(self, line: str) -> bool:
        """Take a line of the log; whether it says that the library makes room to compute something, such as a decoded
        preview."""
        if _ROOM_IS_MADE.search(line):
            return True
        if found := _PICTURE_BEGINS.search(line):
            self._enter("sampling", int(found.group(1)) - 1)
        elif _PICTURES_END.search(line) or _HIRES_ENDS.search(line) or _VIDEO_ENDS.search(line):
            self._enter("decoding", self.image)
        elif _HIRES_BEGINS.search(line):
            self._enter("hires", self.image)
        elif _VIDEO_BEGINS.search(line):
            self._enter("sampling", 0)
        elif _FIRST_EXPERT_ENDS.search(line):
            self.steps_before += self._step
            self._step = self._total = 0
        return False

    def hear_progress(self, step: int, steps: int) -> None:
        if self._loading:
            self.report.loading(step / steps if steps > 0 else None)
        elif self._phase in ("sampling", "hires") and steps > 0:
            if step == 0 and self._total == 0:
                self._total = steps
            elif steps == self._total and step == self._step + 1:
                self._step = step
                if self._phase == "sampling":
                    self.report.step(self.steps_before + step, self._video_steps or steps, self.image, "sampling")

    def _enter(self, phase: Phase, image: int) -> None:
        self._phase, self.image = phase, image
        self.steps_before = self._step = self._total = 0
        self.report.step(0, 0, image, phase)
