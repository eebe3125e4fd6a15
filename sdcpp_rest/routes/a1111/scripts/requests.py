"""Changes requests before scripts have them translated: draws their seeds once, and bounds their number.

Pure but for the dice. Knows no single script.
"""

from __future__ import annotations

from typing import Any, TypeVar

from sdcpp_rest.routes.a1111.scripts.arguments import refusal
from sdcpp_rest.routes.a1111.scripts.script import ScriptTools
from sdcpp_rest.routes.a1111.wire import A1111Img2Img, A1111Request
from sdcpp_rest.services.jobs.chance import draw_below

B = TypeVar("B", bound=A1111Request)

MOST_SEEDS = 4_294_967_294
"""Seeds that are left to chance are below this."""
_COUNTABLE = 1_000_000_000


def fix_seeds(body: B) -> B:
    """``body`` with seeds of its own where they were left to chance: all pictures of a script start from the same."""
    left = [name for name in ("seed", "subseed") if getattr(body, name) < 0]
    return body.model_copy(update={name: draw_below(MOST_SEEDS) for name in left})


def first_picture(body: A1111Request, number: int = 0) -> dict[str, Any]:
    """The fields of a request that starts from picture ``number`` of its several, in turn, alone."""
    if not isinstance(body, A1111Img2Img) or not body.init_images:
        return {}
    return {"init_images": [body.init_images[number % len(body.init_images)]]}


def check_count(title: str, count: int, tools: ScriptTools, shape: str) -> None:
    """Refuse a script that would draw more than one call may. ``shape`` says how it comes to that number. Raises
    Unreadable."""
    most = tools.most_pictures
    if count > most:
        wanted = str(count) if count <= _COUNTABLE else f"more than {_COUNTABLE}"
        bound = f"at most {most} pictures are drawn by one call (a1111.pictures)"
        raise refusal(None, f"{title} would draw {wanted} pictures ({shape}); {bound}")
