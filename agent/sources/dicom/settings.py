"""The settings section of a DICOM receiver."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, ByteSize, Field, PositiveFloat, model_validator

from agent.core.section import Host
from agent.core.sockets.addresses import LOOPBACK, ListenAddress, Network
from agent.sources.settings import ImageFileSettings

# That of the protocol for programs without privileges; 104 needs them.
DEFAULT_PORT = 11112

# PS3.5: the default repertoire without control characters and backslash, and not only spaces.
_TITLE = re.compile(r"(?=.*\S)[ -\[\]-~]{1,16}")


def _title(text: str) -> str:
    if not _TITLE.fullmatch(text):
        raise ValueError("wanted an AE title: 1 to 16 printable characters without a backslash")
    return text


Title = Annotated[str, AfterValidator(_title)]


class DicomSettings(ImageFileSettings):
    """A DICOM node that X-ray machines send images to (C-STORE)."""

    frame_is_part: ClassVar[bool] = True
    exclusive: ClassVar[bool] = True

    kind: Literal["dicom"]
    ae_title: Title = "INSPECTD"
    """Its own title; others are not answered."""
    listen: ListenAddress = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)] = DEFAULT_PORT
    allow: list[Network] = Field(default_factory=lambda: list(LOOPBACK))
    """Addresses and networks of the senders."""
    calling_titles: list[Title] = Field(default_factory=list)
    """AE titles of the senders; empty: any."""
    certificate_file: Path | None = None
    """For TLS, in PEM."""
    key_file: Path | None = None
    ca_file: Path | None = None
    """The senders must have a certificate of this CA."""
    part_attribute: str = "SOPInstanceUID"
    """The attribute that names the part, as DICOM spells it, such as PatientID (the component id of DICONDE)."""
    max_associations: Annotated[int, Field(ge=1, le=64)] = 4
    max_image_size: ByteSize = ByteSize(512 * 1024**2)
    max_inbox_size: ByteSize = ByteSize(2 * 1024**3)
    """Of images that wait to be inspected; more are rejected as "out of resources"."""
    timeout_seconds: PositiveFloat = 30.0
    """A sender that is silent for so long is disconnected."""

    @model_validator(mode="after")
    def _complete(self) -> DicomSettings:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("got one of certificate_file and key_file; wanted both, or none")
        if self.ca_file is not None and self.certificate_file is None:
            raise ValueError("got ca_file without certificate_file and key_file; wanted all three")
        if not ipaddress.ip_address(self.listen).is_loopback and "allow" not in self.model_fields_set:
            raise ValueError(
                f'listen is "{self.listen}", which other machines can reach; wanted allow with the addresses of the '
                'senders, such as allow = ["192.0.2.10"]'
            )
        return self

    def allows(self, address: str) -> bool:
        """Whether a sender may connect."""
        found = ipaddress.ip_address(address)
        return any(found in ipaddress.ip_network(network) for network in self.allow)

    def listens(self) -> list[Host]:
        """Where images are received."""
        return [Host(self.listen, self.port)]

    def clients(self) -> list[str]:
        """The senders."""
        return list(self.allow)

    def files(self) -> list[Path]:
        """Those of TLS."""
        return [file for file in (self.certificate_file, self.key_file, self.ca_file) if file is not None]

    def problem(self) -> str | None:
        """That the extra is missing, or that DICOM has no such attribute."""
        try:
            import pynetdicom  # noqa: F401
            from pydicom.datadict import tag_for_keyword
        except ImportError:
            return "kind = dicom needs the extra dicom: pip install 'inspectd[dicom]'"
        if tag_for_keyword(self.part_attribute) is None:
            return (
                f"DICOM has no attribute {self.part_attribute!r}, wanted a keyword such as PatientID or SOPInstanceUID"
            )
        return None

    def remedy(self) -> str:
        """Shows who uses the port, and asks the receiver whether it is there."""
        return f"sudo ss -lptn 'sport = :{self.port}'; sudo apt install dcmtk; echoscu -v {self.listen} {self.port}"
