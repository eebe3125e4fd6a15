"""Asks about the server itself: how it is, what it can do, its finished files, and what users choose in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from typing_extensions import Unpack

from sdcpp_rest.client.calls import Call
from sdcpp_rest.client.steps import Doing, Request, Saving
from sdcpp_rest.client.wire.engines import ClusterNodeShown, EnginesShown
from sdcpp_rest.client.wire.server import (
    Bootstrap,
    GenerationOptions,
    Health,
    Index,
    Listing,
    LoadOptions,
    LoggedIn,
    LoggedOut,
    LoginBody,
    Memory,
    Options,
    OutputQuery,
    Removed,
    SessionBody,
    SessionOpened,
    SessionShown,
    ThumbQuery,
)
from sdcpp_rest.client.wire.settings import (
    AllDefaultsBody,
    AllDefaultsChanged,
    AllDefaultsShown,
    AutoUnloadBody,
    AutoUnloadShown,
    BinRulesBody,
    BinRulesShown,
    DefaultsChanged,
    DefaultsShown,
    OutputBody,
    OutputShown,
    Preferences,
    PreferencesChanged,
    ResetBody,
    ResetDone,
)
from sdcpp_rest.client.wire.upkeep import (
    AuditQuery,
    AuditShown,
    DoctorShown,
    EngineLogQuery,
    EngineRestarting,
    LogQuery,
    LogShown,
)


class ServerCalls:
    """Asks about the server, and looks at its finished files by their paths below its output folder."""

    @Call
    def show_index(self) -> Request[Index]:
        """Tell the server's version, and where its pages are."""
        return Request(Index, "GET", "/")

    @Call
    def health(self) -> Request[Health]:
        """Ask how the server is. Without a key, where it wants one, it says ``status`` and no more."""
        return Request(Health, "GET", "/health")

    @Call
    def show_options(self) -> Request[Options]:
        """List samplers, schedulers and quantization types."""
        return Request(Options, "GET", "/options")

    @Call
    def describe_generation(self) -> Request[GenerationOptions]:
        """Describe every field of a generation request."""
        return Request(GenerationOptions, "GET", "/options/generation")

    @Call
    def describe_loading(self) -> Request[LoadOptions]:
        """Describe every option of loading a model."""
        return Request(LoadOptions, "GET", "/options/descriptions")

    @Call
    def show_doctor(self) -> Request[DoctorShown]:
        """Examine the server: its engine, what the native library makes of this machine, its folders."""
        return Request(DoctorShown, "GET", "/system/doctor", is_long=True)

    @Call
    def show_engine_log(self, **query: Unpack[EngineLogQuery]) -> Request[LogShown]:
        """Read the last lines of what the library and an engine say: the home one, or the one that is named."""
        return Request(LogShown, "GET", "/logs/engine", query=query)

    @Call
    def show_server_log(self, **query: Unpack[LogQuery]) -> Request[LogShown]:
        """Read the last lines of what the server says."""
        return Request(LogShown, "GET", "/logs/server", query=query)

    @Call
    def show_audit(self, **query: Unpack[AuditQuery]) -> Request[AuditShown]:
        """Read who changed models, settings and keys, the newest first."""
        return Request(AuditShown, "GET", "/audit", query=query)

    @Call
    def restart_engine(self, engine: str | None = None, *, force: bool | None = None) -> Request[EngineRestarting]:
        """End the engine's process and start another; of several engines all, or the one that is named. Conflict while
        a job runs there, unless ``force``: it begins anew."""
        body = {"force": force, "engine": engine}
        return Request(EngineRestarting, "POST", "/engine/restart", body=body, is_long=True)

    @Call
    def show_engines(self) -> Request[EnginesShown]:
        """Show the engines: where each works, what it holds, what it has done, and why it does nothing."""
        return Request(EnginesShown, "GET", "/engines")

    @Call
    def drain_node(self, name: str) -> Request[ClusterNodeShown]:
        """Drain a node of the cluster: its engines finish what they run, take nothing more, and leave."""
        return Request(ClusterNodeShown, "POST", "/engines/nodes/{name}/drain", {"name": name})

    @Call
    def resume_node(self, name: str) -> Request[ClusterNodeShown]:
        """Use a drained node of the cluster again."""
        return Request(ClusterNodeShown, "POST", "/engines/nodes/{name}/resume", {"name": name})

    @Call
    def show_memory(self) -> Request[Memory]:
        """Tell who holds how much memory."""
        return Request(Memory, "GET", "/memory")

    @Call
    def show_metrics(self) -> Request[str]:
        """Tell the server's figures, as Prometheus reads them."""
        return Request(str, "GET", "/metrics")

    @Call
    def openapi(self) -> Request[dict[str, Any]]:
        """Get the API's OpenAPI document."""
        return Request(dict[str, Any], "GET", "/openapi.json", is_long=True)

    @Call
    def read_page(self, name: str) -> Request[str]:
        """Get one of the project's pages, in Markdown."""
        return Request(str, "GET", "/docs/{name}.md", {"name": name})

    @Call
    def log_in(self, **fields: Unpack[LoginBody]) -> Request[LoggedIn]:
        """Get a token for a key; it is sent along by nobody but who is given it."""
        return Request(LoggedIn, "POST", "/auth/login", body=fields)

    @Call
    def log_out(self) -> Request[LoggedOut]:
        """End the login whose token is this client's key."""
        return Request(LoggedOut, "POST", "/auth/logout")

    @Call
    def show_session(self) -> Request[SessionShown]:
        """Tell whether the server asks for a key, and whether this client's opens it."""
        return Request(SessionShown, "GET", "/session")

    @Call
    def open_session(self, **fields: Unpack[SessionBody]) -> Request[SessionOpened]:
        """Have a browser's cookie made for a key. The client itself goes by its key, and keeps no cookie of it."""
        return Request(SessionOpened, "POST", "/session", body=fields)

    @Call
    def close_session(self) -> Request[SessionShown]:
        """End the login whose token is this client's key."""
        return Request(SessionShown, "DELETE", "/session")

    @Call
    def show_bootstrap(self) -> Request[Bootstrap]:
        """Tell all that a user interface needs to begin: state, jobs at work, options, models, settings."""
        return Request(Bootstrap, "GET", "/ui/bootstrap")

    @Call
    def list_outputs(self, path: str = "", **query: Unpack[OutputQuery]) -> Request[Listing]:
        """List a folder of finished files; empty: the whole output folder."""
        if not path:
            return Request(Listing, "GET", "/output", query=query)
        return Request(Listing, "GET", "/output/{path}", {"path": path}, query)

    @Call
    def read_output(self, path: str) -> Request[bytes]:
        """Get a finished file, such as one of a job's ``outputs``."""
        return Request(bytes, "GET", "/output/{path}", {"path": path})

    @Call
    def save_output(self, path: str, target: str | Path) -> Doing[Path]:
        """Save a finished file as ``target``, as it comes in; a folder: in there, under its own name."""
        place = Path(target)
        place = place / path.rpartition("/")[2] if place.is_dir() else place
        yield Saving(Request(bytes, "GET", "/output/{path}", {"path": path}), place)
        return place

    @Call
    def remove_output(self, path: str) -> Request[Removed]:
        """Remove a finished file or a folder; a job's folder takes the job with it."""
        return Request(Removed, "DELETE", "/output/{path}", {"path": path}, is_long=True)

    @Call
    def read_thumbnail(self, path: str, **query: Unpack[ThumbQuery]) -> Request[bytes]:
        """Get a small picture of a finished file."""
        return Request(bytes, "GET", "/thumb/{path}", {"path": path}, query)

    @Call
    def show_generation_defaults(self) -> Request[AllDefaultsShown]:
        """Show which defaults users have chosen for generation requests."""
        return Request(AllDefaultsShown, "GET", "/settings/generation")

    @Call
    def change_generation_defaults(self, **fields: Unpack[AllDefaultsBody]) -> Request[AllDefaultsChanged]:
        """Choose the defaults of several kinds of request."""
        return Request(AllDefaultsChanged, "PUT", "/settings/generation", body=fields)

    @Call
    def show_defaults_of_mode(self, mode: Literal["txt2img", "img2img", "txt2vid"]) -> Request[DefaultsShown]:
        """Show which defaults users have chosen for one kind of request."""
        return Request(DefaultsShown, "GET", "/settings/generation/{mode}", {"mode": mode})

    @Call
    def change_defaults_of_mode(
        self, mode: Literal["txt2img", "img2img", "txt2vid"], fields: Mapping[str, Any]
    ) -> Request[DefaultsChanged]:
        """Choose the defaults of one kind of request, instead of all that were chosen before."""
        return Request(DefaultsChanged, "PUT", "/settings/generation/{mode}", {"mode": mode}, body=fields)

    @Call
    def show_preferences(self) -> Request[Preferences]:
        """Show what user interfaces have stored here."""
        return Request(Preferences, "GET", "/settings/preferences")

    @Call
    def change_preferences(self, fields: Mapping[str, Any]) -> Request[PreferencesChanged]:
        """Store what a user interface wants to remember; a name whose value is ``None`` is removed."""
        return Request(PreferencesChanged, "PUT", "/settings/preferences", body=fields)

    @Call
    def show_output_settings(self) -> Request[OutputShown]:
        """Show how the folders of finished jobs are grouped."""
        return Request(OutputShown, "GET", "/settings/output")

    @Call
    def change_output_settings(self, **fields: Unpack[OutputBody]) -> Request[OutputShown]:
        """Choose how the folders of finished jobs are grouped."""
        return Request(OutputShown, "PUT", "/settings/output", body=fields)

    @Call
    def show_auto_unload(self) -> Request[AutoUnloadShown]:
        """Show when the model and the upscaler are freed because nobody uses them."""
        return Request(AutoUnloadShown, "GET", "/settings/auto-unload")

    @Call
    def change_auto_unload(self, **fields: Unpack[AutoUnloadBody]) -> Request[AutoUnloadShown]:
        """Choose when the model and the upscaler are freed because nobody uses them."""
        return Request(AutoUnloadShown, "PUT", "/settings/auto-unload", body=fields)

    @Call
    def show_recycle_bin_settings(self) -> Request[BinRulesShown]:
        """Show what becomes of deleted jobs."""
        return Request(BinRulesShown, "GET", "/settings/recycle-bin")

    @Call
    def change_recycle_bin_settings(self, **fields: Unpack[BinRulesBody]) -> Request[BinRulesShown]:
        """Choose what becomes of deleted jobs."""
        return Request(BinRulesShown, "PUT", "/settings/recycle-bin", body=fields)

    @Call
    def reset_settings(self, **fields: Unpack[ResetBody]) -> Request[ResetDone]:
        """Forget what users chose, in one section or in all."""
        return Request(ResetDone, "POST", "/settings/reset", body=fields)
