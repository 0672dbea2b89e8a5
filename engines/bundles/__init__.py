"""The model bundle, a directory: write, verify, sign and read it."""

from engines.bundles.archive import ArchiveError, read_archive
from engines.bundles.bundle import (
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
    check_replaceable,
    read_bundle,
    reference_archive,
    write_bundle,
    write_lean_copy,
)
from engines.bundles.external_data import OnnxFormatError, raw_fields
from engines.bundles.manifest import ForeignWeights
from engines.bundles.signing import generate_keys, load_trusted_keys, sign_bundle

__all__ = [
    "MODEL",
    "MODEL_FP16",
    "REFERENCE",
    "REPORT",
    "WEIGHTS",
    "ArchiveError",
    "Bundle",
    "DamageCheck",
    "ForeignWeights",
    "Frames",
    "Geometry",
    "Manifest",
    "Normalisation",
    "OnnxFormatError",
    "RecipeRecord",
    "Reference",
    "ScoreSummary",
    "TrainingRecord",
    "check_replaceable",
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
