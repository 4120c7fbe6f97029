"""Run a foreign program so that nothing of it outlives the call: time limit, Ctrl-C, or death of the caller.

The program runs in a process group of its own, under `lifeline`, which ends the group when this process is
dead, be it of SIGKILL. Output goes to files, because a pipe that a forgotten grandchild holds open would
block the reader for ever.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from snn_tool.errors import BackendUnavailableError, VerificationError

PYTHON, LIFELINE = sys.executable, Path(__file__).with_name("lifeline.py")
POLL_S = 0.05
TERMINATE_S, STRAGGLER_S = 2.0, 0.2
LAST_LINES = 3


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended.

    Attributes:
        code: exit code, negative for a signal; None if it was ended at its time limit.
        stdout, stderr: all that it wrote.
    """

    code: int | None
    stdout: str
    stderr: str

    @property
    def last_words(self) -> str:
        """The last lines of stderr (or else of stdout) in one line."""
        lines = [
            line.strip() for line in (self.stderr.strip() or self.stdout.strip()).splitlines() if line.strip()
        ]
        return " | ".join(lines[-LAST_LINES:]) or "no output"


REFUSED = 4
"""What a simulator's program exits with if the simulator refuses the network; others are faults."""


def demand_result(finished: Finished, who: str, timeout_s: float, remedies: tuple[str, str]) -> None:
    """Turn the end of a simulator's program into what users are told, unless it ended well.

    Args:
        finished: of the program, which exits with `REFUSED` where the simulator refuses the network.
        who: the simulator.
        timeout_s: its limit.
        remedies: what to do where the time is up, and the command that installs it anew.

    Raises:
        VerificationError: the simulator refuses the network.
        BackendUnavailableError: it exceeded its limit, or died.
    """
    if finished.code == 0:
        return
    if finished.code is None:
        raise BackendUnavailableError(
            f"{who} did not finish within {timeout_s:.0f} s (last: {finished.last_words}); {remedies[0]}"
        )
    if finished.code == REFUSED:
        raise VerificationError(f"{who} refuses the network: {finished.last_words}")
    raise BackendUnavailableError(
        f"{who} died with exit code {finished.code}: {finished.last_words}; "
        f"check free memory, or install it anew: `{remedies[1]}`"
    )


def run_group(
    command: Sequence[str | Path],
    *,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
    on_output: Callable[[str], None] | None = None,
) -> Finished:
    """Run a program to its end, or end its whole process group at the time limit or on any exception here.

    Args:
        command: program and arguments.
        timeout_s: time limit in seconds of wall clock.
        environment: the program's environment variables; this process's own if None.
        on_line: called with each complete line of stderr while the program runs.
        on_output: likewise with those of stdout.

    Raises:
        BackendUnavailableError: the program cannot be started.
    """
    if os.name != "posix":
        raise BackendUnavailableError("process groups need Linux or macOS; on Windows use WSL")
    with (
        _pipe() as (watched, _),
        _pipe() as (status, failed),
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        process = _start(command, (watched, failed), out, err, environment)
        try:
            code = _wait(process, timeout_s, ((err, on_line), (out, on_output)))
        finally:
            _end_group(process)
        _demand_start(command[0], status)
        return Finished(code, _text(out), _text(err))


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    """Yield the ends to read from and to write to; nobody inherits them unasked."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


def _start(
    command: Sequence[str | Path],
    ends: tuple[int, int],
    out: BinaryIO,
    err: BinaryIO,
    environment: Mapping[str, str] | None,
) -> "subprocess.Popen[bytes]":
    """Start the program under `lifeline`, which watches the one end and writes to the other."""
    watched, failed = ends
    try:
        return subprocess.Popen(
            [PYTHON, "-I", "-S", LIFELINE, str(failed), *map(str, command)],
            stdin=watched,
            stdout=out,
            stderr=err,
            env=environment,
            pass_fds=(failed,),
            start_new_session=True,
        )
    except OSError as error:
        raise BackendUnavailableError(f"{PYTHON}: does not start ({error.strerror or error})") from error


def _demand_start(program: str | Path, status: int) -> None:
    """Demand that the program started, after the end.

    Raises:
        BackendUnavailableError: it did not.
    """
    os.set_blocking(status, False)
    with suppress(BlockingIOError):
        number = int(os.read(status, 16))
        raise BackendUnavailableError(f"{program}: does not start ({os.strerror(number)})")


def _wait(
    process: "subprocess.Popen[bytes]",
    timeout_s: float,
    watched: Sequence[tuple[BinaryIO, Callable[[str], None] | None]],
) -> int | None:
    deadline = time.monotonic() + timeout_s
    seen = [0] * len(watched)
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=POLL_S)
        for index, (stream, on_line) in enumerate(watched):
            if on_line is not None:
                seen[index] = _report(stream, seen[index], on_line)
        if process.returncode is not None:
            return process.returncode
        if time.monotonic() > deadline:
            return None


def _report(stream: BinaryIO, seen: int, on_line: Callable[[str], None]) -> int:
    """Pass on the complete lines after byte `seen`; returns the byte after the last of them."""
    # pread leaves the file's position alone, which the program shares.
    fresh = os.pread(stream.fileno(), 1 << 20, seen)
    complete = fresh[: fresh.rfind(b"\n") + 1]
    for line in complete.decode(errors="replace").splitlines():
        on_line(line)
    return seen + len(complete)


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    """Ask the group to end, then force it; after SIGTERM multiprocessing's tracker frees shared memory.

    A program that has ended by itself may leave stragglers, which get less time.
    """
    patience_s = TERMINATE_S if process.poll() is None else STRAGGLER_S
    _signal(process, signal.SIGTERM)
    if not _is_gone(process, patience_s):
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _is_gone(process: "subprocess.Popen[bytes]", patience_s: float) -> bool:
    """Whether no process of the group is left; ended ones that nobody has reaped yet still count."""
    deadline = time.monotonic() + patience_s
    while True:
        process.poll()
        try:
            os.killpg(process.pid, 0)
        except (ProcessLookupError, PermissionError):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)


def _text(stream: BinaryIO) -> str:
    stream.seek(0)
    return stream.read().decode(errors="replace")
