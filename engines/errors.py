"""The errors of this package. Each text is one line that says what was found and what was wanted."""


class EngineError(RuntimeError):
    """A model or its engine cannot be used as requested. Base class of all errors here."""

    expected = True
    """Reported in one line, without a traceback: the user can act on it."""


class BundleError(EngineError):
    """A model bundle is missing, incomplete, altered, or of a schema that this version does not read."""


class SigningError(EngineError):
    """A key cannot be made, read or used."""


class ImageError(EngineError):
    """An image cannot be read, or does not fit the model."""


class PartNotFoundError(ImageError):
    """The part that a model was taught is not in an image, or lies further away than it may."""


class FileAccessError(ImageError):
    """A file cannot be opened or read now: its permissions, or a share that is away. Its content is not the cause."""


class TrainingError(EngineError):
    """Training cannot start or continue."""
