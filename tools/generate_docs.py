"""Writes the pages that can be derived from the code: settings, URLs, command line, tables about model files, and the
client's words of the wire.

`make docs` runs it, a test compares.

usage: python tools/generate_docs.py [--check]
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
from pydantic import BaseModel

from sdcpp_rest import cli
from sdcpp_rest.config import Config, known_settings
from sdcpp_rest.routes.comfyui.nodes import NODES
from sdcpp_rest.routes.http.openapi import document
from sdcpp_rest.routes.mcp.tools import TOOLS
from sdcpp_rest.routes.swarmui.parameters import PARAMETERS
from sdcpp_rest.runtime import VERSION
from sdcpp_rest.web.access_table import access_table
from sdcpp_rest.web.app import create_app, route_table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # run as a script, it finds its own folder alone

from tools.client_wire import module_names, module_text  # noqa: E402
from tools.error_codes import fill_statuses  # noqa: E402
from tools.memory_pages import fill_memory_tables  # noqa: E402
from tools.model_tables.pages import fill_tables  # noqa: E402
from tools.performance_page import fill_results  # noqa: E402
from tools.reliability_page import fill_reliability  # noqa: E402
from tools.sbom import make_sbom  # noqa: E402

_FIELDS = re.compile(r"(<!-- fields: ([\w. -]+?) -->)\n.*?(<!-- end -->)", re.DOTALL)
_ROOMS = re.compile(r"(<!-- rooms -->)\n.*?(<!-- end -->)", re.DOTALL)
_NOTE = "<!-- Made by `make docs`; edits are overwritten. -->\n"


def config_page() -> str:
    """Every setting: path, type, default, description."""
    lines = [
        "# Settings",
        "",
        _NOTE,
        "Command line (`--set server.port=9000`) over environment (`SDCPP_REST__SERVER__PORT=9000`, lists as JSON)",
        "over TOML file over default. [config.example.toml](../config.example.toml) has the same in TOML.",
    ]
    section = ""
    for path, field in known_settings().items():
        if path.partition(".")[0] != section:
            section = path.partition(".")[0]
            lines += ["", f"## {section}", "", "| setting | default | meaning |", "|---|---|---|"]
        default = field.get_default(call_default_factory=True) if not field.examples else f"e.g. {field.examples[0]}"
        shown = "" if default in ("", (), None) else f"`{default}`"
        lines.append(f"| `{path}` | {shown} | {_cell(field.description or '')} |")
    return "\n".join(lines) + "\n"


def urls_page() -> str:
    """Every route by room, with the summary that OpenAPI has for it."""
    app = create_app(None)
    paths = document(app, VERSION)["paths"]
    lines = [
        "# URLs",
        "",
        _NOTE,
        "`sdcpp-rest routes` prints the same with line numbers; `/docs` shows bodies and answers.",
    ]
    room = ""
    for row in sorted(route_table(app), key=lambda row: (row.file, row.url, row.method)):
        if row.file != room:
            room = row.file
            lines += ["", f"## {room}", "", "| method | URL | |", "|---|---|---|"]
        url = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", row.url)
        lines.append(f"| {row.method} | `{url}` | {_cell(paths[url][row.method.lower()]['summary'])} |")
    lines += ["", "## sdcpp_rest/web/asgi.py", "", "| | URL | |", "|---|---|---|"]
    lines.append("| WebSocket | `/`, `/ws` | The event stream, on both ports |")
    lines.append("| POST, GET, DELETE | `/mcp` | MCP for AI agents |")
    lines.append("| WebSocket | `/ws?clientId=…`, `/api/ws` | ComfyUI's messages |")
    return "\n".join(lines) + "\n"


def cli_page() -> str:
    """Every command's help, as the command line itself shows it."""
    lines = ["# Command line", "", _NOTE.rstrip()]
    whole = {"max_content_width": 100, "terminal_width": 100, **cli.main.context_settings}
    with click.Context(cli.main, info_name="sdcpp-rest", **whole) as root:
        for names, command in [((), cli.main), *_commands((), cli.main)]:
            # Below its group, from which a command has its options for help.
            context = root
            for name, group in zip(names, _below(cli.main, names), strict=True):
                context = click.Context(group, info_name=name, parent=context)
            title = " ".join(("sdcpp-rest", *names))
            lines += ["", f"## {title}", "", "```", command.get_help(context).rstrip(), "```"]
    return "\n".join(lines) + "\n"


def architecture_page() -> str:
    """The architecture page with its table of rooms made anew: what stands between ``<!-- rooms -->`` and ``<!-- end
    -->`` is the first sentence of each package."""
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    lines = ["| room | does | must not know |", "|---|---|---|"]
    lines += [f"| `{room}/` | {does} | {unknown} |" for room, (does, unknown) in rooms().items()]
    return _ROOMS.sub(lambda match: "\n".join([match[1], *lines, match[2]]), text)


