"""Tells how the server stands, in SwarmUI's words: what a session's pictures are doing, and the one backend.

Knows what services report, and no request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdcpp_rest.services.server_status import ServerStatus
from sdcpp_rest.services.submission.picture_rounds import PictureRounds

FEATURES = ("gguf", "refiners", "controlnet", "video", "seamless")
"""What SwarmUI's page shows or hides parameters by. Without ``gguf`` it offers to install that, and draws nothing."""
BACKEND_ID = "0"
BACKEND_TYPE = "sdcpp_rest"


def owner_of(session_id: str) -> str:
    """Under which name the queue knows a session's jobs."""
    return f"swarm:{session_id}"


def is_of_user(owner: str | None) -> bool:
    """Whether a job is one of this dialect's only user, whatever the session."""
    return (owner or "").startswith("swarm:")


def current_status(session_id: str, rounds: PictureRounds, server: ServerStatus) -> dict[str, Any]:
    """The answer of GetCurrentStatus, and the status object of a WebSocket."""
    unfinished, live = rounds.count_pictures(owner_of(session_id))
    health = server.health()
    is_loading = bool(health["model_loading"])
    return {
        "status": {
            "waiting_gens": unfinished,
            "loading_models": int(is_loading),
            "waiting_backends": max(0, unfinished - live),
            "live_gens": live,
        },
        "backend_status": backend_status(health),
        "supported_features": list(FEATURES),
    }


def backend_status(health: Mapping[str, Any]) -> dict[str, Any]:
    """How the engine stands; the page shows ``message`` as it is, and asks again every two seconds while ``class`` is
    not empty."""
    state = str(health["engine"]["state"])
    if health["model_loading"]:
        return _standing("loading", "soft", f"Loading {health['loading_model_name']}")
    if state == "starting":
        return _standing("loading", "soft", "The engine is starting")
    if state in ("dead", "stopped"):
        return _standing("errored", "error", "The engine has ended, and is started again")
    return _standing("running", "", "")


def _standing(status: str, kind: str, message: str) -> dict[str, Any]:
    return {"status": status, "class": kind, "message": message, "any_loading": status == "loading"}


def list_backends(server: ServerStatus, last_used_seconds: float | None) -> dict[str, Any]:
    """The answer of ListBackends: the engine, as the one backend."""
    health = server.health()
    standing = backend_status(health)["status"]
    used = last_used_seconds
    return {
        BACKEND_ID: {
            "type": BACKEND_TYPE,
            "status": standing,
            "id": int(BACKEND_ID),
            "settings": {},
            "modcount": 0,
            "features": [*FEATURES, "comfyui"],
            "enabled": True,
            "title": "stable-diffusion.cpp",
            "can_load_models": True,
            "max_usages": 1,
            "current_model": health["model_name"],
            "seconds_since_used": used if used is not None else 0,
            "time_since_used": f"{used:.0f} seconds ago" if used is not None else "Never",
        }
    }


def server_resources(memory: Mapping[str, Any], cpu_percent: float, cores: int) -> dict[str, Any]:
    """The answer of GetServerResourceInfo."""
    system = memory["system"]
    total, free = system["total_bytes"], system["available_bytes"]
    gpus = [device for device in memory["devices"] if device["is_gpu"]]
    return {
        "cpu": {"usage": cpu_percent / 100, "cores": cores},
        "system_ram": {"total": total, "used": total - free, "free": free},
        "gpus": {
            str(index): {
                "id": index,
                "name": device["description"] or device["name"],
                "temperature": 0,
                "utilization_gpu": 0,
                "utilization_memory": 0,
                "total_memory": device["total_bytes"],
                "free_memory": device["free_bytes"],
                "used_memory": device["total_bytes"] - device["free_bytes"],
            }
            for index, device in enumerate(gpus)
        },
    }
