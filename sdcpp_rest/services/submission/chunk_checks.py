"""Refuses prompts that the text encoders of a model would read in different numbers of chunks.

The library reads as many chunks with each encoder as the longest prompt has, past the end of the shorter ones: with SD3
that ends its process.
"""

from __future__ import annotations

from sdcpp_rest.core.architectures import architecture_named
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.core.tokenizing.encoders import TokenCount
from sdcpp_rest.errors import InvalidRequest, NotSupported
from sdcpp_rest.services.submission.token_counts import TokenCounts

_FAMILY = "sd3"


class ChunkChecks:
    """Checks prompts of the family whose encoders are read side by side."""

    def __init__(self, counts: TokenCounts) -> None:
        self._counts = counts

    def check(self, params: ImageParams, spec: LoadSpec) -> None:
        """Raises InvalidRequest naming the prompt. Where tokens cannot be counted, nothing is refused."""
        family = architecture_named(spec.architecture)
        if family is None or family.id != _FAMILY:
            return
        self._check("prompt", params.prompt, spec)
        if params.cfg_scale != 1:
            self._check("negative_prompt", params.negative_prompt, spec)

    def _check(self, field: str, prompt: str, spec: LoadSpec) -> None:
        try:
            counts = self._counts.count(field, prompt, spec)
        except NotSupported:
            return
        if len({one.chunks for one in counts}) > 1:
            shortest = min(one.encoder.chunk or 0 for one in counts)
            told = "; ".join(map(_describe, counts))
            raise InvalidRequest(
                f"{field} is read in parts by each text encoder, and their numbers must be the same: {told}. "
                f"{shortest} tokens or fewer for each are one part: shorten it, or load the model without t5xxl",
                field=field,
            )


def _describe(count: TokenCount) -> str:
    return f"{count.encoder.name} has {count.count} tokens in {count.chunks}"
