"""Draw a picture with OpenAI's own Python client: only its `base_url` is another one.

Needs `openai`. usage: python openai_client.py "a red circle on a blue background" circle.png
"""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path

from openai import OpenAI

prompt, target = sys.argv[1], Path(sys.argv[2] if len(sys.argv) > 2 else "picture.png")
url = os.environ.get("SDCPP_REST_URL", "http://127.0.0.1:8080")

# The client insists on a key; a server without keys takes any.
with OpenAI(base_url=f"{url}/v1", api_key=os.environ.get("SDCPP_REST_API_KEY", "none")) as client:
    made = client.images.generate(
        model="selected",  # no model of that name: the one that is selected on the server
        prompt=prompt,
        response_format="b64_json",
        # What OpenAI's API has no word for: steps, seed, cfg_scale, negative_prompt, sampler, loras.
        extra_body={"steps": int(os.environ["STEPS"])} if "STEPS" in os.environ else {},
    )

assert made.data is not None
target.write_bytes(base64.b64decode(made.data[0].b64_json or ""))
print(f"saved {target}")
