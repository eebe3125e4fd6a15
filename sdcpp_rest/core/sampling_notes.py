"""Describes each sampler and scheduler in one sentence, for people who choose one.

Keyed by the library's own names; which of them an engine offers is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping

SAMPLER_NOTES: Mapping[str, str] = {
    "euler": "First order, exact repeats; the safe choice for flow models (SD3, Flux, Qwen Image, Z-Image, Wan).",
    "euler_a": "Euler with fresh noise at every step: varied and soft; the picture changes with the number of steps.",
    "heun": "Second order: two model calls per step, so half as many steps do.",
    "dpm2": "Second-order DPM: two model calls per step.",
    "dpm++2s_a": "Single-step DPM++ with fresh noise at every step; two model calls per step.",
    "dpm++2m": "Multi-step DPM++: one model call per step, sharp at 20 to 30 steps.",
    "dpm++2mv2": "DPM++ 2M with a correction that is steadier at few steps.",
    "ipndm": "Multi-step Adams method of fourth order; good at few steps.",
    "ipndm_v": "The same for steps of unequal size.",
    "lcm": "For models or LoRAs distilled to consistency (LCM): 2 to 8 steps with cfg_scale 1 to 2.",
    "ddim_trailing": "DDIM on trailing timesteps; eta 0 repeats exactly, 1 adds noise as DDPM does.",
    "tcd": "For models or LoRAs distilled by trajectory consistency (TCD): 2 to 8 steps; eta sets its noise.",
    "res_multistep": "Exponential integrator over several steps; one model call per step.",
    "res_2s": "Exponential integrator with two model calls per step.",
    "er_sde": "Solver of the reverse equation with noise; rich detail, slightly different at every number of steps.",
}

SCHEDULER_NOTES: Mapping[str, str] = {
    "discrete": "The noise levels the model was trained on, evenly spaced; the usual choice.",
    "karras": "More of the steps at low noise: detail with few steps, for SD1, SD2 and SDXL.",
    "exponential": "Noise falls by the same factor at every step.",
    "ays": "Align Your Steps: levels optimised for about 10 steps with SD1, SDXL and SVD.",
    "gits": "Levels taken from a table of geometric trajectories; at least 2 steps.",
    "sgm_uniform": "Evenly spaced as in SGM, ending above zero; for Lightning and Turbo models.",
    "simple": "The trained levels at equal intervals, without a shift; plain and dependable for flow models.",
    "smoothstep": "Levels along an S-curve: more steps at both ends.",
    "kl_optimal": "Levels that keep the divergence between steps small.",
    "lcm": "The levels that LCM distillation was trained on; together with sampler lcm.",
    "bong_tangent": "Levels along two tangent curves; many at the end, for flow models.",
}