def rooms() -> dict[str, tuple[str, str]]:
    """What each package is for and what it must not know, by its path below ``sdcpp_rest``.

    Raises ValueError for a package whose docstring does not say both.
    """
    found = {}
    package = ROOT / "sdcpp_rest"
    for path in sorted(package.rglob("__init__.py")):
        room = path.parent.relative_to(package).as_posix()
        if room == ".":
            continue
        said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        does, separator, unknown = _cell(said.partition("\n\n")[0]).removesuffix(".").partition("; must not know ")
        if not separator:
            raise ValueError(f"{path}: its first sentence must be 'does this; must not know that'")
        found[room] = does.replace("``", "`"), unknown.replace("``", "`")
    return found


def dialect_page(name: str) -> str:
    """A page of ``docs/dialects`` with its tables of fields made anew: what stands between ``<!-- fields: model -->``
    and ``<!-- end -->``. A model ``- another`` leaves out what that other has."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return _FIELDS.sub(lambda match: f"{match[1]}\n{_fields_table(match[2])}\n{match[3]}", text)


def swarm_page(name: str) -> str:
    """The page of SwarmUI's dialect with its table of parameters made anew."""
    text = (ROOT / name).read_text(encoding="utf-8")
    before, start, rest = text.partition("<!-- parameters -->\n")
    _, end, after = rest.partition("<!-- end -->")
    rows = ["| id | | default | |", "|---|---|---|---|"]
    for one in PARAMETERS:
        span = f"{one.least:g} to {one.most:g}" if one.kind in ("integer", "decimal") else one.kind
        default = f"`{one.default}`" if one.default else ""
        rows.append(f"| `{one.id}` | {span} | {default} | {_cell(one.description)} |")
    return before + start + "\n".join(rows) + "\n" + end + after


def client_page() -> str:
    """The client's page with its table of methods made anew."""
    # The client imports its words of the wire: new ones have to be there first.
    from tools.client_methods import methods_table

    text = (ROOT / "docs/client.md").read_text(encoding="utf-8")
    before, start, rest = text.partition("<!-- client methods -->\n")
    return before + start + methods_table() + "\n" + "".join(rest.partition("<!-- end -->")[1:])


def agents_page(name: str) -> str:
    """The page of MCP with its table of tools made anew."""
    text = (ROOT / name).read_text(encoding="utf-8")
    before, start, rest = text.partition("<!-- tools -->\n")
    _, end, after = rest.partition("<!-- end -->")
    rows = ["| tool | does | arguments | |", "|---|---|---|---|"]
    for tool in TOOLS:
        arguments = tool.describe()["inputSchema"]
        required = arguments.get("required", ())
        shown = [f"**`{one}`**" if one in required else f"`{one}`" for one in arguments["properties"]]
        hints = {"reads only": tool.is_read_only, "ends or replaces": tool.is_destructive, "may fetch": tool.is_open}
        told = ", ".join(hint for hint, holds in hints.items() if holds)
        rows.append(f"| `{tool.name}` | {_cell(tool.description)} | {', '.join(shown)} | {told} |")
    return before + start + "\n".join(rows) + "\n" + end + after


def comfy_page(name: str) -> str:
    """The page of ComfyUI's dialect with its table of node classes made anew."""
    text = (ROOT / name).read_text(encoding="utf-8")
    before, start, rest = text.partition("<!-- nodes -->\n")
    _, end, after = rest.partition("<!-- end -->")
    rows = ["| class | inputs | outputs | |", "|---|---|---|---|"]
    for one in NODES:
        inputs = ", ".join(f"`{each.name}`" if each.is_required else f"[`{each.name}`]" for each in one.inputs)
        outputs = ", ".join(one.outputs) or "shown"
        rows.append(f"| `{one.name}` | {inputs} | {outputs} | {_cell(one.description)} |")
    return before + start + "\n".join(rows) + "\n" + end + after


def access_page(name: str) -> str:
    """The page of who gets in with its tables of places made anew."""
    text = (ROOT / name).read_text(encoding="utf-8")
    before, start, rest = text.partition("<!-- access -->\n")
    _, end, after = rest.partition("<!-- end -->")
    lines: list[str] = []
    dialect = ""
    for row in access_table():
        if row.dialect != dialect:
            dialect = row.dialect
            lines += ["", f"### {dialect[0].upper()}{dialect[1:]}", "", "| | place | a key needs | without a key |"]
            lines.append("|---|---|---|---|")
        url = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", row.url)
        strangers = "" if row.strangers == "nothing" else row.strangers
        lines.append(f"| {row.method} | `{url}` | {row.scope} | {strangers} |")
    return before + start + "\n".join(lines[1:]) + "\n" + end + after


