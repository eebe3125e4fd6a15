"""How the process was started: every setting with its default, its limits and its description; frozen once loaded.

Precedence: command line > environment (``SDCPP_REST__SERVER__PORT``) > TOML file > default. Knows no other room but
``errors``. What users change while the server runs is not here but in the settings store.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from sdcpp_rest.errors import SdcppRestError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

ENV_PREFIX = "SDCPP_REST__"
ENV_CONFIG_FILE = "SDCPP_REST_CONFIG"
CONFIG_FILE_NAME = "config.toml"

ModelType = Literal[
    "checkpoint", "diffusion", "vae", "lora", "clip", "t5", "controlnet", "llm", "esrgan", "taesd", "embedding"
]  # fmt: skip
TYPE_FOLDERS: Mapping[ModelType, str] = {
    "checkpoint": "checkpoints",
    "diffusion": "diffusion_models",
    "vae": "vae",
    "lora": "loras",
    "clip": "clip",
    "t5": "t5",
    "controlnet": "controlnet",
    "llm": "llm",
    "esrgan": "esrgan",
    "taesd": "taesd",
    "embedding": "embeddings",
}


class ConfigError(SdcppRestError):
    """A setting that cannot be used. One line per problem: the setting's full path, its value, what is allowed."""

    code = "invalid_config"


# --- values -----------------------------------------------------------------------------------------------------------


def _not_bool(value: Any) -> Any:
    if isinstance(value, bool):  # Python counts True as 1: a port of `true` would be port 1.
        raise ValueError("Input should be a number")
    return value


def _absolute(path: Path) -> Path:
    """Absolute without following symlinks: a link that is moved to a bigger disk later keeps working."""
    if not str(path).strip() or "\0" in str(path):
        raise ValueError("Input should be the path of a folder")
    try:
        return Path(os.path.abspath(path.expanduser()))
    except RuntimeError:
        raise ValueError("Input should be a path; the home folder meant by ~ is not known") from None


def _not_empty(value: Any) -> Any:
    # Path("") is Path("."): an empty setting would quietly become the current folder.
    if isinstance(value, str) and not value.strip():
        raise ValueError("Input should be the path of a folder")
    return value


def _folder_name(name: str) -> str:
    if not name.strip() or name in (".", "..") or any(character in name for character in "/\\\0"):
        raise ValueError("Input should be the name of a folder inside models_dir, without slashes")
    return name


def _host(host: str) -> str:
    host = host.strip().removeprefix("[").removesuffix("]")
    if not host or any(character in host for character in " /\t\n@") or host.count(":") == 1:
        raise ValueError("Input should be an address or a host name, without scheme and port")
    return host


def _api_key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if not text.rpartition(":")[2].strip() or text != text.strip():
        raise ValueError("Input should be a key, or user:key; not empty and without spaces around it")
    return key


Integer = Annotated[int, BeforeValidator(_not_bool)]
Number = Annotated[float, BeforeValidator(_not_bool)]
Port = Annotated[int, BeforeValidator(_not_bool), Field(ge=0, le=65535)]
Folder = Annotated[Path, BeforeValidator(_not_empty), AfterValidator(_absolute)]
FolderName = Annotated[str, AfterValidator(_folder_name)]
Host = Annotated[str, AfterValidator(_host)]
ApiKey = Annotated[SecretStr, AfterValidator(_api_key)]


def _checkout() -> Path | None:
    """The folder of the source tree this package runs from, or None when it was installed."""
    folder = Path(__file__).resolve().parent.parent
    return folder if (folder / "pyproject.toml").is_file() and (folder / "Makefile").is_file() else None


def _default_folder(in_checkout: str, installed: str) -> Path:
    checkout = _checkout()
    if checkout is not None:
        return checkout / in_checkout
    import platformdirs

    return platformdirs.user_data_path("sdcpp-rest", appauthor=False) / installed


# --- sections ---------------------------------------------------------------------------------------------------------


class Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True, protected_namespaces=()
    )


