"""Images as an ideal X-ray detector would deliver them: dark-field, flat-field and bad-pixel correction."""

from engines.images.detector.calibrating import calibrate
from engines.images.detector.correcting import corrected, with_correction
from engines.images.detector.maps import CorrectionMaps, pack_correction, read_correction

__all__ = ["CorrectionMaps", "calibrate", "corrected", "pack_correction", "read_correction", "with_correction"]
