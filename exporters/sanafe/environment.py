"""Where SANA-FE lives: an interpreter of its own, so that its GPL code never meets this package's process.

`docs/decisions/0010-sanafe.md` says why it is not an extra of this package.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from snn_tool.exporters.lava.isolated import Interpreter, Isolated

VARIABLE = "SNN_TOOL_SANAFE_PYTHON"
REMEDY = "snn-tool backend install sanafe"
RUNNER = Path(__file__).parent / "runner" / "run.py"
"""The program that runs in SANA-FE's interpreter; it imports nothing of this package."""

SANAFE = "sanafe==2.2.9"
REQUIREMENTS = ("--no-deps", "--only-binary=:all:", SANAFE, "numpy>=2")
"""SANA-FE needs nothing; files are exchanged through numpy. Building its source would need CMake."""

ISOLATED = Isolated(
    name="sanafe",
    title="SANA-FE",
    variable=VARIABLE,
    runner=RUNNER,
    package=SANAFE,
    requirements=REQUIREMENTS,
    wanted=("sanafe", "python", "architecture", "architecture_sha256"),
    beside=" and numpy",
)


@dataclass(frozen=True, slots=True)
class SanafeEnvironment:
    """An interpreter that was seen to import SANA-FE.

    Attributes:
        python: path of the interpreter.
        version: of SANA-FE.
        python_version: of the interpreter.
        architecture: name of the file in SANA-FE's package that describes the chip.
        architecture_sha256: of that file.
        origin: where it was found.
    """

    python: Path
    version: str
    python_version: str
    architecture: str
    architecture_sha256: str
    origin: str


def find_sanafe() -> SanafeEnvironment | None:
    """The interpreter that has SANA-FE; None if there is none. Nothing is installed, no network is used.

    Raises:
        BackendUnavailableError: `SNN_TOOL_SANAFE_PYTHON` is set but names none that imports SANA-FE.
    """
    found = ISOLATED.find()
    return _environment(found) if found else None


def probe(python: Path, origin: str) -> SanafeEnvironment:
    """Execute an interpreter, let it import SANA-FE, and take down what it says.

    Raises:
        BackendUnavailableError: it does not start, hangs, dies, has no SANA-FE, or answers something else.
    """
    return _environment(ISOLATED.probe(python, origin))


def cache_folder() -> Path:
    """The folder of the environment that `provision_sanafe` makes."""
    return ISOLATED.home


def provision_sanafe(log: Callable[[str], None]) -> SanafeEnvironment:
    """Find SANA-FE, or install it into the cache folder; calls that overlap install it once.

    Args:
        log: receives one line for each thing tried.

    Raises:
        BackendUnavailableError: it cannot be installed; the message says what pip said last.
    """
    return _environment(ISOLATED.provision(log))


def _environment(found: Interpreter) -> SanafeEnvironment:
    said = found.answers
    return SanafeEnvironment(
        found.python,
        said["sanafe"],
        said["python"],
        said["architecture"],
        said["architecture_sha256"],
        found.origin,
    )