class ServerConfig(Section):
    """Where and how the server listens."""

    host: Host = Field(
        default="127.0.0.1",
        description="Address to listen on. One that others can reach needs auth.api_keys or allow_public_without_auth.",
    )
    port: Port = Field(default=8080, description="Port for HTTP, and for WebSockets under /ws. 0: a free one.")
    ws_port: Port = Field(default=8081, description="A second port, for clients that expect WebSockets apart. 0: none.")
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Host names, besides loopback and the bound address, under which the server may be called.",
        examples=[["pictures.example.org"]],
    )
    cors_origins: tuple[str, ...] = Field(
        default=(),
        description="Web origins, besides loopback, whose pages may call the server.",
        examples=[["https://pictures.example.org"]],
    )
    keep_alive_seconds: Integer = Field(
        default=75, ge=1, le=3600, description="How long an idle connection stays open."
    )
    blocking_threads: Integer = Field(
        default=128,
        ge=1,
        le=4096,
        description="Calls that may wait for a picture or a model at the same time; more get a 503.",
    )
    short_threads: Integer = Field(default=16, ge=1, le=1024, description="Threads for all calls that do not wait.")
    allow_public_without_auth: bool = Field(
        default=False, description="Listen on a public address without API keys: everyone who can reach it may use it."
    )

    @property
    def is_public(self) -> bool:
        """Whether ``host`` can be reached from other machines."""
        if self.host.lower() == "localhost":
            return False
        try:
            return not ipaddress.ip_address(self.host.partition("%")[0]).is_loopback
        except ValueError:
            return True

    @model_validator(mode="after")
    def _two_ports(self) -> ServerConfig:
        if self.ws_port and self.ws_port == self.port:
            raise ValueError(
                f"ws_port is {self.ws_port}, as is port: choose another one, or 0 for WebSockets under /ws of port only"
            )
        return self


class AuthConfig(Section):
    """Who may use the server."""

    api_keys: tuple[ApiKey, ...] = Field(
        default=(),
        description="Keys that callers must show, each a bare key or user:key. Empty: nobody is asked.",
        examples=[["a-long-random-key", "anna:another-long-random-key"]],
    )

    @property
    def is_on(self) -> bool:
        return bool(self.api_keys)


class PathsConfig(Section):
    """Folders. `~` is your home folder; a relative path starts at the config file, elsewhere at the current folder."""

    data_dir: Folder = Field(
        default_factory=lambda: _default_folder("data", "."),
        description="The database, input pictures and logs. Default: data/ of a checkout, else the user's data folder.",
        examples=["~/sdcpp-rest/data"],
    )
    models_dir: Folder = Field(
        default_factory=lambda: _default_folder("models", "models"),
        description="Model files, one sub-folder per type. Default: models/ of a checkout, or of the user's data "
        "folder.",
        examples=["~/sdcpp-rest/models"],
    )
    output_dir: Folder = Field(
        default_factory=lambda: _default_folder("output", "output"),
        description="Finished pictures. Default: output/ of a checkout, or of the user's data folder.",
        examples=["~/sdcpp-rest/output"],
    )
    log_dir: Folder = Field(
        default_factory=lambda fields: fields["data_dir"] / "logs",
        description="The server's and the engine's logs. Default: logs/ inside data_dir.",
        examples=["~/sdcpp-rest/logs"],
    )


class EngineConfig(Section):
    """The process that computes."""

    n_threads: Integer = Field(
        default=-1, ge=-1, le=1024, description="CPU threads; -1: as many as there are physical cores."
    )
    nice: Integer = Field(
        default=5,
        ge=0,
        le=19,
        description="POSIX niceness of the engine process: above 0, HTTP stays quick while it computes.",
    )
    start_timeout_seconds: Number = Field(
        default=60.0, gt=0, description="How long a new engine process may take to report."
    )
    cancel_timeout_seconds: Number = Field(
        default=30.0, gt=0, description="How long a cancelled job may go on before its engine process is ended."
    )
    stop_timeout_seconds: Number = Field(
        default=10.0,
        ge=0,
        description="How long a running job may finish when the server is stopped; then it is queued again.",
    )
    backoff_initial_seconds: Number = Field(
        default=0.2,
        ge=0,
        description="Pause before a crashed engine is started again; doubles with each crash in a row.",
    )
    backoff_max_seconds: Number = Field(default=30.0, ge=0, description="The longest such pause.")
    log_max_bytes: Integer = Field(
        default=10 * 1024 * 1024,
        ge=65_536,
        description="Size at which engine.log becomes engine.log.1 and a new one is begun.",
    )
    memory_interval_seconds: Number = Field(default=2.0, gt=0, description="How often the engine reports its memory.")
    runner: Literal["native", "fake"] = Field(
        default="native",
        description="What computes: native (the real library) or fake (test pictures, needs no library).",
    )

    @model_validator(mode="after")
    def _growing_pause(self) -> EngineConfig:
        if self.backoff_initial_seconds > self.backoff_max_seconds:
            raise ValueError(
                f"backoff_initial_seconds is {self.backoff_initial_seconds:g}, more than backoff_max_seconds "
                f"({self.backoff_max_seconds:g})"
            )
        return self


