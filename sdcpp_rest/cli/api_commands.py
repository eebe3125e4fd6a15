"""Implements ``sdcpp-rest routes`` and ``openapi``, which print the API's routes and its OpenAPI document.

Starts no server and no engine: the application is built only to be looked at.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from sdcpp_rest.cli.command_options import echo_json, json_option


@click.command()
@json_option
def routes(as_json: bool) -> None:
    """Print every route: method, URL, file:line."""
    from sdcpp_rest.web.app import create_app, route_table

    rows = route_table(create_app(None))
    if as_json:
        echo_json([asdict(row) for row in rows])
        return
    width = max(len(row.url) for row in rows)
    for row in rows:
        click.echo(f"{row.method:7} {row.url:{width}}  {row.file}:{row.line}")


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file instead of standard output.")
def openapi(output: Path | None) -> None:
    """Print the API's OpenAPI 3.1 document; no server is needed."""
    from sdcpp_rest.config import load_config
    from sdcpp_rest.routes.http.openapi import document
    from sdcpp_rest.runtime import VERSION
    from sdcpp_rest.web.app import create_app

    text = json.dumps(document(create_app(None), VERSION, load_config().limits), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
