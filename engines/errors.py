"""The errors of this package: each text is one line that says what was got and what was wanted."""


class EngineError(RuntimeError):
    """The model or its engine cannot do what was asked."""

    expected = True
    """Reported in one line, without a traceback: the user can act on it."""


class BundleError(EngineError):
    """A model bundle is missing, incomplete, altered, or of a kind that this version does not know."""


class SigningError(EngineError):
    """A key cannot be made, read or used."""


class ImageError(EngineError):
    """A picture cannot be read, or does not fit the model."""


class TrainingError(EngineError):
    """Training cannot start or cannot go on."""
