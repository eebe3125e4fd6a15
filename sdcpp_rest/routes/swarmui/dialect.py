"""SwarmUI's dialect, whole: what `web.app` registers."""

from __future__ import annotations

from flask import Blueprint, Flask

from sdcpp_rest.config.auth_section import Scope
from sdcpp_rest.routes.http.dialect import Dialect
from sdcpp_rest.routes.swarmui.desk_views import swarmui_desk
from sdcpp_rest.routes.swarmui.errors import SWARM_ERROR
from sdcpp_rest.routes.swarmui.generation_socket import serve_generation
from sdcpp_rest.routes.swarmui.generation_views import swarmui_generation
from sdcpp_rest.routes.swarmui.history_views import swarmui_history
from sdcpp_rest.routes.swarmui.model_downloads import serve_download
from sdcpp_rest.routes.swarmui.model_loading import serve_select_model
from sdcpp_rest.routes.swarmui.model_views import swarmui_models
from sdcpp_rest.routes.swarmui.previews import swarmui_previews
from sdcpp_rest.routes.swarmui.sockets import Serve, http_only, socket_route, unknown_socket
from sdcpp_rest.routes.swarmui.user_views import swarmui_user
from sdcpp_rest.routes.swarmui.views import swarmui

_BLUEPRINTS = (
    swarmui,
    swarmui_generation,
    swarmui_history,
    swarmui_models,
    swarmui_previews,
    swarmui_user,
    swarmui_desk,
)


def _paths(*blueprints: Blueprint) -> frozenset[str]:
    """The paths below /API that have views, as they are spelled there."""
    app = Flask(__name__)
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    return frozenset(
        rule.rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/API/") and "<" not in rule.rule
    )


_HTTP = _paths(*_BLUEPRINTS)
_SOCKETS: dict[str, tuple[Scope, Serve]] = {
    "GenerateText2ImageWS": ("generate", serve_generation),
    "SelectModelWS": ("generate", serve_select_model),
    "DoModelDownloadWS": ("models", serve_download),
}

SWARMUI = Dialect(
    "swarmui",
    blueprints=_BLUEPRINTS,
    key_cookie="swarm_token",
    error_shapes=dict.fromkeys(("/API", "/View", "/Output", "/ViewSpecial", "/imgs"), SWARM_ERROR),
    sockets={
        **dict.fromkeys(sorted(_HTTP), http_only),
        **{f"/API/{route}": socket_route(route, scope, serve) for route, (scope, serve) in _SOCKETS.items()},
        "/API/": unknown_socket,
    },
    caseless=_HTTP | {f"/API/{route}" for route in _SOCKETS},
)
