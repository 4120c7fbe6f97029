"""The errors that users meet. Each message is one line: what is wrong, where, and what to do.

This module is a leaf: every room may import it, and it imports none.
"""

from collections.abc import Iterable


class SnnToolError(Exception):
    """A fault of input, environment or target, not of the program; the command line exits with 1."""


class ConfigError(SnnToolError, ValueError):
    """An option or a configuration key is unknown or out of range; the message names the allowed values."""


class DataError(SnnToolError):
    """An image or a folder of images cannot be used; the message names the file and what is wrong with it."""


class ArtifactError(SnnToolError):
    """A file written by this tool is missing, truncated, of another schema, or its hash does not match."""


class TeacherError(SnnToolError):
    """A user's teacher cannot guide a student; the message says what it gave and what would fit."""


class QuantizationError(SnnToolError):
    """A layer does not fit the integer ranges; the message names the layer and the bound."""


class ExportError(SnnToolError):
    """A network cannot be carried to the target."""


class UnsupportedLayerError(ExportError):
    """A node that the target or the counter does not know; the message names node, type and target."""


class TargetLimitError(ExportError):
    """One or more hardware ranges are exceeded; the message lists every violation at once."""


class BackendUnavailableError(SnnToolError):
    """A simulator is not installed or does not run; the message gives the command that provides it."""


class VerificationError(SnnToolError):
    """Two implementations disagree; the message names layer, timestep, index, expected and actual value."""


class ExportDiffersError(VerificationError):
    """An export computes something else than its source, so none was written; the command exits with 3."""


class Interrupted(SnnToolError):
    """A signal stopped a long run; nothing is lost and it can be resumed.

    Attributes:
        code: the command line exits with it, 128 and the signal's number.
    """

    def __init__(self, message: str, code: int = 130) -> None:
        super().__init__(message)
        self.code = code


def first_line(error: BaseException, longest: int = 200) -> str:
    """The first line of what an error of a library says, or its type's name if it says nothing."""
    return (str(error).splitlines() or [""])[0][:longest] or type(error).__name__


def check_known(what: str, value: str, known: Iterable[str]) -> None:
    """Refuse a name that is not one of those known.

    Args:
        what: the option or key that it was given for, e.g. `--task`.
        value: what was given.
        known: what is allowed.

    Raises:
        ConfigError: names the option, the value and all that is allowed.
    """
    names = tuple(known)
    if value not in names:
        raise ConfigError(f"{what} {value} is unknown; use one of {', '.join(names)}")


PHRASES = (
    "DefaultCPUAllocator",  # torch on the host, a RuntimeError; the words differ between systems
    "out of memory",  # torch.OutOfMemoryError of CUDA and of others, a RuntimeError as well
    "bad_alloc",  # C++ libraries under torch and onnxruntime
    "Failed to allocate memory",  # onnxruntime's arena
)


def is_out_of_memory(error: BaseException) -> bool:
    """By type or by the words of the library, because torch need not have been imported to ask."""
    return isinstance(error, MemoryError) or any(phrase in str(error) for phrase in PHRASES)