class ModelsConfig(Section):
    """Which models there are."""

    default: str = Field(
        default="",
        description="Model to select at the first start. Empty: the last one selected, else the bundled demo model.",
    )
    include_demo: bool = Field(default=True, description="Show the bundled demo model beside your own models.")
    type_folders: Mapping[ModelType, FolderName] = Field(
        default_factory=lambda: dict(TYPE_FOLDERS),
        description="The sub-folder of models_dir for each type of model; types that are left out keep their default.",
    )

    @field_validator("type_folders", mode="before")
    @classmethod
    def _fill_in(cls, folders: Any) -> Any:
        return {**TYPE_FOLDERS, **folders} if isinstance(folders, Mapping) else folders


class LimitsConfig(Section):
    """What one request may ask for; beyond it the answer is an error that names the limit."""

    steps: Integer = Field(default=10_000, ge=1, description="Sampling steps.")
    side: Integer = Field(default=4096, ge=64, description="Width and height, in pixels.")
    batch: Integer = Field(default=64, ge=1, description="Pictures per job.")
    pending_jobs: Integer = Field(default=1000, ge=1, description="Jobs waiting in the queue.")
    body_bytes: Integer = Field(default=64 * 1024 * 1024, ge=1024, description="Size of a request body.")
    prompt_characters: Integer = Field(
        default=16_000, ge=1, le=20_000, description="Length of a prompt. The library crashes somewhat above 20000."
    )
    pixel_steps: Integer = Field(
        default=200_000_000_000, ge=1, description="width x height x steps x batch of one job."
    )


class PreviewConfig(Section):
    """Pictures of a job while it is computed: the values a new database starts with."""

    enabled: bool = Field(default=True, description="Make previews.")
    mode: Literal["none", "proj", "tae", "vae"] = Field(
        default="proj", description="How: proj (fast, coarse), tae (needs a TAESD model), vae (slow, exact) or none."
    )
    interval: Integer = Field(default=1, ge=1, le=1000, description="A preview every so many steps.")
    max_size: Integer = Field(default=256, ge=16, le=4096, description="Longer side of a preview, in pixels.")
    quality: Integer = Field(default=75, ge=1, le=100, description="JPEG quality.")


class QueueConfig(Section):
    """The queue of jobs."""

    max_requeues: Integer = Field(
        default=2,
        ge=0,
        le=100,
        description="How often a job that was interrupted by a crash of the server is tried again.",
    )
    listed_finished: Integer = Field(
        default=200,
        ge=0,
        le=10_000,
        description="Finished jobs that a listing of the queue shows unless asked for more.",
    )


class HousekeepingConfig(Section):
    """What happens by itself when nobody asks for anything. All of it is off at 0."""

    unload_after_idle_minutes: Number = Field(
        default=0.0,
        ge=0,
        le=10_080,
        description="Free the model when it was not used for so long; the next job loads it.",
    )
    keep_jobs_days: Number = Field(
        default=0.0,
        ge=0,
        description="Remove finished jobs older than this, with their pictures. The newest one stays.",
    )
    keep_jobs_count: Integer = Field(
        default=0,
        ge=0,
        description="Remove the oldest finished jobs, with their pictures, when there are more than this.",
    )


class ApiConfig(Section):
    """How requests are read."""

    strict: bool = Field(
        default=False, description="Refuse unknown fields in native requests instead of warning of them."
    )


class EventsConfig(Section):
    """Events over WebSockets."""

    heartbeat_seconds: Number = Field(default=5.0, gt=0, description="How often server_status is sent.")


# --- the whole --------------------------------------------------------------------------------------------------------

_file_values: ContextVar[Mapping[str, Any] | None] = ContextVar("_file_values", default=None)


