"""Draws requests with the binding's raw functions and nothing of ours: the reference of the bit-identity test.

usage: raw_reference.py FOLDER    reads FOLDER/requests.json, writes FOLDER/<n>.npy
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path

import numpy as np
import stable_diffusion_cpp.stable_diffusion_cpp as sd

import sdcpp_rest

DEMO = Path(sdcpp_rest.__file__).parent / "demo"


def main(folder: Path) -> None:
    library = sd._lib
    library.sd_ctx_params_init.argtypes = [ctypes.c_void_p]
    library.sd_img_gen_params_init.argtypes = [ctypes.c_void_p]
    library.str_to_sample_method.argtypes = library.str_to_scheduler.argtypes = [ctypes.c_char_p]
    context = sd.sd_ctx_params_t()
    library.sd_ctx_params_init(ctypes.byref(context))
    context.diffusion_model_path = bytes(DEMO / "diffusion_models" / "demo_dit_q8_0.gguf")
    context.llm_path = bytes(DEMO / "llm" / "demo_llm_q4_0.gguf")
    context.taesd_path = bytes(DEMO / "taesd" / "demo_tae.safetensors")
    context.n_threads = 1
    context.free_params_immediately = False
    loaded = sd.new_sd_ctx(ctypes.byref(context))
    assert loaded
    for index, request in enumerate(json.loads((folder / "requests.json").read_text())):
        params = sd.sd_img_gen_params_t()
        library.sd_img_gen_params_init(ctypes.byref(params))
        params.prompt = request["prompt"].encode()
        params.negative_prompt = b""
        params.width, params.height = request["width"], request["height"]
        params.seed = request["seed"]
        sample = params.sample_params
        sample.sample_steps = request["steps"]
        sample.eta = request["eta"]
        sample.guidance.txt_cfg = request["cfg_scale"]
        sample.sample_method = library.str_to_sample_method(request["sampler"].encode())
        sample.scheduler = library.str_to_scheduler(request["scheduler"].encode())
        image = sd.generate_image(loaded, ctypes.byref(params))[0]
        pixels = ctypes.string_at(image.data, image.width * image.height * image.channel)
        np.save(
            folder / f"{index}.npy", np.frombuffer(pixels, np.uint8).reshape(image.height, image.width, -1).astype(int)
        )


main(Path(sys.argv[1]))
