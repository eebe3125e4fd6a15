"""The whole recipe, from nothing to checked files."""

from __future__ import annotations

from tools.demo_model.steps import check, decoder, encoder, export, lora, text, transformer, upscaler
from tools.demo_model.workshop import Workshop

SHARES = {"text": 0.10, "decoder": 0.22, "transformer": 0.34, "second course": 0.28, "lora": 0.06}
"""Of the minutes, where minutes were asked for."""


def run(workshop: Workshop) -> None:
    def share(name: str, resume: bool = False) -> Workshop:
        minutes = None if workshop.minutes is None else workshop.minutes * SHARES[name]
        return workshop.asked_for(minutes=minutes, resume=resume)

    text.run(share("text"))
    encoder.run(workshop)
    decoder.run(share("decoder"))
    transformer.run(share("transformer"))
    transformer.run(share("second course", resume=True))
    lora.run(share("lora"))
    upscaler.run(workshop)
    export.run(workshop)
    check.run(workshop)
