"""The measures of images by which a faulty camera is recognised."""

from calibration.camera.camera_history import CameraHistory
from calibration.camera.image_measures import (
    ImageMeasures,
    Pixels,
    encode_png,
    measure_image,
    shown_between,
    thumbnail,
)
from calibration.camera.monitor import CameraMonitor, Finding, SizeMonitor, Symptom
from calibration.camera.references import CameraReference, Range, SourceReference, ViewReference
from calibration.camera.source_images import SourceImages
from calibration.camera.view import Glance, glance

__all__ = [
    "CameraHistory",
    "CameraMonitor",
    "CameraReference",
    "Finding",
    "Glance",
    "ImageMeasures",
    "Pixels",
    "Range",
    "SizeMonitor",
    "SourceImages",
    "SourceReference",
    "Symptom",
    "ViewReference",
    "encode_png",
    "glance",
    "measure_image",
    "shown_between",
    "thumbnail",
]
