"""Lists every class of nodes that works here, by its name."""

from __future__ import annotations

from sdcpp_rest.routes.comfyui.conditioning_nodes import CONDITIONING_NODES
from sdcpp_rest.routes.comfyui.latent_nodes import LATENT_NODES
from sdcpp_rest.routes.comfyui.loader_nodes import LOADER_NODES
from sdcpp_rest.routes.comfyui.picture_nodes import PICTURE_NODES
from sdcpp_rest.routes.comfyui.sampling_nodes import PRIMITIVE_NODES, SAMPLING_NODES

NODES = (
    *LOADER_NODES,
    *CONDITIONING_NODES,
    *LATENT_NODES,
    *SAMPLING_NODES,
    *PICTURE_NODES,
    *PRIMITIVE_NODES,
)
BY_NAME = {one.name: one for one in NODES}
