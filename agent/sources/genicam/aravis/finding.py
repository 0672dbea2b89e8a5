"""Which cameras there are, and which of them the settings mean."""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.errors import Temporary
from agent.sources.genicam.aravis.library import Aravis
from agent.sources.genicam.settings import GenicamSettings


@dataclass(frozen=True, slots=True)
class FoundCamera:
    """A camera that answered a search."""

    id: str
    """As Aravis names it."""
    vendor: str
    model: str
    serial: str
    physical: str
    """The MAC address; of a USB camera, its GUID."""
    address: str
    """The IP address; of a USB camera, where it is plugged in."""
    protocol: str
    """GigEVision or USB3Vision."""

    @property
    def is_gige(self) -> bool:
        """Whether it is reached by a network."""
        return self.protocol == "GigEVision"

    def __str__(self) -> str:
        return f"{self.vendor} {self.model}, serial {self.serial}, {self.physical}, {self.address}"

    def is_meant_by(self, name: str) -> bool:
        """Whether a setting means this camera: by its serial number, MAC or IP address, or name."""
        known = {self.id, self.serial, self.address, self.physical, f"{self.vendor}-{self.serial}"}
        return name in known or _mac(name) == _mac(self.physical)


def find_cameras(aravis: Aravis) -> list[FoundCamera]:
    """Ask all networks and USB ports of this machine; takes a second. USB cameras without rights are missing."""
    aravis("arv_update_device_list")
    fields = ("id", "vendor", "model", "serial_nbr", "physical_id", "address", "protocol")
    return [
        FoundCamera(*((aravis(f"arv_get_device_{field}", index) or b"").decode(errors="replace") for field in fields))
        for index in range(aravis("arv_get_n_devices"))
    ]


def locate(aravis: Aravis, settings: GenicamSettings) -> str:
    """What Aravis opens the camera by. One with an IP address is asked directly, in other networks too.

    Raises Temporary, with the cameras that there are, where none is meant, or several are.
    """
    if settings.address is not None:
        return settings.address
    found = find_cameras(aravis)
    meant = [camera for camera in found if camera.is_meant_by(settings.camera)]
    if len(meant) == 1:
        return meant[0].id
    several = "; ".join(map(str, meant or found)) or "none"
    problem = "is the name of several cameras" if meant else "was not found"
    raise Temporary(f"camera {settings.camera} {problem}: {several}")


def _mac(text: str) -> str:
    """A MAC address in one spelling; other texts become what no address is.

    >>> _mac("00-0A-47-0b-00-11") == _mac("00:0a:47:0b:00:11"), _mac("GV01"), _mac("00:00:00:00:00:00")
    (True, '?GV01', '?00:00:00:00:00:00')
    """
    digits = text.replace(":", "").replace("-", "").lower()
    is_mac = len(digits) == 12 and set(digits) <= set("0123456789abcdef") and set(digits) != {"0"}
    return digits if is_mac else f"?{text}"
