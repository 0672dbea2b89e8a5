"""Checks what industrial cameras need: a library or a producer, large packets, and room for frames in the kernel."""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from agent.core.errors import InspectdError
from agent.doctor.check_result import CheckResult, ok, problem, warning
from agent.settings import Settings
from agent.sources.genicam.aravis.finding import FoundCamera, find_cameras
from agent.sources.genicam.aravis.library import load_aravis
from agent.sources.genicam.gentl.connecting import ExtraMissing, find_by_producer
from agent.sources.genicam.settings import GenicamSettings

SOCKET_BUFFER = Path("/proc/sys/net/core/rmem_max")

# Debian allows 208 KiB: a fifth of one frame of 1 megapixel. Aravis asks for the size of a frame.
WANTED_BUFFER_BYTES = 8 * 2**20

# With 1500 bytes, a full Gigabit link is 80,000 packets a second.
WANTED_MTU = 9000

_SIOCGIFADDR = 0x8915


def check_industrial_cameras(
    settings: Settings,
    *,
    socket_buffer: Path = SOCKET_BUFFER,
    mtu_to: Callable[[str], tuple[str, int] | None] | None = None,
) -> Iterator[CheckResult]:
    """The library, the cameras that it finds, and the network to those of the settings; nothing without any."""
    wanted = [camera.source for camera in settings.cameras.values() if isinstance(camera.source, GenicamSettings)]
    for producer in sorted({source.producer for source in wanted if source.producer is not None}):
        yield _check_producer(producer)
    by_aravis = [source for source in wanted if source.producer is None]
    if not by_aravis:
        return
    try:
        found = find_cameras(load_aravis())
    except InspectdError as error:
        yield problem("industrial cameras", str(error), "sudo apt install libaravis-0.8-0")
        return
    yield ok("industrial cameras", f"{len(found)} found" + "".join(f"; {camera}" for camera in found))
    addresses = {address for source in by_aravis if (address := _address_of(source, found)) is not None}
    if addresses:
        yield _check_buffer(socket_buffer)
    for address in sorted(addresses):
        yield from _check_mtu(address, (mtu_to or interface_to)(address))


def _check_producer(producer: Path) -> CheckResult:
    try:
        found = find_by_producer(producer)
    except InspectdError as error:
        fix = error.fix if isinstance(error, ExtraMissing) else f"ls -l {producer}; ldd {producer}"
        return problem("industrial cameras", str(error), fix)
    return ok("industrial cameras", f"{producer.name} finds {len(found)}" + "".join(f"; {camera}" for camera in found))


def _address_of(source: GenicamSettings, found: list[FoundCamera]) -> str | None:
    """The IP address of a camera; None for one on USB, and for one that was not found."""
    if source.address is not None:
        return source.address
    return next((each.address for each in found if each.is_gige and each.is_meant_by(source.camera)), None)


def _check_buffer(file: Path) -> CheckResult:
    try:
        most = int(file.read_text())
    except (OSError, ValueError):
        return ok("industrial cameras", "the size of socket buffers cannot be read here")
    if most >= WANTED_BUFFER_BYTES:
        return ok("industrial cameras", f"socket buffers of up to {most} bytes")
    text = f"socket buffers have at most {most} bytes, wanted {WANTED_BUFFER_BYTES}: under load, packets are lost"
    line = f"net.core.rmem_max={WANTED_BUFFER_BYTES}"
    return warning(
        "industrial cameras", text, f"echo {line} | sudo tee /etc/sysctl.d/90-inspectd.conf && sudo sysctl --system"
    )


def _check_mtu(address: str, interface: tuple[str, int] | None) -> Iterator[CheckResult]:
    if interface is None:
        return
    name, mtu = interface
    if mtu >= WANTED_MTU:
        yield ok("industrial cameras", f"{address} is reached by {name} with packets of up to {mtu} bytes")
    else:
        text = f"{address} is reached by {name} with packets of up to {mtu} bytes, wanted {WANTED_MTU} (jumbo frames)"
        yield warning(
            "industrial cameras", text, f"sudo ip link set dev {name} mtu {WANTED_MTU}; the switch has to allow it"
        )


def interface_to(address: str) -> tuple[str, int] | None:
    """The network interface by which an IPv4 address is reached, and its MTU in bytes; None where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        try:
            udp.connect((address, 9))
            local = udp.getsockname()[0]
            for _, name in socket.if_nameindex():
                if _address(udp, name) == local or (name == "lo" and local.startswith("127.")):
                    return name, int(Path(f"/sys/class/net/{name}/mtu").read_text())
        except (OSError, ValueError):
            return None
    return None


def _address(udp: socket.socket, interface: str) -> str | None:
    """The first IPv4 address of an interface (netdevice(7))."""
    try:
        answer = fcntl.ioctl(udp, _SIOCGIFADDR, struct.pack("256s", interface.encode()[:15]))
    except OSError:
        return None
    return socket.inet_ntoa(answer[20:24])
