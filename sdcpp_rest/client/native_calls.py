"""Gathers everything that both kinds of client can be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdcpp_rest.client.calls import TellingCall
from sdcpp_rest.client.connection import Connection
from sdcpp_rest.client.gallery_calls import GalleryCalls
from sdcpp_rest.client.language_calls import LanguageCalls
from sdcpp_rest.client.model_calls import ModelCalls
from sdcpp_rest.client.picture_calls import PictureCalls
from sdcpp_rest.client.queue_calls import QueueCalls
from sdcpp_rest.client.server_calls import ServerCalls
from sdcpp_rest.client.steps import Telling
from sdcpp_rest.client.word_calls import WordCalls

if TYPE_CHECKING:
    from sdcpp_rest.core.events import Event


class NativeCalls(PictureCalls, GalleryCalls, QueueCalls, ModelCalls, LanguageCalls, WordCalls, ServerCalls):
    """Calls every route of the native API, and listens to its events."""

    def __init__(self, connection: Connection, reconnect_seconds: float) -> None:
        self.connection = connection
        self.reconnect_seconds = reconnect_seconds

    @TellingCall
    def events(self) -> Telling[Event]:
        """Iterate over all that happens, for ever.

        A stream that breaks is opened again, also when the server is started again; ends of jobs that came in between
        are told then. Other events of that time are lost. Raises ConnectionFailed when no server answers for
        ``reconnect_seconds``, NoEventStream where no WebSocket can be had.
        """
        from sdcpp_rest.client.following import Patience, follow_events
        from sdcpp_rest.client.watches import QueueWatch

        return follow_events(QueueWatch(), Patience(self.reconnect_seconds))
