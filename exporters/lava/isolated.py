"""A Python package in an interpreter of its own: found, executed and asked what it is, or installed.

In order of preference: the variable of the package, beside which nothing else is tried; and what
`snn-tool backend install NAME` made, $XDG_CACHE_HOME/snn-tool/NAME (default ~/.cache). An interpreter counts
only after it was executed and imported the package.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout
from snn_tool.errors import BackendUnavailableError
from snn_tool.exporters.contract.process import run_group
from snn_tool.exporters.lava.environment import CACHED, PROBE_S, clean_variables, demand, lava_folder
from snn_tool.exporters.lava.installation import installing, pip_steps, sweep_stages

VENV_S, INSTALL_S, LOCK_S = 300.0, 900.0, 1800.0


@dataclass(frozen=True, slots=True)
class Interpreter:
    """One that was seen to import the package.

    Attributes:
        python: path of the interpreter.
        answers: what the package's program said of itself.
        origin: where it was found.
    """

    python: Path
    answers: Mapping[str, str]
    origin: str


@dataclass(frozen=True, slots=True)
class Isolated:
    """A package, and how it is had.

    Attributes:
        name: of the folder in the cache, and of the backend.
        title: as messages call it.
        variable: of the environment, that names an interpreter.
        runner: the program that answers `--probe` in that interpreter; it imports nothing of ours.
        package: as pip takes it.
        requirements: the arguments of `pip install`.
        wanted: what a probe must answer.
        beside: what an interpreter of the user's must have beside the package, for messages.
    """

    name: str
    title: str
    variable: str
    runner: Path
    package: str
    requirements: tuple[str, ...]
    wanted: tuple[str, ...]
    beside: str = ""

    @property
    def remedy(self) -> str:
        """The command that installs it."""
        return f"snn-tool backend install {self.name}"

    @property
    def home(self) -> Path:
        """The folder of the environment that `provision` makes."""
        return lava_folder().with_name(self.name)

    def find(self) -> Interpreter | None:
        """The interpreter; None if there is none. Nothing is installed, no network is used.

        Raises:
            BackendUnavailableError: the variable is set but names none that imports the package.
        """
        if asked := os.environ.get(self.variable):
            try:
                return self.probe(Path(asked).expanduser(), self.variable)
            except BackendUnavailableError as error:
                raise BackendUnavailableError(
                    f"{self.variable}={asked}: {error}; unset it or point it to a Python with "
                    f"{self.package}{self.beside}"
                ) from error
        python = self.home / "bin" / "python"
        with suppress(BackendUnavailableError):
            return self.probe(python, CACHED) if python.exists() else None
        return None

    def probe(self, python: Path, origin: str) -> Interpreter:
        """Execute an interpreter, let it import the package, and take down what it says.

        Raises:
            BackendUnavailableError: it does not start, hangs, dies, lacks the package, or answers otherwise.
        """
        command = (python, "-B", self.runner, "--probe")
        finished = run_group(command, timeout_s=PROBE_S, environment=clean_variables())
        demand(finished, f"{python}", PROBE_S)
        try:
            answer = json.loads(finished.stdout)
            return Interpreter(python, {name: str(answer[name]) for name in self.wanted}, origin)
        except (ValueError, KeyError, TypeError) as error:
            raise BackendUnavailableError(
                f"{python}: does not answer as a Python with {self.title} does; run `{self.remedy}`"
            ) from error

    def provision(self, log: Callable[[str], None]) -> Interpreter:
        """Find the package, or install it into the cache folder; calls that overlap install it once.

        Args:
            log: receives one line for each thing tried.

        Raises:
            BackendUnavailableError: it cannot be installed; the message says what pip said last.
        """
        if found := self.find():
            sweep_stages(self.home)
            return found
        try:
            self.home.parent.mkdir(parents=True, exist_ok=True)
            with installing(self.home, LOCK_S):
                return self.find() or self._install(log)
        except Timeout as error:
            raise BackendUnavailableError(
                f"{error.lock_file}: another process has been installing {self.title} for half an hour; "
                "end it"
            ) from error
        except OSError as error:
            raise BackendUnavailableError(
                f"{self.home}: cannot be written ({error.strerror or error}); set XDG_CACHE_HOME"
            ) from error

    def _install(self, log: Callable[[str], None]) -> Interpreter:
        """Make the environment beside its place, see it import the package, and move it there."""
        log(f"installing {self.package} with {sys.executable}")
        home = self.home
        stage = Path(tempfile.mkdtemp(prefix=f".{self.name}.", dir=home.parent))
        pip = ("-m", "pip", "install", "--disable-pip-version-check", "--no-input")
        try:
            _run("venv", (sys.executable, "-m", "venv", stage), VENV_S, log)
            _run("pip install", (stage / "bin" / "python", *pip, *self.requirements), INSTALL_S, log)
            self.probe(stage / "bin" / "python", CACHED)
            shutil.rmtree(home, ignore_errors=True)
            os.replace(stage, home)
            return self.probe(home / "bin" / "python", CACHED)
        except BackendUnavailableError as error:
            raise BackendUnavailableError(
                f"{self.title} cannot be installed: {error}; run `{self.remedy}` where packages can be "
                f"fetched, or set {self.variable} to a Python that has {self.package}{self.beside}"
            ) from error
        finally:
            shutil.rmtree(stage, ignore_errors=True)


def _run(what: str, command: tuple[str | Path, ...], limit_s: float, log: Callable[[str], None]) -> None:
    finished = run_group(command, timeout_s=limit_s, environment=clean_variables(), on_output=pip_steps(log))
    demand(finished, what, limit_s)
