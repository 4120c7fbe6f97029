"""Where Lava lives: an interpreter of its own, because lava-nc demands Python 3.10 and numpy 1.

An interpreter counts only after it was executed and imported Lava. In order of preference:

1. `$SNN_TOOL_LAVA_PYTHON`; if it is set, nothing else is tried.
2. What `snn-tool backend install lava` made, $XDG_CACHE_HOME/snn-tool/lava (default ~/.cache).
3. `python3.10` on PATH; many are launchers of a version that is not there.
4. ~/.pyenv/versions/3.10.*
5. `uv venv --python 3.10`, where uv has or fetches that version.
6. The running Python, newer than Lava declares, with the shim of `runner`.

`find_lava` takes 1 to 4 as they are. `installation` makes 2 from the first of 3 to 6 that works.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from snn_tool.errors import BackendUnavailableError
from snn_tool.exporters.contract.process import Finished, run_group

VARIABLE = "SNN_TOOL_LAVA_PYTHON"
REMEDY = "snn-tool backend install lava"
RUNNER = Path(__file__).parent / "runner" / "run.py"
"""The program that runs in Lava's interpreter; it imports nothing of this package."""

LAVA = "lava-nc==0.10.0"
LAVA_DL = "lava-dl==0.6.0"
LAVA_DL_ALONE = ("--ignore-requires-python", "--no-deps", LAVA_DL)
"""netx runs on what Lava brings; torch, torchvision, OpenCV and others that lava-dl declares stay away."""

CACHED = "cached environment"
PROBE_S = 120.0


@dataclass(frozen=True, slots=True)
class LavaEnvironment:
    """An interpreter that was seen to import Lava.

    Attributes:
        python: path of the interpreter.
        version: of lava-nc.
        python_version: of the interpreter.
        shimmed: the Python is newer than Lava supports; a shim makes it importable.
        origin: where it was found.
        lava_dl: version of lava-dl if its netx loads there, and otherwise empty.
        netx_fault: why netx does not load, in one line; empty if it does.
    """

    python: Path
    version: str
    python_version: str
    shimmed: bool
    origin: str
    lava_dl: str = ""
    netx_fault: str = "lava-dl was not looked for"

    @property
    def netx_remedy(self) -> str:
        """The command that brings lava-dl into this interpreter."""
        if self.origin.startswith(CACHED):
            return REMEDY
        return f"{self.python} -m pip install {' '.join(LAVA_DL_ALONE)}"


def find_lava() -> LavaEnvironment | None:
    """The first interpreter that has Lava; None if there is none. Nothing is installed, no network is used.

    Raises:
        BackendUnavailableError: `SNN_TOOL_LAVA_PYTHON` is set but names no interpreter that imports Lava.
    """
    asked = os.environ.get(VARIABLE)
    if asked:
        return _asked_for(asked)
    if ours := cached():
        return ours
    for python, origin in interpreters_310():
        with suppress(BackendUnavailableError):
            return probe(python, origin)
    return None


def probe(python: Path, origin: str) -> LavaEnvironment:
    """Execute an interpreter, let it import Lava, and take down what it says.

    Raises:
        BackendUnavailableError: it does not start, hangs, dies, has no Lava, or answers something else.
    """
    finished = run_group((python, "-B", RUNNER, "--probe"), timeout_s=PROBE_S, environment=clean_variables())
    demand(finished, f"{python}", PROBE_S)
    try:
        answer = json.loads(finished.stdout)
        return LavaEnvironment(
            python,
            str(answer["lava"]),
            str(answer["python"]),
            bool(answer["shimmed"]),
            origin,
            str(answer["lava_dl"]),
            str(answer["netx_fault"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise BackendUnavailableError(
            f"{python}: does not answer as a Python with Lava does; run `{REMEDY}`"
        ) from error


def lava_folder() -> Path:
    """The folder of the environment that `provision_lava` makes (`installation`)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "snn-tool" / "lava"


def clean_variables() -> dict[str, str]:
    """The environment variables but for those that steer Python (PYTHONPATH would mix two interpreters).

    BLAS gets one thread, because Lava starts an operating-system process for each of its processes. Warnings
    are off, so that the last lines of an error output are the error's.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return {
        **kept,
        "PYTHONWARNINGS": "ignore",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


def _asked_for(value: str) -> LavaEnvironment:
    try:
        return probe(Path(value).expanduser(), VARIABLE)
    except BackendUnavailableError as error:
        raise BackendUnavailableError(
            f"{VARIABLE}={value}: {error}; unset it or point it to a Python with {LAVA}"
        ) from error


def demand(finished: Finished, what: str, limit_s: float) -> None:
    """Demand success of a finished program.

    Raises:
        BackendUnavailableError: it exceeded `limit_s` or failed; its last words are passed on.
    """
    if finished.code is None:
        raise BackendUnavailableError(f"{what}: did not finish within {limit_s:.0f} s")
    if finished.code != 0:
        raise BackendUnavailableError(f"{what}: exit code {finished.code}: {finished.last_words}")


def cached() -> LavaEnvironment | None:
    """The environment in the cache folder; None if it is not there or does not import Lava."""
    python = lava_folder() / "bin" / "python"
    if not python.exists():
        return None
    with suppress(BackendUnavailableError):
        return probe(python, CACHED)
    return None


def interpreters_310() -> Iterator[tuple[Path, str]]:
    """Interpreters of Python 3.10 that may or may not run."""
    if on_path := shutil.which("python3.10"):
        yield Path(on_path), "python3.10 on PATH"
    for folder in sorted((Path.home() / ".pyenv" / "versions").glob("3.10.*"), reverse=True):
        yield folder / "bin" / "python", f"pyenv {folder.name}"
