"""Lists the samplers, schedulers and hires upscalers of the pinned library, by its own names and in its order.

Used where no engine has answered yet; a native test compares them with the library.
"""

from __future__ import annotations

SAMPLERS: tuple[str, ...] = (
    "euler", "euler_a", "heun", "dpm2", "dpm++2s_a", "dpm++2m", "dpm++2mv2", "ipndm", "ipndm_v", "lcm", "ddim_trailing",
    "tcd", "res_multistep", "res_2s", "er_sde",
)  # fmt: skip
SCHEDULERS: tuple[str, ...] = (
    "discrete", "karras", "exponential", "ays", "gits", "sgm_uniform", "simple", "smoothstep", "kl_optimal", "lcm",
    "bong_tangent",
)  # fmt: skip
# With fewer steps the library reads in front of a table and is killed by a signal.
MINIMUM_STEPS: dict[str, int] = {"gits": 2}
HIRES_UPSCALERS: tuple[str, ...] = (
    "Latent", "Latent (nearest)", "Latent (nearest-exact)", "Latent (antialiased)", "Latent (bicubic)",
    "Latent (bicubic antialiased)", "Lanczos", "Nearest", "Model",
)  # fmt: skip
"""``Model`` is an ESRGAN file, which is named besides. The library's ``None`` is left out: it is no hires fix."""
