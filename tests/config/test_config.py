"""Configuration: where values come from, what a mistake is told, and that secrets stay secret."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from sdcpp_rest.config import (
    ENV_PREFIX,
    TYPE_FOLDERS,
    Config,
    ConfigError,
    config,
    known_settings,
    load_config,
    loading,
    sections,
)
from sdcpp_rest.errors import SdcppRestError
from tests.cases import for_each_case

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no config.toml of the machine that runs the tests; a checkout in an empty folder."""
    for name in os.environ:
        if name.upper().startswith("SDCPP_REST_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(sections, "_checkout", lambda: tmp_path / "checkout")


def write(folder: Path, text: str, name: str = "some.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def complaint(*args: object, **kwargs: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(*args, **kwargs)  # type: ignore[arg-type]
    assert isinstance(caught.value, SdcppRestError)
    return caught.value.message


# --- defaults ---------------------------------------------------------------------------------------------------------


def test_the_defaults_are_the_documented_ones(tmp_path: Path) -> None:
    config = load_config()
    assert (config.server.host, config.server.port, config.server.ws_port) == ("127.0.0.1", 8080, 8081)
    assert config.limits.model_dump() == {
        "steps": 10_000, "side": 4096, "upscaled_side": 16_384, "batch": 64, "video_frames": 1000,
        "video_pixels": 2_000_000_000, "pending_jobs": 1000,
        "body_bytes": 67_108_864, "upload_bytes": 68_719_476_736, "prompt_characters": 16_000,
        "pixel_steps": 200_000_000_000,
    }  # fmt: skip
    assert config.models.type_folders == TYPE_FOLDERS
    assert len(TYPE_FOLDERS) == 11
    assert not config.auth.is_on
    assert not config.server.is_public
    assert not config.api.strict


def test_a_checkout_keeps_everything_inside(tmp_path: Path) -> None:
    paths = load_config().paths
    checkout = tmp_path / "checkout"
    assert (paths.data_dir, paths.models_dir, paths.output_dir, paths.log_dir) == (
        checkout / "data", checkout / "models", checkout / "output", checkout / "data" / "logs",
    )  # fmt: skip


def test_an_installed_copy_uses_the_users_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections, "_checkout", lambda: None)
    paths = load_config().paths
    assert "sdcpp-rest" in paths.data_dir.parts
    assert (paths.models_dir, paths.output_dir) == (paths.data_dir / "models", paths.data_dir / "output")


def test_logs_follow_the_data_folder(tmp_path: Path) -> None:
    assert load_config(data_dir=tmp_path / "d").paths.log_dir == tmp_path / "d" / "logs"


def test_config_is_frozen() -> None:
    config = load_config()
    with pytest.raises(ValidationError):
        config.server.port = 1
    with pytest.raises(ValidationError):
        config.server = config.server


def test_every_setting_and_section_is_described() -> None:
    settings = known_settings()
    assert len(settings) > 40
    assert [path for path, field in settings.items() if not (field.description or "").endswith(".")] == []
    assert all(field.annotation.__doc__ for field in Config.model_fields.values() if field.annotation)


# --- precedence -------------------------------------------------------------------------------------------------------


def test_each_source_wins_over_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, "[server]\nport = 1001\nws_port = 2001\nkeep_alive_seconds = 10\nshort_threads = 3\n")
    monkeypatch.setenv("SDCPP_REST__SERVER__PORT", "1002")
    monkeypatch.setenv("SDCPP_REST__SERVER__WS_PORT", "2002")
    monkeypatch.setenv("SDCPP_REST__SERVER__KEEP_ALIVE_SECONDS", "20")
    server = load_config(file, ["server.port=1003", "server.ws_port=2003"], port=1004).server
    assert (server.port, server.ws_port, server.keep_alive_seconds, server.short_threads) == (1004, 2003, 20, 3)
    assert server.blocking_threads == 128


def test_options_that_are_none_are_not_given() -> None:
    assert load_config(host=None, port=None, data_dir=None).server.port == 8080


def test_the_config_file_is_found_by_option_then_variable_then_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "data", "server.port = 1", "config.toml")
    assert load_config(data_dir=tmp_path / "data").server.port == 1
    assert load_config(None, [f"paths.data_dir={tmp_path / 'data'}"]).server.port == 1
    monkeypatch.setenv("SDCPP_REST__PATHS__DATA_DIR", str(tmp_path / "data"))
    assert load_config().server.port == 1
    monkeypatch.setenv("SDCPP_REST_CONFIG", str(write(tmp_path, "server.port = 2", "two.toml")))
    assert load_config().server.port == 2
    assert load_config(write(tmp_path, "server.port = 3", "three.toml")).server.port == 3


