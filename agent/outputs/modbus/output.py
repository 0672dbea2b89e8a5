"""The Modbus output: shows states and results to a PLC, and takes its triggers."""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from agent.core.problems import Problems
from agent.core.records import Part
from agent.messages import Execute, InspectRequest, StatePayload
from agent.outputs.group_states import GroupStates
from agent.outputs.modbus.handshake import Handshake, Trigger
from agent.outputs.modbus.register_map import Rejection
from agent.outputs.modbus.server import ModbusServer
from agent.outputs.modbus.settings import MAX_UNITS, ModbusSettings
from agent.outputs.outbox import Outbox
from agent.outputs.settings import OutputSection
from agent.outputs.showing_output import ShowingOutput

log = logging.getLogger(__name__)


class ModbusOutput(ShowingOutput):
    """One Modbus TCP server with the registers of every camera."""

    def __init__(self, name: str, settings: ModbusSettings, *, site: str, outbox: Outbox, problems: Problems) -> None:
        super().__init__(name, outbox)
        self._settings = settings
        self._handshakes: dict[str, Handshake] = {}
        self._cameras: tuple[str, ...] = ()
        self._groups = GroupStates()
        self._session = _new_session()
        self._execute: Execute | None = None
        # A trigger waits for the inspection thread of its camera, and must not keep another one waiting. Threads start
        # when they are needed.
        self._triggers = ThreadPoolExecutor(MAX_UNITS, thread_name_prefix="modbus-trigger")
        self._server = ModbusServer(
            settings,
            self._handshakes,
            self._trigger,
            self._change_product,
            lambda text: problems.set(f"output {name}", text),
        )

    @property
    def destination(self) -> str:
        return f"modbus://{self._settings.listen}:{self._settings.port}"

    def announce_view_groups(self, groups: Mapping[str, Sequence[str]]) -> None:
        self._groups.announce(groups)
        if self._cameras:
            # To the PLC, a group that is new has just started: whatever the unit was before, it has another session.
            self._serve(session=_new_session())

    def announce(self, cameras: Mapping[str, str]) -> None:
        self._cameras = tuple(cameras)
        self._serve(session=self._session)

    def adopt(self, settings: OutputSection) -> None:
        assert isinstance(settings, ModbusSettings)
        # Other units have their numbers when the groups are announced: those of the others stay as they are.
        self._settings = settings

    def _serve(self, session: int) -> None:
        """Serve every camera and group; those that were not served yet have this session."""
        known, settings = self._handshakes, self._settings
        self._handshakes = {
            place: known.get(place)
            or Handshake(place, session=session, dry_run=settings.dry_run, products=settings.products)
            for place in (*self._cameras, *self._groups.places)
        }
        self._server.serve(settings, self._handshakes)

    def serve_commands(self, execute: Execute) -> None:
        self._execute = execute

    def start(self) -> None:
        self._server.start()

    def stop(self, deadline_seconds: float) -> bool:
        for handshake in self._handshakes.values():
            self._server.call(handshake.stop)
        self._triggers.shutdown(wait=False, cancel_futures=True)
        return self._server.stop(deadline_seconds)

    def publish_state(self, state: StatePayload) -> None:
        for each in self._groups.take(state):
            handshake = self._handshakes.get(each.camera)
            if handshake is not None:
                self._server.call(handshake.update, each, time.monotonic())

    def show_result(self, part: Part) -> None:
        handshake = self._handshakes.get(part.camera)
        if handshake is not None:
            self._server.call(handshake.show, part, time.monotonic())

    @property
    def connected(self) -> bool:
        return self._server.clients > 0

    # Triggers, which arrive on the thread of the server

    def _trigger(self, camera: str, handshake: Handshake, trigger: Trigger) -> None:
        if self._execute is None:
            handshake.rejected(trigger)
            return
        try:
            self._triggers.submit(self._inspect, self._execute, camera, handshake, trigger)
        except RuntimeError:  # the agent stops
            handshake.rejected(trigger)

    def _inspect(self, execute: Execute, place: str, handshake: Handshake, trigger: Trigger) -> None:
        """Carry out the command `inspect`, as any other transport does; on a thread of the triggers.

        The trigger of a group is one for each of its cameras. If one rejects it, the others' results are not shown.
        """
        request = InspectRequest(part=trigger.part)
        payload = request.model_dump_json(by_alias=True, exclude_none=True).encode()
        cameras = self._groups.cameras(place)
        if trigger.product_name is not None and not self._select(execute, cameras, trigger.product_name):
            self._server.call(handshake.rejected, trigger, Rejection.PRODUCT)
            return
        for camera in cameras:
            if not execute("inspect", camera, payload, by=f"output {self.name}").ok:
                self._server.call(handshake.rejected, trigger)
                return

    def _change_product(self, place: str, handshake: Handshake, product: str) -> None:
        """The PLC has written another product number, without a trigger."""
        execute = self._execute
        if execute is None:
            return

        def change() -> None:
            if not self._select(execute, self._groups.cameras(place), product):
                self._server.call(handshake.product_rejected)

        try:
            self._triggers.submit(change)
        except RuntimeError:
            log.debug("the agent stops")

    def _select(self, execute: Execute, cameras: Sequence[str], product: str) -> bool:
        """Have the cameras inspect this product; False if one of them cannot."""
        payload = json.dumps({"name": product}).encode()
        for camera in cameras:
            state = self._groups.latest(camera)
            if state is not None and state.product == product:
                continue
            if not execute("product", camera, payload, by=f"output {self.name}").ok:
                return False
        return True


def _new_session() -> int:
    return secrets.randbelow(0xFFFF) + 1
