"""An export's own test.c on a Cortex-M of QEMU: what differs; flash, RAM and instructions that it takes."""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from crossing.machines import Machine

HERE = Path(__file__).parent
BOARD = HERE.parents[1] / "examples" / "board"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror")
LINK = ("-nostartfiles", "-specs=nano.specs", "-specs=rdimon.specs", "-T", str(BOARD / "mps2.ld"))
DIFFERING = re.compile(r"(\d+) of (\d+) values differ")
TAKEN = re.compile(r"ticks (\d+) loop (\d+) of (\d+) instructions, stack (\d+)")
BUFFER = re.compile(r"^[0-9a-f]+ ([0-9a-f]+) b buffer$", re.MULTILINE)
LIMIT_S = 900.0


class CrossError(Exception):
    """A program that was expected to end well did not; its last words."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A run on the bare machine.

    Attributes:
        differing, compared: values of the golden tile, a byte and its membrane counting as one.
        flash: bytes of code and constants of the network's own object file.
        buffer: bytes of the caller's buffer as it was linked.
        stack: bytes of stack that the run touched.
        instructions: of the whole tile.
    """

    differing: int
    compared: int
    flash: int
    buffer: int
    stack: int
    instructions: int


def spoken(text: str) -> tuple[int, int, int, int]:
    """(differing, compared, instructions, stack) of what the board printed.

    Raises:
        CrossError: it printed something else.
    """
    values, taken = DIFFERING.search(text), TAKEN.search(text)
    if not values or not taken:
        raise CrossError(f"the board said: {text.strip()[-300:] or 'nothing'}")
    ticks, loop, known, stack = map(int, taken.groups())
    return int(values[1]), int(values[2]), round(ticks * known / loop), stack


def flash_of(sizes: str) -> int:
    """Bytes of text and data of one object file, from the table that `size` prints."""
    text, data, *_ = sizes.splitlines()[1].split()
    return int(text) + int(data)


def on_cortex(machine: Machine, export: Path) -> Taken:
    """Build an exported folder for the machine and run its golden tile.

    Raises:
        CrossError: the compiler or the emulator fails, or does not end.
    """
    tools = machine.cc.split()[0].removesuffix("gcc")
    with tempfile.TemporaryDirectory(prefix="snn-tool-cross-") as temporary:
        folder = Path(temporary)
        compiler = [*machine.cc.split(), *STRICT, "-I", str(export)]
        told([*compiler, "-c", "-o", folder / "snn.o", export / "snn.c"])
        told([*compiler, "-Dmain=network_main", "-c", "-o", folder / "test.o", export / "test.c"])
        own = [folder / "snn.o", folder / "test.o", HERE / "counted.c", BOARD / "mps2.c"]
        told([*compiler, *LINK, "-o", folder / "board.elf", *own])
        flash = flash_of(told([f"{tools}size", folder / "snn.o"]))
        held = BUFFER.search(told([f"{tools}nm", "-S", folder / "board.elf"]))
        text = told([*machine.runner, folder / "board.elf"], may_fail=True)
    differing, compared, instructions, stack = spoken(text)
    return Taken(differing, compared, flash, int(held[1], 16) if held else 0, stack, instructions)


def told(command: list[str | Path], may_fail: bool = False) -> str:
    """What a program prints, errors included.

    Raises:
        CrossError: it fails, or does not end in time.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise CrossError(f"{command[0]} did not end within {LIMIT_S:.0f} s") from error
    if done.returncode and not may_fail:
        raise CrossError(f"{command[0]} failed: {done.stderr.strip()[-300:]}")
    return done.stdout + done.stderr
