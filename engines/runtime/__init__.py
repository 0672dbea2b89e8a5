"""Engines: one file or folder per backend, behind `Engine`. A backend's libraries are loaded when it is opened."""

from engines.runtime.choice import Choice, remember
from engines.runtime.engine import Engine, EngineOptions, Scores
from engines.runtime.hardware import describe_processor
from engines.runtime.measuring import choose_engine
from engines.runtime.onnxruntime import OnnxRuntimeEngine, open_session, spin_entries
from engines.runtime.opening import open_engine
from engines.runtime.reference_check import reference_errors, relative_error
from engines.runtime.torch import load_scorer

__all__ = [
    "Choice",
    "Engine",
    "EngineOptions",
    "OnnxRuntimeEngine",
    "Scores",
    "choose_engine",
    "describe_processor",
    "load_scorer",
    "open_engine",
    "open_session",
    "reference_errors",
    "relative_error",
    "remember",
    "spin_entries",
]
