"""Configures Sphinx, which makes the documentation's site of the pages that the forge shows: `make site`.

The source folder is the repository, so that a link from one page to another, or to a file of the code, leads to the
same place in both. What a page must be is told by Sphinx itself, whose warnings are errors here: a link that leads
nowhere, a heading that is gone, a page that no list below has.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]

# The site's table of contents: every page is in it once. A name that ends in * may have no page (yet).
NAV: dict[str, tuple[str, ...]] = {
    "First steps": (
        "README",
        "docs/install*",
        "docs/models-by-memory",
        "docs/low-memory",
        "docs/recipes",
        "docs/errors",
        "docs/troubleshooting",
    ),
    "Drawing": (
        "docs/webui",
        "docs/prompt-language",
        "docs/jobs",
        "docs/gallery",
        "docs/metadata",
        "docs/estimates",
        "docs/events",
    ),
    "Models": ("docs/model-files", "docs/conversion", "docs/model-cards", "models/README", "sdcpp_rest/demo/README"),
    "Programs that draw here": (
        "docs/dialects/sdcpp_restapi",
        "docs/dialects/openai",
        "docs/dialects/a1111",
        "docs/dialects/swarmui",
        "docs/dialects/comfyui",
        "docs/dialects/mcp",
        "docs/dialects/ollama",
        "docs/dialects/sdserver",
        "docs/dialects/sdcn",
        "docs/client",
        "docs/cli",
        "docs/urls",
        "examples/README",
    ),
    "Machines": (
        "docs/native",
        "docs/gpu",
        "docs/vulkan",
        "docs/cpu",
        "docs/engines",
        "docs/cluster",
    ),
    "Running a server": (
        "docs/config",
        "docs/deploy",
        "docs/containers",
        "docs/access*",
        "docs/reliability",
        "SECURITY",
    ),
    "Measured": ("docs/performance", "docs/gpu-figures", "docs/tried", "benchmarks/README", "tests/faults/README"),
    "Making it": (
        "CONTRIBUTING",
        "docs/architecture",
        "docs/engine-protocol",
        "docs/decisions",
        "docs/release*",
        "tools/synthetic_models/README",
        "tools/demo_model/README",
        "native_package/README",
        "tests/releases/README",
        "CHANGELOG",
    ),
}

# Where a page's own heading would say too little in the contents.
TITLES = {
    "README": "README",
    "models/README": "The folder of models",
    "benchmarks/README": "The benchmarks",
    "native_package/README": "The compiled engine's package",
}

project = "sdcpp-rest"
html_title = "sdcpp-rest"
language = "en"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "docs/index"
include_patterns = ["docs/**", *(f"{name}.md" for names in NAV.values() for name in names)]
exclude_patterns = ["docs/pictures", "docs/site", ".*", "build", "node_modules", "webui", "data", "output"]

myst_heading_anchors = 6  # the forge's names of headings
suppress_warnings = ["misc.highlighting_failure"]  # JSON with dots in it

html_theme = "furo"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = html_show_copyright = False
html_use_index = False
html_domain_indices = False
html_theme_options = {"top_of_page_buttons": []}
# The pages lie beside each other as in the repository; whoever opens the folder itself is led to the first one.
html_additional_pages = {"index": "to_the_start.html"}
templates_path = ["."]


def add_contents(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put the table of contents behind the first page, which as a page of the forge has none."""
    if docname == root_doc:
        for caption, names in NAV.items():
            there = [name for name in names if not name.endswith("*") or any(ROOT.glob(f"{name}.md"))]
            pages = "\n".join(f"{TITLES[name]} </{name}>" if name in TITLES else f"/{name}" for name in there)
            source[0] += f"\n\n```{{toctree}}\n:hidden:\n:glob:\n:caption: {caption}\n\n{pages}\n```\n"


def setup(app: Sphinx) -> None:
    """Sphinx calls it."""
    app.connect("source-read", add_contents)
