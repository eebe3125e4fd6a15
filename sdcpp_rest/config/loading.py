"""Reads the command line, the environment and a TOML file into a `Config`, or reports one sentence per problem.

Knows no setting by name: `config` and its sections do.
"""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import (
    BaseModel,
    ValidationError,
)
from pydantic_core import ErrorDetails
from pydantic_settings.exceptions import SettingsError

from sdcpp_rest.config.config import Config, file_values, known_settings
from sdcpp_rest.config.sections import (
    CONFIG_FILE_NAME,
    ENV_CONFIG_FILE,
    ENV_PREFIX,
    TYPE_FOLDERS,
    ConfigError,
    ModelType,
    absolute,
    default_folder,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

_CLI_OPTIONS: Mapping[str, str] = {
    "host": "server.host",
    "port": "server.port",
    "ws_port": "server.ws_port",
    "allow_public_without_auth": "server.allow_public_without_auth",
    "data_dir": "paths.data_dir",
    "models_dir": "paths.models_dir",
    "output_dir": "paths.output_dir",
    "log_dir": "paths.log_dir",
    "default_model": "models.default",
    "n_threads": "engine.n_threads",
    "runner": "engine.runner",
    "cluster": "cluster.address",
}


def load_config(config_file: Path | None = None, overrides: Sequence[str] = (), **cli: Any) -> Config:
    """The configuration of this process.

    Args:
        config_file: a TOML file, which must be there. Without it: the file named by ``SDCPP_REST_CONFIG`` (must be
            there too), else ``config.toml`` in the data folder (of the command line, the environment or the default)
            if there is one.
        overrides: ``section.name=value`` of ``--set``; the value as in TOML, and what is not TOML is a string.
        **cli: options of their own (``host``, ``port``, ``data_dir``, ...); they win over ``overrides``, None is unset.

    Raises ConfigError, which names every setting that is unknown or has a value that cannot be used.
    """
    given: dict[str, Any] = {}
    for override in overrides:
        path, equals, value = override.partition("=")
        if not equals or not path.strip():
            raise ConfigError(f"--set {override}: expected section.name=value, for example server.port=9000")
        _assign(given, path.strip(), _parse(path.strip(), value.strip()))
    for option, value in cli.items():
        if value is not None:
            _assign(given, _CLI_OPTIONS[option], value)
    _refuse_unknown_variables()

    file = _find_file(config_file, given)
    from_file = {} if file is None else _read_file(file)
    token = file_values.set(from_file)
    try:
        return Config(**given)
    except ValidationError as error:
        # A default that is made from another setting is not made when that one is wrong: no problem of its own.
        details = [
            detail for detail in error.errors(include_url=False) if detail["type"] != "default_factory_not_called"
        ]
        problems = [_problem(detail, given, file, from_file) for detail in _merge_branches(details)]
        # "from None": pydantic's own text repeats the input, secrets included.
        raise ConfigError("\n".join(dict.fromkeys(problems))) from None
    except SettingsError:
        raise ConfigError(_unreadable_variable()) from None
    finally:
        file_values.reset(token)


def _assign(tree: dict[str, Any], path: str, value: Any) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        branch = tree.setdefault(parent, {})
        if not isinstance(branch, dict):
            raise ConfigError(f"{path}: {parent} was already given a value that has no parts")
        tree = branch
    tree[name] = value


def _parse(path: str, text: str) -> Any:
    try:
        document = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    if list(document) != ["value"]:  # a line break inside: more than one value
        return text
    value = document["value"]
    field = known_settings().get(path)
    takes_text = field is not None and field.annotation in (str, Path)
    return text if takes_text and not isinstance(value, str) else value


def _find_file(config_file: Path | None, given: Mapping[str, Any]) -> Path | None:
    named = config_file or (Path(os.environ[ENV_CONFIG_FILE]) if os.environ.get(ENV_CONFIG_FILE) else None)
    if named is not None:
        return absolute(named)
    paths = given.get("paths")
    data_dir = paths.get("data_dir") if isinstance(paths, Mapping) else None
    data_dir = data_dir or _variables().get("paths.data_dir") or default_folder("data", ".")
    try:
        found = absolute(Path(data_dir)) / CONFIG_FILE_NAME
        return found if found.is_file() else None
    except (TypeError, ValueError, OSError):
        return None  # The data folder itself cannot be used: the validation that follows says so.


def _read_file(file: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"The config file {file} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"The config file {file} is not text in UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The config file {file} is not valid TOML: {error}.") from None
    paths = values.get("paths")
    if isinstance(paths, dict):
        for name, value in paths.items():
            if isinstance(value, list):
                paths[name] = [_beside(file, one) for one in value]
            else:
                paths[name] = _beside(file, value)
    return values


def _beside(file: Path, value: Any) -> Any:
    is_relative = isinstance(value, str) and value.strip() and not value.startswith("~")
    return str(file.parent / value) if is_relative else value


def _variables() -> dict[str, str]:
    """The environment variables with our prefix, by setting path."""
    found = ((name.upper(), value) for name, value in os.environ.items())
    return {
        name.removeprefix(ENV_PREFIX).lower().replace("__", "."): value
        for name, value in found
        if name.startswith(ENV_PREFIX)
    }


def _refuse_unknown_variables() -> None:
    """pydantic-settings ignores a variable whose first part is no section; a typo there would go unnoticed."""
    problems = [
        f"{path}: unknown setting{_nearest(path)} (environment variable {_variable(path)})"
        for path in _variables()
        if path.partition(".")[0] not in Config.model_fields
    ]
    if problems:
        raise ConfigError("\n".join(problems))


def _variable(path: str) -> str:
    return ENV_PREFIX + path.upper().replace(".", "__")


def _unreadable_variable() -> str:
    for path in _variables():
        field = known_settings().get(path)
        if path in Config.model_fields or (field is not None and get_origin(field.annotation) is not None):
            try:
                json.loads(_variables()[path])
            except ValueError:
                source = f" (environment variable {_variable(path)})"
                return f'{path}: lists and tables are written as JSON, for example ["a", "b"]{source}'
    return f"An environment variable that starts with {ENV_PREFIX} cannot be read."


def _merge_branches(details: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """One error for a setting that takes a word or a number and got neither: pydantic has one for each."""
    merged: list[ErrorDetails] = []
    for detail in details:
        loc = detail["loc"]
        if len(loc) == 3 and str(loc[2]).startswith(("literal[", "function-", "constrained-")):
            detail = {**detail, "loc": loc[:2]}
            if merged and merged[-1]["loc"] == loc[:2]:
                detail["msg"] = f"{merged.pop()['msg']} or {detail['msg'].removeprefix('Input should be ')}"
        merged.append(detail)
    return merged


def _problem(detail: ErrorDetails, given: Mapping[str, Any], file: Path | None, from_file: Mapping[str, Any]) -> str:
    loc = [str(part) for part in detail["loc"] if part != "[key]"]
    path = ".".join(loc)
    source = _source(loc, given, file, from_file)
    is_folder_type = loc[:2] == ["models", "type_folders"] and len(loc) == 3
    if detail["type"] == "extra_forbidden" or (is_folder_type and loc[2] not in TYPE_FOLDERS):
        return f"{path}: unknown setting{_nearest(path)}{source}"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    message = {"tuple_type": "should be a list", "dict_type": "should be a table"}.get(detail["type"], message)
    if detail["type"] in ("model_type", "model_attributes_type"):
        message = "should be a section with settings in it"
    if isinstance(detail["input"], Mapping | BaseModel):  # a check over several settings names them itself
        return f"{path}: {message}{source}" if path else message
    shown = "the value" if loc[:1] == ["auth"] else repr(detail["input"])
    return f"{path}: {shown} is not allowed; it {message}{source}"


def _source(loc: Sequence[str], given: Mapping[str, Any], file: Path | None, from_file: Mapping[str, Any]) -> str:
    if _contains(given, loc):
        return " (command line)"
    variables = _variables()
    for end in range(len(loc), 0, -1):
        if ".".join(loc[:end]) in variables:
            return f" (environment variable {_variable('.'.join(loc[:end]))})"
    return f" (in {file})" if _contains(from_file, loc) else ""


def _contains(tree: Any, loc: Iterable[str]) -> bool:
    for name in loc:
        if isinstance(tree, Mapping) and name in tree:
            tree = tree[name]
        else:
            return isinstance(tree, Sequence) and not isinstance(tree, str) and name.isdigit()
    return True


def _nearest(path: str) -> str:
    known = list(_known_names())
    name = path.rpartition(".")[2]
    same_name = [candidate for candidate in known if candidate.rpartition(".")[2] == name]
    close = difflib.get_close_matches(path, known, n=1, cutoff=0.6)
    close_name = [
        candidate
        for found in difflib.get_close_matches(name, [candidate.rpartition(".")[2] for candidate in known], n=1)
        for candidate in known
        if candidate.rpartition(".")[2] == found
    ]
    best = [*same_name, *close, *close_name]
    return f"; did you mean {best[0]}?" if best else ""


def _known_names() -> Iterator[str]:
    yield from Config.model_fields
    yield from known_settings()
    yield from (f"models.type_folders.{model_type}" for model_type in get_args(ModelType))
