"""Draw a picture with webuiapi, a client of AUTOMATIC1111's API: only its `baseurl` is another one.

Needs `webuiapi`. usage: python webui_client.py "a red circle on a blue background" circle.png
"""

from __future__ import annotations

import os
import sys

import webuiapi

prompt, target = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "picture.png"
url = os.environ.get("SDCPP_REST_URL", "http://127.0.0.1:8080")

api = webuiapi.WebUIApi(
    baseurl=f"{url}/sdapi/v1",
    # This dialect shows keys by HTTP Basic; for a key that was configured without a user any name will do.
    username="anyone",
    password=os.environ.get("SDCPP_REST_API_KEY"),
)

# The client fills in what is left out, and its own defaults are made for Stable Diffusion 1.5: 512x512, cfg_scale 7.
# These suit the demo model.
result = api.txt2img(
    prompt=prompt, width=64, height=64, cfg_scale=2.5, sampler_name="Euler", steps=int(os.environ.get("STEPS", "20"))
)
result.image.save(target)
print(f"saved {target} (seed {result.info['seed']})")