class Config(BaseSettings):
    """All settings. ``Config(...)`` takes given values, then the environment; ``load_config`` reads the file too."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        protected_namespaces=(),
    )

    server: ServerConfig = Field(default_factory=ServerConfig)
    auth: AuthConfig = Field(default_factory=AuthConfig)
    paths: PathsConfig = Field(default_factory=PathsConfig)
    engine: EngineConfig = Field(default_factory=EngineConfig)
    models: ModelsConfig = Field(default_factory=ModelsConfig)
    limits: LimitsConfig = Field(default_factory=LimitsConfig)
    preview: PreviewConfig = Field(default_factory=PreviewConfig)
    queue: QueueConfig = Field(default_factory=QueueConfig)
    housekeeping: HousekeepingConfig = Field(default_factory=HousekeepingConfig)
    api: ApiConfig = Field(default_factory=ApiConfig)
    events: EventsConfig = Field(default_factory=EventsConfig)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        from_file = InitSettingsSource(settings_cls, init_kwargs=dict(_file_values.get() or {}))
        return init_settings, env_settings, from_file

    @model_validator(mode="after")
    def _public_needs_keys(self) -> Config:
        if self.server.is_public and not self.auth.is_on and not self.server.allow_public_without_auth:
            raise ValueError(
                f"server.host is {self.server.host!r}, which other machines can reach, and auth.api_keys is empty: set "
                "auth.api_keys, or server.allow_public_without_auth = true (--allow-public-without-auth) if everyone "
                "who can reach this machine may use it"
            )
        return self

    @staticmethod
    def example_toml() -> str:
        """``config.example.toml``: every setting with its description, commented out at its default."""
        lines = [
            "# Settings of sdcpp-rest. Every line that is commented out shows the default, or an (example).",
            f"# Found by: --config FILE, the environment variable {ENV_CONFIG_FILE}, or {CONFIG_FILE_NAME} in the data",
            "# folder. Precedence: command line (--set server.port=9000), then environment variables",
            f"# ({ENV_PREFIX}SERVER__PORT=9000; lists as JSON), then this file, then the defaults.",
        ]
        for section, fields in _sections().items():
            lines += ["", "", *_comment(_doc(section)), f"[{section}]"]
            tables: list[str] = []
            for name, field in fields.items():
                value, is_example = _shown_value(field)
                comment = _comment((field.description or "") + (" (example)" if is_example else ""))
                if isinstance(value, dict):
                    tables += ["", *comment, f"# [{section}.{name}]"]
                    tables += [f"# {key} = {_toml(item)}" for key, item in value.items()]
                else:
                    lines += ["", *comment, f"# {name} = {_toml(value)}"]
            lines += tables
        return "\n".join(lines) + "\n"


def known_settings() -> dict[str, FieldInfo]:
    """Every setting by its full path (``server.port``), in the order of the documentation."""
    return {f"{section}.{name}": field for section, fields in _sections().items() for name, field in fields.items()}


def _sections() -> dict[str, dict[str, FieldInfo]]:
    return {name: _section_class(field).model_fields for name, field in Config.model_fields.items()}


def _section_class(field: FieldInfo) -> type[Section]:
    assert isinstance(field.annotation, type)
    assert issubclass(field.annotation, Section)
    return field.annotation


def _doc(section: str) -> str:
    return " ".join((_section_class(Config.model_fields[section]).__doc__ or "").split())


def _shown_value(field: FieldInfo) -> tuple[Any, bool]:
    """What the example file shows: the default, or an example where the default is empty or depends on the machine."""
    if field.examples:
        return field.examples[0], True
    return field.get_default(call_default_factory=True), False


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, 116)]


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)  # JSON's scalars and lists are TOML's


# --- loading ----------------------------------------------------------------------------------------------------------

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
        _assign(given, path.strip(), _parsed(path.strip(), value.strip()))
    for option, value in cli.items():
        if value is not None:
            _assign(given, _CLI_OPTIONS[option], value)
    _refuse_unknown_variables()

    file = _find_file(config_file, given)
    from_file = {} if file is None else _read_file(file)
    token = _file_values.set(from_file)
    try:
        return Config(**given)
    except ValidationError as error:
        # A default that is made from another setting is not made when that one is wrong: no problem of its own.
        details = [
            detail for detail in error.errors(include_url=False) if detail["type"] != "default_factory_not_called"
        ]
        problems = [_problem(detail, given, file, from_file) for detail in details]
        # "from None": pydantic's own text repeats the input, secrets included.
        raise ConfigError("\n".join(dict.fromkeys(problems))) from None
    except SettingsError:
        raise ConfigError(_unreadable_variable()) from None
    finally:
        _file_values.reset(token)


def _assign(tree: dict[str, Any], path: str, value: Any) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        branch = tree.setdefault(parent, {})
        if not isinstance(branch, dict):
            raise ConfigError(f"{path}: {parent} was already given a value that has no parts")
        tree = branch
    tree[name] = value


def _parsed(path: str, text: str) -> Any:
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
        return _absolute(named)
    paths = given.get("paths")
    data_dir = paths.get("data_dir") if isinstance(paths, Mapping) else None
    data_dir = data_dir or _variables().get("paths.data_dir") or _default_folder("data", ".")
    try:
        found = _absolute(Path(data_dir)) / CONFIG_FILE_NAME
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
            if isinstance(value, str) and value.strip() and not value.startswith("~"):
                paths[name] = str(file.parent / value)
    return values


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
