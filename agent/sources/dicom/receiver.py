"""A DICOM node that stores what X-ray machines send: an image is on the disk before it is acknowledged."""

from __future__ import annotations

import logging
import os
import re
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.core.durable_file import replace_file
from agent.core.errors import Permanent, Temporary
from agent.sources.dicom.settings import DicomSettings

log = logging.getLogger(__name__)

# Statuses of C-STORE (PS3.4, B.2.3).
STORED, OUT_OF_RESOURCES, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xC000

# A UID is digits and dots, so that it is a file name.
_UID = re.compile(r"[0-9.]{1,64}")

# DICONDE's own image class, which no list of DICOM classes has (ASTM E2934).
EDDY_CURRENT_IMAGES = "1.2.840.10008.5.1.4.1.1.601.1"

# What `replace_file` leaves behind after a power cut.
_UNFINISHED = ".*.new"


class Receiver:
    """Stores images as `<SOP Instance UID>.dcm`. Its own threads call `is_known` and `make_room`."""

    def __init__(
        self,
        settings: DicomSettings,
        inbox: Path,
        *,
        is_known: Callable[[str], bool],
        make_room: Callable[[], None] = lambda: None,
    ) -> None:
        """Args:
        settings: of the source.
        inbox: the folder that images are stored in; it must exist.
        is_known: whether a file of this name was inspected before; it is then acknowledged and not stored again.
        make_room: deletes files that need not be kept; called before each image.
        """
        self._settings, self._inbox = settings, inbox
        self._is_known, self._make_room = is_known, make_room
        self._storing = threading.Lock()
        self._server: Any = None

    def start(self) -> None:
        """Listen. Raises Permanent with unusable certificates, Temporary for a port in use."""
        from pynetdicom import AE, evt

        settings = self._settings
        node = AE(ae_title=settings.ae_title)
        node.require_called_aet = True
        node.require_calling_aet = list(settings.calling_titles)
        node.maximum_associations = settings.max_associations
        node.acse_timeout = node.dimse_timeout = node.network_timeout = settings.timeout_seconds
        node.supported_contexts = _contexts()
        handlers: list[Any] = [
            (evt.EVT_CONN_OPEN, self._on_connection),
            (evt.EVT_DATA_RECV, self._on_data),
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_C_ECHO, lambda event: STORED),
            (evt.EVT_REJECTED, lambda event: log.warning("DICOM: %s was rejected: title", _sender(event))),
        ]
        for each in list(self._inbox.glob(_UNFINISHED)):
            each.unlink(missing_ok=True)
        try:
            self._server = node.start_server(
                (settings.listen, settings.port), block=False, ssl_context=self._tls(), evt_handlers=handlers
            )
        except OSError as error:
            place = f"{settings.listen} port {settings.port}"
            raise Temporary(f"DICOM receiver cannot listen at {place}: {error.strerror or error}") from None

    def stop(self) -> None:
        """Disconnect everybody and close the port."""
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def _tls(self) -> ssl.SSLContext | None:
        settings = self._settings
        if settings.certificate_file is None or settings.key_file is None:
            return None
        try:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=settings.ca_file)
            context.load_cert_chain(settings.certificate_file, settings.key_file)
        except (OSError, ssl.SSLError) as error:
            raise Permanent(f"DICOM receiver: its certificate cannot be used: {error}") from None
        if settings.ca_file is not None:
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _on_connection(self, event: Any) -> None:
        event.assoc.received_bytes = 0
        if not self._settings.allows(event.address[0]):
            log.warning("DICOM: %s was disconnected: it is not in allow", event.address[0])
            event.assoc.dul.socket.close()

    def _on_data(self, event: Any) -> None:
        """Disconnect a sender whose image is larger than is allowed: it would be kept in memory."""
        event.assoc.received_bytes += len(event.data)
        if event.assoc.received_bytes > self._settings.max_image_size:
            log.warning("DICOM: %s was disconnected: its image exceeds max_image_size", _sender(event))
            event.assoc.received_bytes = 0
            event.assoc.dul.socket.close()

    def _on_store(self, event: Any) -> int:
        event.assoc.received_bytes = 0
        uid = str(event.request.AffectedSOPInstanceUID or "")
        if not _UID.fullmatch(uid):
            log.warning("DICOM: %s sent an image with the UID %r", _sender(event), uid)
            return NOT_UNDERSTOOD
        name = f"{uid}.dcm"
        with self._storing:
            self._make_room()
            if (self._inbox / name).exists() or self._is_known(name):
                log.info("DICOM: %s sent %s again", _sender(event), uid)
                return STORED
            try:
                data = event.encoded_dataset()
                if _size(self._inbox) + len(data) > self._settings.max_inbox_size:
                    log.error("DICOM: %s cannot be stored: %s has reached max_inbox_size", uid, self._inbox)
                    return OUT_OF_RESOURCES
                replace_file(self._inbox / name, data)
            except OSError as error:
                log.error("DICOM: %s cannot be stored: %s: %s", uid, self._inbox, error.strerror or error)  # noqa: TRY400
                return OUT_OF_RESOURCES
        return STORED


def _contexts() -> list[Any]:
    """Images of every class, in the transfer syntaxes that can be decoded here; and the echo."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import AllTransferSyntaxes, DeflatedExplicitVRLittleEndian
    from pynetdicom import AllStoragePresentationContexts, build_context
    from pynetdicom.service_class import StorageServiceClass
    from pynetdicom.sop_class import Verification, register_uid  # type: ignore[attr-defined]

    register_uid(EDDY_CURRENT_IMAGES, "EddyCurrentImageStorage", StorageServiceClass)
    syntaxes: list[Any] = []
    for syntax in AllTransferSyntaxes:
        try:
            # The reader takes no deflated file: its size is not known before it is unpacked.
            if syntax != DeflatedExplicitVRLittleEndian and get_decoder(syntax).is_available:
                syntaxes.append(syntax)
        except NotImplementedError:  # pydicom knows no decoder for this syntax: sound, video, private ones
            continue
    classes = [context.abstract_syntax for context in AllStoragePresentationContexts]
    images = [uid for uid in classes if uid is not None and "Image Storage" in uid.name]
    contexts = [build_context(uid, syntaxes) for uid in dict.fromkeys([*images, EDDY_CURRENT_IMAGES])]
    return [*contexts, build_context(Verification)]


def _size(folder: Path) -> int:
    with os.scandir(folder) as entries:
        return sum(entry.stat().st_size for entry in entries)


def _sender(event: Any) -> str:
    requestor = event.assoc.requestor
    return f"{requestor.ae_title!r} at {requestor.address}"
