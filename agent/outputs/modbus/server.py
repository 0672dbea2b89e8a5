"""The Modbus TCP server: a thread with an event loop, which alone reads and changes the handshakes."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from agent.core.backoff import Backoff
from agent.core.printable import printable
from agent.outputs.modbus.connection import Clients, Connection
from agent.outputs.modbus.handshake import Handshake, Holdings, Trigger
from agent.outputs.modbus.register_map import (
    HOLDING_REGISTERS,
    HOLDINGS,
    INPUT_REGISTERS,
    INPUTS,
    decode,
    encode,
)
from agent.outputs.modbus.settings import ModbusSettings

log = logging.getLogger(__name__)

# It logs an error with a stack for each request that it cannot answer; any client could fill the log.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)

# Bits of a block of coils or discrete inputs: one register.
BITS = 16

# Waits between attempts to open the port.
_RETRY_SECONDS = (0.5, 5.0)

OnTrigger = Callable[[str, Handshake, Trigger], None]
OnProduct = Callable[[str, Handshake, str], None]


class ModbusServer:
    """Serves the handshakes of the cameras. Any thread may call `call` and `serve`, one the others."""

    def __init__(
        self,
        settings: ModbusSettings,
        handshakes: Mapping[str, Handshake],
        on_trigger: OnTrigger,
        on_product: OnProduct,
        on_problem: Callable[[str | None], None],
    ) -> None:
        """Args:
        settings: address, clients, unit ids.
        handshakes: of each camera, by name; may be filled until `start`.
        on_trigger: has a trigger carried out; called on the thread of the server, returns at once.
        on_product: has the product of a camera changed; called as `on_trigger`.
        on_problem: takes the reason why the port cannot be opened, and None once it is open.
        """
        self._settings = settings
        self._handshakes = handshakes
        self._on_trigger = on_trigger
        self._on_product = on_product
        self._on_problem = on_problem
        self._clients = Clients(settings.networks, settings.max_clients)
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._protocol: _Protocol | None = None
        self._thread = threading.Thread(target=self._run, name="modbus", daemon=True)

    @property
    def clients(self) -> int:
        """Number of clients that are connected."""
        return self._clients.count

    def start(self) -> None:
        """Listen; returns at once."""
        self._thread.start()

    def call(self, function: Callable[..., None], *arguments: object) -> None:
        """Have a function called on the thread of the server; in order. Dropped once the server has stopped."""
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop is closed
            log.debug("the Modbus server has stopped")

    def serve(self, settings: ModbusSettings, handshakes: Mapping[str, Handshake]) -> None:
        """From now on, serve these handshakes by the unit ids of these settings. Clients stay connected."""

        def change() -> None:
            self._settings, self._handshakes = settings, handshakes
            if self._protocol is not None:
                self._protocol.context = self._new_protocol().context

        self.call(change)

    def stop(self, deadline_seconds: float) -> bool:
        """Disconnect every client and close the port; False if that took too long."""
        if not self._thread.is_alive():
            self._loop.close()
            return True
        self.call(self._stopping.set)
        self._thread.join(deadline_seconds)
        return not self._thread.is_alive()

    # The thread

    def _run(self) -> None:
        try:
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        listener = await self._open()
        await self._stopping.wait()
        if listener is not None:
            listener.close()
        self._clients.close()
        await _finish_requests()

    async def _open(self) -> asyncio.Server | None:
        """Open the port; tries again until it is free, or the server is stopped."""
        backoff, failed = Backoff(*_RETRY_SECONDS), False
        self._protocol = self._new_protocol()
        while not self._stopping.is_set():
            try:
                listener = await self._loop.create_server(
                    self._protocol.handle_new_connection, self._settings.listen, self._settings.port, reuse_address=True
                )
            except OSError as error:
                self._failed(error, again=failed)
                failed = True
                await self._pause(backoff.next_seconds())
            else:
                self._on_problem(None)
                log.info("Modbus server listens on %s:%d", self._settings.listen, self._settings.port)
                return listener
        return None

    def _failed(self, error: OSError, *, again: bool) -> None:
        reason = os.strerror(error.errno) if error.errno else printable(str(error))
        text = f"Modbus server: {self._settings.listen} port {self._settings.port} cannot be opened: {reason}"
        log.log(logging.DEBUG if again else logging.ERROR, "%s; trying again", text)
        self._on_problem(text)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except asyncio.TimeoutError:
            return

    # Registers

    def _new_protocol(self) -> _Protocol:
        return _Protocol(self._devices(), (self._settings.listen, self._settings.port), self._clients)

    def _devices(self) -> list[SimDevice]:
        """A device for each camera. Every unit id is the camera where there is only one; else others are rejected."""
        units = self._settings.unit_ids(list(self._handshakes))
        only = len(units) == 1
        devices = [
            _device(
                0 if only else units[camera], _Registers(camera, handshake, self._on_trigger, self._on_product).access
            )
            for camera, handshake in self._handshakes.items()
        ]
        return devices if only else [*devices, _device(0, _no_such_unit)]


class _Protocol(ModbusTcpServer):
    """Makes our connections; pymodbus keeps its devices."""

    def __init__(self, devices: list[SimDevice], address: tuple[str, int], clients: Clients) -> None:
        super().__init__(devices, address=address)
        self._clients = clients

    def callback_new_connection(self) -> Connection:
        """Called for each new client."""
        return Connection(self, self._clients)


class _Registers:
    """The four blocks of one camera, as pymodbus accesses them: brought up to date before each read or write."""

    def __init__(self, camera: str, handshake: Handshake, on_trigger: OnTrigger, on_product: OnProduct) -> None:
        self._camera = camera
        self._handshake = handshake
        self._on_trigger = on_trigger
        self._on_product = on_product

    async def access(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        values: list[Any] | None,
    ) -> ExcCodes | None:
        """Called by pymodbus before each access: `registers` are the block, `values` those to be written."""
        now = time.monotonic()
        handshake = self._handshake
        if function == 2:
            registers[0] = handshake.inputs(now).status
        elif function == 4:
            registers[:INPUT_REGISTERS] = encode(handshake.inputs(now), INPUTS, INPUT_REGISTERS)
        elif function in (1, 5, 15):
            registers[0] = handshake.holdings.control
            if values is not None:
                self._write(_with_bits(handshake.holdings, address, values), now)
        else:
            registers[:HOLDING_REGISTERS] = encode(handshake.holdings, HOLDINGS, HOLDING_REGISTERS)
            if values is not None:
                written = registers[:HOLDING_REGISTERS]
                written[address : address + len(values)] = values
                self._write(Holdings(**{name: int(value) for name, value in decode(written, HOLDINGS).items()}), now)
        return None

    def _write(self, holdings: Holdings, now: float) -> None:
        before = self._handshake.holdings.product
        trigger = self._handshake.write(holdings, now)
        if trigger is not None:
            # It carries its product.
            self._on_trigger(self._camera, self._handshake, trigger)
            return
        product = self._handshake.changed_product(before)
        if product is not None:
            self._on_product(self._camera, self._handshake, product)


async def _finish_requests() -> None:
    """End what pymodbus has begun: a request passes through three turns of the loop before it is a task."""
    for _ in range(4):
        await asyncio.sleep(0)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _with_bits(holdings: Holdings, address: int, values: list[Any]) -> Holdings:
    """What the PLC wrote, with these coils."""
    control = holdings.control
    for place, value in enumerate(values, address):
        control = control | 1 << place if value else control & ~(1 << place)
    return Holdings(control, holdings.product, holdings.part)


async def _no_such_unit(*_: object) -> ExcCodes:
    """There is no camera with this unit id."""
    return ExcCodes.GATEWAY_NO_RESPONSE


def _device(unit: int, action: Any) -> SimDevice:
    """A device with four blocks of its own: with a single one, a PLC could overwrite the results."""
    bits = [SimData(0, values=[False] * BITS, datatype=DataType.BITS)]
    holdings = [SimData(0, values=[0] * HOLDING_REGISTERS, datatype=DataType.REGISTERS)]
    inputs = [SimData(0, values=[0] * INPUT_REGISTERS, datatype=DataType.REGISTERS)]
    return SimDevice(unit, simdata=(bits, list(bits), holdings, inputs), use_bit_addressing=True, action=action)
