"""Draws pictures with the binding's bare ctypes functions and none of our code: what ours are compared with.

Run as a process: ``raw_binding.py CASES.json RESULTS.json``. A case names enum values as the C header does.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import sys
from pathlib import Path

import stable_diffusion_cpp.stable_diffusion_cpp as sd


def main(cases_path: str, results_path: str) -> None:
    work = json.loads(Path(cases_path).read_text())
    lib = sd._lib
    for name in ("sd_ctx_params_init", "sd_img_gen_params_init"):
        getattr(lib, name).restype = None

    params = sd.sd_ctx_params_t()
    lib.sd_ctx_params_init(ctypes.byref(params))
    for name, path in work["paths"].items():
        setattr(params, name, path.encode())
    params.vae_decode_only = False
    params.free_params_immediately = False
    params.n_threads = 1
    context = sd.new_sd_ctx(params)
    assert context, "the binding could not load the demo model"

    results = []
    for case in work["cases"]:
        request = sd.sd_img_gen_params_t()
        lib.sd_img_gen_params_init(ctypes.byref(request))
        request.prompt = case["prompt"].encode()
        request.negative_prompt = case["negative_prompt"].encode()
        request.width, request.height = case["width"], case["height"]
        request.seed = case["seed"]
        request.batch_count = case["batch_count"]
        request.sample_params.sample_steps = case["steps"]
        request.sample_params.guidance.txt_cfg = case["cfg"]
        request.sample_params.sample_method = sd.SampleMethod[case["sampler"] + "_SAMPLE_METHOD"]
        request.sample_params.scheduler = sd.Scheduler[case["scheduler"] + "_SCHEDULER"]
        images = sd.generate_image(context, ctypes.byref(request))
        assert images, f"the binding could not draw {case}"
        whole = hashlib.sha256()
        for index in range(case["batch_count"]):
            image = images[index]
            whole.update(f"{image.width}x{image.height}x{image.channel}".encode())
            whole.update(ctypes.string_at(image.data, image.width * image.height * image.channel))
        results.append(whole.hexdigest())
    Path(results_path).write_text(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
