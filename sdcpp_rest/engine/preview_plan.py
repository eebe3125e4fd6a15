"""Decides at which steps of a run a preview is made, so that all take no more than a share of its sampling time.

What a preview costs is measured, and so is a step. Nobody is shown more of them than the user's interval allows, and a
picture that is too short for one gets none. Knows no library and no pixel.
"""

from __future__ import annotations

import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.params import SamplingParams, VideoParams
from sdcpp_rest.engine.protocol import PreviewSettings

_DECODED = ("tae", "vae")
# What the judge of blank pictures looks at beside the steps that it needs: so little is not seen in a job's time.
_LOOKING_SHARE = 0.01
_FIRST_LOOKS, _LAST_LOOKS = 4, 2
# The first preview may come before its time is earned, but not while there is nothing on it.
_FIRST_AFTER = 0.2
_MOST_REMEMBERED = 64


@dataclass
class Seconds:
    """What was measured: a ``step`` without anything beside it, a preview that was ``shown``, one that was only looked
    at (``look``); ``None``: not yet."""

    step: float | None = None
    shown: float | None = None
    look: float | None = None

    def allow_one(self, share: float, steps: int) -> bool:
        """Whether a run of so many steps has the time for one preview; true where nobody knows."""
        return self.shown is None or self.step is None or self.shown <= share * self.step * steps


class PreviewPlan:
    """Plans the previews of one run, step by step.

    Two things can be done with a preview. It is looked at, whether it is blank, which needs nobody who watches; and it
    is shown to those who do: made a file, and told. Where the library has to decode for it (``is_decoded``) it is not
    cheap to look at, and is made to be shown only.

    Args:
        share: of the sampling time, for what is shown; from 1 on there is no limit.
        interval: in steps; at others nothing is shown.
        seconds: what was measured in runs like this one; what is measured now is noted there.
    """

    def __init__(
        self, share: float, interval: int, seconds: Seconds, *, is_decoded: bool, clock: Callable[[], float]
    ) -> None:
        self._share, self._interval = share, interval
        self._seconds = seconds
        self._is_decoded = is_decoded
        self._clock = clock
        self._sampled = self._shown = self._looked = 0.0
        self._steps_done = 0
        self._is_tried = False
        self._step_began: float | None = None
        self._decoding_began: float | None = None
        self._beside = 0.0
        self.shows = False
        """Whether the preview of this step is to be shown."""

    def begin_step(self, step: int, steps: int, pictures: int = 1, *, is_watched: bool) -> bool:
        """Whether the library is to make a preview of ``step`` (from 1), which begins now, of ``steps`` of each of
        ``pictures``. With ``step`` above ``steps`` the last one has ended."""
        self._end_step()
        if not 0 < step <= steps:
            return False
        self._step_began = self._clock()
        self.shows = is_watched and step % self._interval == 0 and self._may_show(step, steps, pictures)
        return self.shows or (not self._is_decoded and self._may_look(step, steps))

    def begin_decoding(self) -> None:
        """Note that the library makes room to compute something. The last that it does in a step is to decode."""
        self._decoding_began = self._clock()

    def end_look(self, seconds: float) -> None:
        """Note that a preview was made and looked at; the looking took ``seconds``."""
        if not self._is_decoded:
            self._looked += seconds
            self._beside += seconds
            self._seconds.look = seconds
            return
        began, self._decoding_began = self._decoding_began, None
        self._pay(seconds if began is None else max(seconds, self._clock() - began))

    def end_show(self, seconds: float) -> None:
        """Note that it was shown, too, which took ``seconds`` more."""
        self._pay(seconds + (self._seconds.shown or 0.0) if self._is_decoded else seconds, beside=seconds)

    def _pay(self, seconds: float, beside: float | None = None) -> None:
        self._is_tried = True
        self._seconds.shown = seconds
        self._shown += seconds if beside is None else beside
        self._beside += seconds if beside is None else beside

    def _end_step(self) -> None:
        began, beside = self._step_began, self._beside
        self._step_began, self._decoding_began, self._beside = None, None, 0.0
        if began is not None:
            self._sampled += max(0.0, self._clock() - began - beside)
            self._steps_done += 1
            self._seconds.step = self._sampled / self._steps_done

    def _may_show(self, step: int, steps: int, pictures: int) -> bool:
        cost, one_step = self._seconds.shown, self._seconds.step
        if self._share >= 1:
            return True
        if cost is None or one_step is None:
            # Nobody knows what it costs: one is made to find out.
            return self._share > 0 and not self._is_tried
        if self._shown + cost <= self._share * (self._sampled + one_step):
            return True
        is_early = self._shown == 0 and step >= _FIRST_AFTER * steps
        return is_early and self._seconds.allow_one(self._share, steps * pictures)

    def _may_look(self, step: int, steps: int) -> bool:
        cost, one_step = self._seconds.look, self._seconds.step
        if step <= _FIRST_LOOKS or step > steps - _LAST_LOOKS or cost is None or one_step is None:
            return True
        return self._looked + cost <= _LOOKING_SHARE * (self._sampled + one_step)