def test_the_config_file_of_the_default_data_folder_is_read(tmp_path: Path) -> None:
    write(tmp_path / "checkout" / "data", "server.port = 7", "config.toml")
    assert load_config().server.port == 7


def test_one_load_does_not_leak_its_file_into_the_next(tmp_path: Path) -> None:
    load_config(write(tmp_path, "server.port = 1"))
    assert load_config().server.port == 8080
    complaint(write(tmp_path, "server.port = 'x'"))
    assert load_config().server.port == 8080


# --- values -----------------------------------------------------------------------------------------------------------


@for_each_case(
    ("override", "path", "expected"),
    [
        ("server.port=9000", "server.port", 9000),
        ("server.host=localhost", "server.host", "localhost"),
        ("server.host='::1'", "server.host", "::1"),
        ("api.strict=true", "api.strict", True),
        ('server.allowed_hosts=["a", "b"]', "server.allowed_hosts", ("a", "b")),
        ("models.default=1e3", "models.default", "1e3"),
        ("models.default=a=b c", "models.default", "a=b c"),
        ("models.default=", "models.default", ""),
        ("models.default=1\nother = 2", "models.default", "1\nother = 2"),
        ("engine.backoff_max_seconds=60", "engine.backoff_max_seconds", 60.0),
        ("models.type_folders.vae=VAEs", "models.type_folders", {**TYPE_FOLDERS, "vae": "VAEs"}),
    ],
)
def test_values_of_set_are_toml_or_else_text(override: str, path: str, expected: object) -> None:
    section, name = path.split(".")
    assert getattr(getattr(load_config(None, [override]), section), name) == expected


def test_lists_and_single_folders_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDCPP_REST__SERVER__CORS_ORIGINS", '["https://a.example"]')
    monkeypatch.setenv("SDCPP_REST__MODELS__TYPE_FOLDERS__LORA", "my_loras")
    config = load_config()
    assert config.server.cors_origins == ("https://a.example",)
    assert config.models.type_folders == {**TYPE_FOLDERS, "lora": "my_loras"}


def test_model_folders_of_other_programs_are_a_list_of_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    file = write(tmp_path / "etc", "[paths]\nextra_model_dirs = ['../comfy', '~/webui', '/x/extra.yaml']\n")
    assert load_config(file).paths.extra_model_dirs == (
        tmp_path / "comfy", tmp_path / "home" / "webui", Path("/x/extra.yaml"),
    )  # fmt: skip
    one = load_config(overrides=[f"paths.extra_model_dirs={tmp_path / 'comfy'}"]).paths.extra_model_dirs
    assert one == (tmp_path / "comfy",)
    assert load_config().paths.extra_model_dirs == ()
    with pytest.raises(ConfigError, match=r"paths\.extra_model_dirs\.1: '' is not allowed; it should be the path"):
        load_config(overrides=["paths.extra_model_dirs=['/a', '']"])


def test_relative_paths_start_at_the_config_file_or_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    file = write(
        tmp_path / "etc", "[paths]\nmodels_dir = '../models'\noutput_dir = '~/output'\nlog_dir = '/var/log/x'\n"
    )
    paths = load_config(file, data_dir="here").paths
    assert paths.models_dir == tmp_path / "models"
    assert paths.output_dir == tmp_path / "home" / "output"
    assert paths.log_dir == Path("/var/log/x").absolute()
    assert paths.data_dir == tmp_path / "here"


# --- mistakes ---------------------------------------------------------------------------------------------------------


@for_each_case(
    ("override", "expected"),
    [
        ("server.prot=1", "server.prot: unknown setting; did you mean server.port?"),
        ("port=1", "port: unknown setting; did you mean server.port?"),
        ("limits.nice=1", "limits.nice: unknown setting; did you mean engine.nice?"),
        ("servr.port=1", "servr: unknown setting; did you mean server?"),
        (
            "models.type_folders.vea=x",
            "models.type_folders.vea: unknown setting; did you mean models.type_folders.vae?",
        ),
        ("server.qqqqqqq=1", "server.qqqqqqq: unknown setting"),
        ("server.port=x", "server.port: 'x' is not allowed; it should be a valid integer"),
        ("server.port=65536", "server.port: 65536 is not allowed; it should be less than or equal to 65535"),
        ("server.port=true", "server.port: True is not allowed; it should be a number"),
        ("server.port=80.5", "server.port: 80.5 is not allowed"),
        ("server=1", "server: 1 is not allowed; it should be a section with settings in it"),
        ("server.port.x=1", "server.port: should be a valid integer"),
        ("server.host=", "server.host: '' is not allowed; it should be an address or a host name"),
        ("server.host=0.0.0.0:80", "server.host: '0.0.0.0:80' is not allowed"),
        ("server.allowed_hosts=a", "server.allowed_hosts: 'a' is not allowed; it should be a list"),
        ("engine.runner=magic", "engine.runner: 'magic' is not allowed; it should be 'native' or 'fake'"),
        ("engine.cancel_timeout_seconds=nan", "engine.cancel_timeout_seconds: nan is not allowed"),
        ("engine.backoff_initial_seconds=31", "backoff_initial_seconds is 31, more than backoff_max_seconds (30)"),
        ("preview.quality=0", "preview.quality: 0 is not allowed; it should be greater than or equal to 1"),
        ("models.type_folders.vae=../x", "models.type_folders.vae: '../x' is not allowed"),
        ("models.type_folders=x", "models.type_folders: 'x' is not allowed; it should be a table"),
        ("paths.data_dir=", "paths.data_dir: '' is not allowed; it should be the path of a folder"),
        ("server.port", "--set server.port: expected section.name=value"),
        ("=1", "--set =1: expected section.name=value"),
    ],
)
def test_a_mistake_names_the_setting_the_value_and_what_is_allowed(override: str, expected: str) -> None:
    message = complaint(None, [override])
    assert expected in message
    assert "\n" not in message
    assert message.endswith(" (command line)") or message.startswith("--set ")


