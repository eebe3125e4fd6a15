"""Loads and unloads the upscaler beside the models of one engine.

Used by the lane's thread alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from sdcpp_rest.core.events import Event, UpscalerLoaded, UpscalerUnloaded
from sdcpp_rest.core.load_spec import UpscalerSpec
from sdcpp_rest.engine.client import EngineClient
from sdcpp_rest.engine.protocol import UpscalerReady
from sdcpp_rest.engine.supervisor import EngineSupervisor
from sdcpp_rest.errors import EngineDied, EngineOutOfMemory, LoadFailed, OutOfMemory, SdcppRestError
from sdcpp_rest.services.dispatch.engine_calls import UpscalerCall
from sdcpp_rest.services.dispatch.holding import Holding
from sdcpp_rest.services.dispatch.strikes import Strikes
from sdcpp_rest.services.dispatch.upscaler_slot import UpscalerSlot, check_upscaler
from sdcpp_rest.services.models.file_stamps import are_replaced, stamps_of

log = logging.getLogger(__name__)


class Around(Protocol):
    """What an upscaler's loads share with the models' of the same engine."""

    is_stopping: bool

    def engine(self) -> EngineClient: ...

    def note_loaded_into(self, client: EngineClient) -> None: ...

    def tell(self, event: Event) -> None: ...

    def count_death(self, key: str, error: SdcppRestError) -> None: ...


class UpscalerResidency:
    """Loads and unloads the upscaler of one engine."""

    def __init__(
        self,
        residency: Around,
        supervisor: EngineSupervisor,
        holding: Holding,
        strikes: Strikes,
        slot: UpscalerSlot,
        redact_paths: Callable[[str], str],
    ) -> None:
        self._residency = residency
        self._supervisor = supervisor
        self._holding = holding
        self._strikes = strikes
        self._slot = slot
        self._redact_paths = redact_paths

    def load(self, spec: UpscalerSpec) -> UpscalerReady:
        """Make ``spec`` the resident upscaler. Raises LoadFailed or EngineDied."""
        client, here = self._residency.engine(), self._holding
        if here.upscaler == spec and here.upscaler_ready is not None and not are_replaced(here.upscaler_stamps):
            return here.upscaler_ready
        key, name = spec.model_dump_json(), spec.model.name
        if self._strikes.is_out(key):
            raise LoadFailed(f"{name} is not loaded again by itself: it ended the engine process repeatedly")
        try:
            # The file may have been replaced since it was chosen.
            check_upscaler(spec.model)
        except SdcppRestError as error:
            raise LoadFailed(self._redact_paths(f"Failed to load upscaler: {name}: {error.message}")) from error
        stamps = stamps_of([spec.model.path])
        self.forget()
        try:
            ready = client.load_upscaler(spec)
        except (LoadFailed, OutOfMemory, EngineDied) as error:
            self._residency.count_death(key, error)
            message = self._redact_paths(f"Failed to load upscaler: {name}: {error.message}")
            raise failure_of_load(error)(message, **error.detail) from error
        self._supervisor.reset_backoff()
        self._strikes.forgive(key)
        self._residency.note_loaded_into(client)
        here.upscaler, here.upscaler_ready, here.upscaler_stamps = spec, ready, stamps
        self._residency.tell(UpscalerLoaded(model_name=name, upscale_factor=ready.factor))
        return ready

    def unload(self) -> None:
        """Take the upscaler out; a selected one is loaded again when a job needs it. Raises EngineDied."""
        client = self._supervisor.client
        if self.forget() and client is not None and client.alive:
            client.unload_upscaler()

    def forget(self) -> bool:
        previous = self._holding.upscaler
        self._holding.upscaler = self._holding.upscaler_ready = None
        if previous is not None:
            self._residency.tell(UpscalerUnloaded(model_name=previous.model.name))
        return previous is not None

    def answer(self, call: UpscalerCall) -> None:
        try:
            if call.spec is None:
                self.unload()
                call.answer.set_result(None)
            else:
                self._strikes.forgive(call.spec.model_dump_json())
                call.answer.set_result(self.load(call.spec))
        except SdcppRestError as error:
            is_its_fault = isinstance(error, (LoadFailed, OutOfMemory, EngineDied))
            if is_its_fault and call.spec is not None and not self._residency.is_stopping:
                self._slot.deselect(call.spec)
            call.answer.set_exception(error)
        except Exception as error:
            log.exception("an upscaler call failed")
            call.answer.set_exception(error)


def failure_of_load(error: SdcppRestError) -> type[SdcppRestError]:
    """The kind of error that whoever wanted the load gets. An engine that dies of a load it has no memory for does so
    again: that is no misfortune to try once more after."""
    return OutOfMemory if isinstance(error, EngineOutOfMemory) else type(error)
