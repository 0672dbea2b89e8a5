"""The model bundle, a directory: write, verify, sign and read it."""

from engines.bundles.alignment import MAX_REFERENCE_SIDE, Alignment, AlignmentLimits
from engines.bundles.archive import ArchiveError, read_archive
from engines.bundles.bundle import (
    CORRECTION,
    MODEL,
    MODEL_FP16,
    REFERENCE,
    REPORT,
    WEIGHTS,
    Bundle,
    DamageCheck,
    Frames,
    Geometry,
    Manifest,
    Normalisation,
    RecipeRecord,
    Reference,
    ScoreSummary,
    TrainingRecord,
    View,
    check_replaceable,
    copy_bundle,
    read_bundle,
    reference_archive,
    write_bundle,
    write_lean_copy,
)
from engines.bundles.correction import Correction
from engines.bundles.crop_box import CropBox
from engines.bundles.external_data import OnnxFormatError, raw_fields
from engines.bundles.file_reading import FileReading, RawFormat
from engines.bundles.manifest import ForeignWeights, FrameTime
from engines.bundles.mask import Mask
from engines.bundles.sensitivity import HIGHEST_FACTOR, LEAST_FACTOR, Coordinate, SensitiveRegion, Sensitivity
from engines.bundles.signing import generate_keys, load_trusted_keys, sign_bundle

__all__ = [
    "CORRECTION",
    "HIGHEST_FACTOR",
    "LEAST_FACTOR",
    "MAX_REFERENCE_SIDE",
    "MODEL",
    "MODEL_FP16",
    "REFERENCE",
    "REPORT",
    "WEIGHTS",
    "Alignment",
    "AlignmentLimits",
    "ArchiveError",
    "Bundle",
    "Coordinate",
    "Correction",
    "CropBox",
    "DamageCheck",
    "FileReading",
    "ForeignWeights",
    "FrameTime",
    "Frames",
    "Geometry",
    "Manifest",
    "Mask",
    "Normalisation",
    "OnnxFormatError",
    "RawFormat",
    "RecipeRecord",
    "Reference",
    "ScoreSummary",
    "SensitiveRegion",
    "Sensitivity",
    "TrainingRecord",
    "View",
    "check_replaceable",
    "copy_bundle",
    "generate_keys",
    "load_trusted_keys",
    "raw_fields",
    "read_archive",
    "read_bundle",
    "reference_archive",
    "sign_bundle",
    "write_bundle",
    "write_lean_copy",
]
