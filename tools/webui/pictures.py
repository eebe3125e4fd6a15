"""Takes the documentation's pictures of the page with a browser before a real server, and makes them small.

Needs Node, Chromium and Pillow; docs/pictures is written only when all pictures could be taken.
"""

from __future__ import annotations

from pathlib import Path

from tools.webui.checks import browser_programs
from tools.webui.node import WEBUI, Log, PageError, require_node
from tools.webui.page import build, install_packages

PICTURES = WEBUI.parent / "docs" / "pictures"
PAGES = ("generate", "queue", "gallery", "models", "settings")
LOOKS = ("light", "dark", "phone")
MOST_BYTES = 1_000_000
_COLOURS = 256


def take_pictures(log: Log = print) -> None:
    """Write ``docs/pictures`` anew. Raises PageError, also where they would be larger than ``MOST_BYTES`` together."""
    node = require_node(log)
    install_packages(node, log, for_tests=True)
    build(log)
    programs = browser_programs()
    if programs is None:
        raise PageError("there is no Chromium to take pictures with (apt-get install chromium)")
    if node.run("node_modules/@playwright/test/cli.js", "test", "--config", "pictures.config.ts", **programs) != 0:
        raise PageError("the page could not be photographed")
    taken = WEBUI / "test-results" / "screens"
    names = [f"{page}-{look}.png" for page in PAGES for look in LOOKS]
    small = {name: shrink(taken / f"docs-{name}") for name in names}
    if (size := sum(map(len, small.values()))) > MOST_BYTES:
        raise PageError(f"the pictures take {size} bytes, more than {MOST_BYTES}")
    PICTURES.mkdir(exist_ok=True)
    for name, content in small.items():
        (PICTURES / name).write_bytes(content)
    log(f"docs/pictures: {len(small)} pictures, {size} bytes")


def shrink(path: Path) -> bytes:
    """The picture as a PNG with a palette: a page has few colours."""
    import io

    from PIL import Image

    with Image.open(path) as picture:
        reduced = picture.convert("RGB").quantize(_COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    file = io.BytesIO()
    reduced.save(file, "PNG", optimize=True)
    return file.getvalue()