def test_a_mistake_in_a_file_names_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, "[server]\nprot = 1\n\n[limit]\nsteps = 1\n\n[preview]\nquality = 'high'\n")
    lines = complaint(file).splitlines()
    assert sorted(line.partition(":")[0] for line in lines) == ["limit", "preview.quality", "server.prot"]
    assert all(line.endswith(f" (in {file})") for line in lines)


@for_each_case(
    ("name", "value", "expected"),
    [
        ("SDCPP_REST__SERVER__PROT", "1", "server.prot: unknown setting; did you mean server.port?"),
        ("SDCPP_REST__SERVR__PORT", "1", "servr.port: unknown setting; did you mean server.port?"),
        ("SDCPP_REST__SERVER__PORT", "many", "server.port: 'many' is not allowed"),
        ("SDCPP_REST__SERVER__PORT", "", "server.port: '' is not allowed"),
        ("SDCPP_REST__SERVER__ALLOWED_HOSTS", "a,b", "server.allowed_hosts: lists and tables are written as JSON"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(name, value)
    message = complaint()
    assert expected in message
    assert name in message


@pytest.mark.parametrize("content", [b"[server\nport = 1", b"server.port = 1\nserver.port = 2", b"\xff\xfe\x00"])
def test_a_file_that_is_not_toml_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.toml").write_bytes(content)
    assert str(tmp_path / "bad.toml") in complaint(tmp_path / "bad.toml")


def test_a_named_file_that_is_missing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(tmp_path / "no.toml") in complaint(tmp_path / "no.toml")
    assert str(tmp_path) in complaint(tmp_path)
    monkeypatch.setenv("SDCPP_REST_CONFIG", str(tmp_path / "gone.toml"))
    assert str(tmp_path / "gone.toml") in complaint()


def test_two_sockets_cannot_share_a_port() -> None:
    assert "ws_port is 8081, as is port" in complaint(port=8081)
    assert load_config(port=0, ws_port=0).server.ws_port == 0


@for_each_case("host", ["0.0.0.0", "::", "192.168.1.5", "pictures.example.org", "[::]"])
def test_a_public_address_needs_keys_or_an_explicit_word(host: str) -> None:
    message = complaint(host=host)
    assert "auth.api_keys" in message
    assert "--allow-public-without-auth" in message
    assert load_config(host=host, allow_public_without_auth=True).server.is_public
    assert load_config(None, ['auth.api_keys=["k"]'], host=host).server.is_public


@for_each_case("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_a_loopback_address_needs_nothing(host: str) -> None:
    assert not load_config(host=host).server.is_public


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_keys_are_never_shown(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "auth.api_keys = ['opensesame', 'anna:opensesame']"))
    assert config.auth.is_on
    assert [key.get_secret_value() for key in config.auth.api_keys] == ["opensesame", "anna:opensesame"]
    for shown in (repr(config), str(config), config.model_dump_json(), str(config.model_dump()), repr(config.auth)):
        assert "opensesame" not in shown
    assert all(isinstance(key, SecretStr) for key in config.model_dump()["auth"]["api_keys"])


@for_each_case(
    "override",
    [
        'auth.api_keys=[" opensesame"]', "auth.api_keys=opensesame", 'auth.api_keys={a = "opensesame"}',
        'auth.api_keys=[["opensesame"]]', 'auth="opensesame"', 'auth.api_key="opensesame"', 'api_keys=["opensesame"]',
    ],
)  # fmt: skip
def test_a_mistake_about_keys_does_not_show_them(override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, [override])
    error: BaseException | None = caught.value
    assert "opensesame" not in str(error)
    assert error is not None
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_a_mistake_about_keys_in_the_environment_does_not_show_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDCPP_REST__AUTH__API_KEYS", "opensesame")
    assert "opensesame" not in complaint()


@for_each_case("key", ["", " ", "anna:", " k", "k\n"])
def test_an_empty_or_padded_key_is_refused(tmp_path: Path, key: str) -> None:
    assert "auth.api_keys.0" in complaint(write(tmp_path, f"auth.api_keys = [{config._toml(key)}]"))


# --- the example file -------------------------------------------------------------------------------------------------


def test_the_example_file_is_up_to_date() -> None:
    assert (ROOT / "config.example.toml").read_text(encoding="utf-8") == Config.example_toml()


def test_the_example_file_as_it_is_changes_nothing(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, Config.example_toml())) == load_config()


def test_the_example_file_shows_every_setting_at_its_true_default(tmp_path: Path) -> None:
    uncommented = re.sub(r"^# (?=\w+ = |\[)", "", Config.example_toml(), flags=re.MULTILINE)
    loaded, defaults = load_config(write(tmp_path, uncommented)), load_config()
    values = loading._read_file(tmp_path / "some.toml")
    for path, field in known_settings().items():
        section, name = path.split(".")
        assert name in values[section], path
        if not field.examples:
            assert getattr(getattr(loaded, section), name) == getattr(getattr(defaults, section), name), path


def test_variables_are_named_as_documented() -> None:
    assert ENV_PREFIX == "SDCPP_REST__"
    assert "SDCPP_REST__SERVER__PORT" in Config.example_toml()


@pytest.mark.slow
def test_importing_config_loads_nothing_heavy() -> None:
    code = "import sys, sdcpp_rest.config; print(sorted({m.partition('.')[0] for m in sys.modules}))"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "pydantic" in out
    for heavy in (
        "flask",
        "sqlalchemy",
        "numpy",
        "PIL",
        "uvicorn",
        "starlette",
        "stable_diffusion_cpp",
        "platformdirs",
    ):
        assert f"'{heavy}'" not in out


# --- a word or a number -----------------------------------------------------------------------------------------------


@for_each_case(("text", "value"), [("auto", "auto"), ("-1", -1), ("8", 8)])
def test_threads_are_a_number_or_auto(text: str, value: object) -> None:
    assert load_config(None, [f"engine.n_threads={text}"]).engine.n_threads == value
    assert load_config().engine.n_threads == "auto"


@for_each_case(
    ("text", "expected"),
    [
        ("many", "'many' is not allowed; it should be 'auto' or a valid integer, unable to parse string as an integer"),
        ("-2", "-2 is not allowed; it should be 'auto' or greater than or equal to -1"),
        ("1025", "1025 is not allowed; it should be 'auto' or less than or equal to 1024"),
    ],
)
def test_what_is_neither_is_refused_in_one_sentence(text: str, expected: str) -> None:
    assert complaint(None, [f"engine.n_threads={text}"]) == f"engine.n_threads: {expected} (command line)"
    assert complaint(None, [f"engine.keep_models={text}"]).count("\n") == 0


# --- the device of the one engine -------------------------------------------------------------------------------------


@for_each_case(
    ("given", "kept"),
    [("auto", "auto"), ("CPU", "cpu:0"), ("cuda", "cuda:0"), ("rocm:1", "hip:1"), ("2", "2"), ("vulkan:1", "vulkan:1")],
)
def test_the_device_of_the_one_engine_has_one_form(given: str, kept: str) -> None:
    assert load_config(overrides=[f"engine.device={given}"]).engine.device == kept


@for_each_case("given", ["cuda:x", "nvidia", "-1", "1.5", "true", "cuda:0,cuda:1", "none", "1234"])
def test_what_is_no_device_is_refused_in_words(given: str) -> None:
    told = complaint(overrides=[f"engine.device={given}"])
    assert told.startswith("engine.device")
    assert "\n" not in told


def test_devices_are_chosen_in_one_place(tmp_path: Path) -> None:
    told = complaint(overrides=["engine.device=1", "engines.devices=cuda:0,cuda:1"])
    assert "set one of them" in told
    assert "set one of them" in complaint(write(tmp_path, '[engine]\ndevice = "cpu"\n[engines]\ndevices = "none"\n'))
    assert load_config(write(tmp_path, "[engine]\ndevice = 1\n")).engine.device == "1"


def test_the_option_for_a_cluster_is_its_address() -> None:
    assert load_config(None, ["cluster.address=auto"], cluster="127.0.0.10:6379").cluster.address == "127.0.0.10:6379"
    with pytest.raises(ConfigError, match="neither auto nor HOST:PORT"):
        load_config(cluster="127.0.0.10")