def tables_page(name: str) -> str:
    """A page with its tables about model files made anew."""
    return fill_tables((ROOT / name).read_text(encoding="utf-8"))


def errors_page() -> str:
    """The page of errors with their statuses made anew."""
    return fill_statuses((ROOT / "docs/errors.md").read_text(encoding="utf-8"))


def memory_page(name: str) -> str:
    """A page about memory with its tables made anew, of the bundles and the estimator."""
    return fill_memory_tables((ROOT / name).read_text(encoding="utf-8"))


def performance_page() -> str:
    """The page of what was measured, with its tables made anew."""
    return fill_results((ROOT / "docs/performance.md").read_text(encoding="utf-8"))


def reliability_page() -> str:
    """The page of what went wrong, with its tables made anew."""
    return fill_reliability((ROOT / "docs/reliability.md").read_text(encoding="utf-8"))


def _fields_table(wanted: str) -> str:
    model, *less = [_model(path) for path in wanted.split(" - ")]
    known = {name for one in less for name in one.model_fields}
    lines = ["| field | default | |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        if name not in known:
            default = field.get_default(call_default_factory=True) if not field.is_required() else None
            is_silent = default is None or isinstance(default, BaseModel)
            shown = "required" if field.is_required() else "" if is_silent else f"`{json.dumps(default)}`"
            lines.append(f"| `{name}` | {shown} | {_cell(field.description or '')} |")
    return "\n".join(lines)


def _model(path: str) -> type[BaseModel]:
    module, _, name = path.strip().rpartition(".")
    found: type[BaseModel] = getattr(importlib.import_module(module), name)
    return found


def _commands(names: tuple[str, ...], group: click.Group) -> list[tuple[tuple[str, ...], click.Command]]:
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name, command in sorted(group.commands.items()):
        found.append(((*names, name), command))
        if isinstance(command, click.Group):
            found += _commands((*names, name), command)
    return found


def _below(group: click.Group, names: tuple[str, ...]) -> list[click.Command]:
    found: list[click.Command] = []
    command: click.Command = group
    for name in names:
        assert isinstance(command, click.Group)
        command = command.commands[name]
        found.append(command)
    return found


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


PAGES: dict[str, Callable[[], str]] = {
    # First: the client, which a page below is made of, imports them.
    **{f"sdcpp_rest/client/wire/{name}.py": partial(module_text, name) for name in module_names()},
    "docs/config.md": config_page,
    "docs/urls.md": urls_page,
    "docs/access.md": partial(access_page, "docs/access.md"),
    "docs/cli.md": cli_page,
    "docs/architecture.md": architecture_page,
    "docs/dialects/ollama.md": partial(dialect_page, "docs/dialects/ollama.md"),
    "docs/client.md": client_page,
    "docs/dialects/mcp.md": partial(agents_page, "docs/dialects/mcp.md"),
    "docs/dialects/comfyui.md": partial(comfy_page, "docs/dialects/comfyui.md"),
    "docs/dialects/openai.md": partial(dialect_page, "docs/dialects/openai.md"),
    "docs/dialects/sdcn.md": partial(dialect_page, "docs/dialects/sdcn.md"),
    "docs/dialects/sdserver.md": partial(dialect_page, "docs/dialects/sdserver.md"),
    "docs/dialects/swarmui.md": partial(swarm_page, "docs/dialects/swarmui.md"),
    "docs/performance.md": performance_page,
    "docs/reliability.md": reliability_page,
    "docs/model-files.md": partial(tables_page, "docs/model-files.md"),
    "docs/troubleshooting.md": partial(tables_page, "docs/troubleshooting.md"),
    "docs/errors.md": errors_page,
    "docs/models-by-memory.md": partial(memory_page, "docs/models-by-memory.md"),
    "docs/low-memory.md": partial(memory_page, "docs/low-memory.md"),
    "config.example.toml": Config.example_toml,
    "sbom.cdx.json": make_sbom,
}


def stale_pages() -> list[str]:
    """Pages that do not say what the code says."""
    return [
        name
        for name, make in PAGES.items()
        if not (ROOT / name).is_file() or (ROOT / name).read_text(encoding="utf-8") != make()
    ]


def main() -> int:
    if "--check" in sys.argv:
        stale = stale_pages()
        for name in stale:
            print(f"{name} is out of date: run `make docs`")
        return 1 if stale else 0
    for name, make in PAGES.items():
        (ROOT / name).write_text(make(), encoding="utf-8")
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