class StepPreviews:
    """Makes the plans of all runs of one engine, by its settings and by what earlier runs have shown.

    ``settings`` and ``is_watched`` are set by any thread, the rest is called by the one that computes.
    """

    def __init__(self, share: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._share = share
        self._clock = clock
        self._measured: OrderedDict[Hashable, Seconds] = OrderedDict()
        self._plan: PreviewPlan | None = None
        self._pictures = 1
        self.settings = PreviewSettings()
        self.is_watched = True

    def begin_run(self, params: SamplingParams, spec: LoadSpec) -> str:
        """Plan a run; returns the mode of its previews: that of the settings, or a cheaper one."""
        settings, self._pictures = self.settings, params.picture_count
        mode: str = settings.mode if settings.enabled else "none"
        alike = (spec.key, params.width, params.height, params.frame_count if isinstance(params, VideoParams) else 1)
        if mode in _DECODED:
            # Without a tiny autoencoder the library runs the whole VAE at every step: a preview must not cost more than
            # the picture. And where there is no time for a single one, a coarse one is more than none.
            affordable = self._share >= 1 or self._seconds(mode, *alike).allow_one(
                self._share, params.steps * self._pictures
            )
            if "taesd" not in spec.components or not affordable:
                mode = "proj"
        self._plan = PreviewPlan(
            self._share,
            settings.interval,
            self._seconds(mode, *alike),
            is_decoded=mode in _DECODED,
            clock=self._clock,
        )
        return mode

    def begin_step(self, step: int, steps: int) -> bool:
        """As `PreviewPlan.begin_step`."""
        plan = self._plan
        return plan is not None and plan.begin_step(step, steps, self._pictures, is_watched=self.is_watched)

    def begin_decoding(self) -> None:
        """As `PreviewPlan.begin_decoding`."""
        if self._plan is not None:
            self._plan.begin_decoding()

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """Around what is done with every preview."""
        began = self._clock()
        yield
        if self._plan is not None:
            self._plan.end_look(self._clock() - began)

    def show(self, report: Callable[[], bool | None]) -> None:
        """Have ``report`` show a preview that is to be shown; it says whether it did. While nobody watches, it gets
        every one, to have one for whoever comes."""
        plan = self._plan
        if plan is None or not (plan.shows or not self.is_watched):
            return
        began = self._clock()
        if report():
            plan.end_show(self._clock() - began)

    def _seconds(self, *alike: Hashable) -> Seconds:
        seconds = self._measured.setdefault(alike, Seconds())
        self._measured.move_to_end(alike)
        if len(self._measured) > _MOST_REMEMBERED:
            self._measured.popitem(last=False)
        return seconds
