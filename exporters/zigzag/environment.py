"""Where ZigZag lives: an interpreter of its own, whose numpy, onnx and pandas this package does not share.

`docs/decisions/0052-mapped-rival.md` says why ZigZag, and why not beside this package.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from snn_tool.exporters.lava.isolated import Interpreter, Isolated

VARIABLE = "SNN_TOOL_ZIGZAG_PYTHON"
REMEDY = "snn-tool backend install zigzag"
RUNNER = Path(__file__).parent / "runner" / "run.py"
"""The program that runs in ZigZag's interpreter; it imports nothing of this package."""

ZIGZAG = "zigzag-dse==3.9.1"
ISOLATED = Isolated(
    name="zigzag",
    title="ZigZag",
    variable=VARIABLE,
    runner=RUNNER,
    package=ZIGZAG,
    requirements=(ZIGZAG, "six"),  # six is imported and not declared
    wanted=("zigzag", "python"),
    beside=" and six",
)


@dataclass(frozen=True, slots=True)
class ZigzagEnvironment:
    """An interpreter that was seen to import ZigZag.

    Attributes:
        python: path of the interpreter.
        version: of zigzag-dse.
        python_version: of the interpreter.
        origin: where it was found.
    """

    python: Path
    version: str
    python_version: str
    origin: str


def find_zigzag() -> ZigzagEnvironment | None:
    """The interpreter that has ZigZag; None if there is none. Nothing is installed, no network is used.

    Raises:
        BackendUnavailableError: `SNN_TOOL_ZIGZAG_PYTHON` is set but names none that imports ZigZag.
    """
    found = ISOLATED.find()
    return _environment(found) if found else None


def provision_zigzag(log: Callable[[str], None]) -> ZigzagEnvironment:
    """Find ZigZag, or install it into the cache folder; calls that overlap install it once.

    Args:
        log: receives one line for each thing tried.

    Raises:
        BackendUnavailableError: it cannot be installed; the message says what pip said last.
    """
    return _environment(ISOLATED.provision(log))


def _environment(found: Interpreter) -> ZigzagEnvironment:
    return ZigzagEnvironment(found.python, found.answers["zigzag"], found.answers["python"], found.origin)
