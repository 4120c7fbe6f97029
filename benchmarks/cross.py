"""The exported C on other machines: every integer compared, and what a Cortex-M needs.

    python benchmarks/cross.py [NAME ..] [--tiles 1] [--size 64] [--images FOLDER] [--machines aarch64,..]

Each student is exported as users export it, and its folder is built as `verify --backend c` builds it,
with taps, for each machine: read-out, and every spike and membrane of every population, are held against
the golden integers of the engine. Linux machines run under qemu-user. The Cortex-M runs the folder's own
test.c as it is, on the first golden tile. Its flash is what `size` says of the network's object file, RAM
the linked buffer; stack is painted, and instructions are counted by the clock of `qemu -icount shift=0`
(crossing/counted.c).

Exit code 0: every machine whose tools are there was exact, and one was there; else 1.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from crossing.cortex import CrossError, on_cortex
from crossing.machines import MACHINES, Machine
from snn_tool.cli.app import run
from snn_tool.deploy.verify import open_export
from snn_tool.errors import SnnToolError
from snn_tool.exporters.c.backend import CBackend, find_compiler
from snn_tool.exporters.contract.export import Export
from snn_tool.exporters.contract.targets import Context
from snn_tool.exporters.contract.traces import Trace
from snn_tool.networks.shipped import shipped_names

HEADER = (
    "machine",
    "student",
    "compiler",
    "differing",
    "compared",
    "flash",
    "RAM",
    "stack",
    "instructions/pixel",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One machine and one student.

    Attributes:
        differing: integers; None where it did not run.
        note: why it did not run, or how it failed.
        failed: it was to run, and did not end well.
    """

    machine: str
    student: str
    compiler: str = ""
    differing: int | None = None
    compared: int = 0
    flash: int | None = None
    buffer: int | None = None
    stack: int | None = None
    per_pixel: float | None = None
    note: str = ""
    failed: bool = False

    def cells(self) -> list[str]:
        """As the table shows it."""
        if self.differing is None:
            return [self.machine, self.student, f"not run: {self.note}", *[""] * 6]
        numbers = (self.differing, self.compared, self.flash, self.buffer, self.stack, self.per_pixel)
        return [
            self.machine,
            self.student,
            self.compiler,
            *("" if n is None else f"{n:,.0f}" for n in numbers),
        ]


def exported(student: str, folder: Path, tiles: int, size: int, images: str) -> Export:
    """A student as `snn-tool export --target c` leaves it.

    Raises:
        CrossError: the export fails; what it said stands above.
    """
    out = folder / Path(student).name.split(".")[0]
    words = ["-q", "export", student, "--target", "c", "--out", str(out), "--no-verify", "--overwrite"]
    words += ["--tiles", str(tiles), "--size", str(size), *(["--images", images] if images else [])]
    if run(words):
        raise CrossError(f"{student}: cannot be exported")
    return open_export(out)


def differing(expected: Trace, found: Trace, names: Sequence[str]) -> tuple[int, int]:
    """(differing, all) integers of two runs: read-outs, membranes, and spikes of all but the read-out."""
    pairs = [(expected.readout, found.readout)]
    pairs += [(expected.membranes[name], found.membranes[name]) for name in names]
    pairs += [(expected.spikes[name], found.spikes[name]) for name in names[:-1]]
    return sum(int(np.count_nonzero(a != b)) for a, b in pairs), sum(a.size for a, _ in pairs)


def on_linux(machine: Machine, student: str, export: Export) -> Row:
    """Compile and run an export on a machine with an operating system.

    Raises:
        SnnToolError: the compiler or the program fails.
    """
    context = Context(cc=machine.cc)
    found = CBackend("c", machine.runner).trace(export, export.golden.tiles, export.order, context)
    return Row(machine.name, student, version_of(machine), *differing(export.golden, found, export.order))


def on_bare(machine: Machine, student: str, export: Export) -> Row:
    """The same on the Cortex-M, first tile alone.

    Raises:
        CrossError: the compiler or the emulator fails.
    """
    taken = on_cortex(machine, export.folder)
    _, _, height, width = export.golden.tiles.shape
    counts = (taken.differing, taken.compared, taken.flash, taken.buffer, taken.stack)
    return Row(machine.name, student, version_of(machine), *counts, taken.instructions / (height * width))


def version_of(machine: Machine) -> str:
    """Name and version of its compiler in a word or two."""
    found = find_compiler(machine.cc)
    words = found.version.split() if found else []
    number = next((word.split("-")[0] for word in words if word[:1].isdigit() and "." in word), "")
    return f"{'clang' if 'clang' in machine.cc else 'gcc'} {number}".strip()


def rows(machines: Sequence[Machine], student: str, export: Export) -> Iterator[Row]:
    """Every machine that can run; what fails is a row as well."""
    for machine in machines:
        if missing := machine.missing():
            yield Row(machine.name, student, note=missing)
            continue
        try:
            yield (on_bare if machine.bare else on_linux)(machine, student, export)
        except (CrossError, SnnToolError) as error:
            yield Row(machine.name, student, note=str(error), failed=True)


def exit_code(made: Sequence[Row]) -> int:
    """1 if an integer differs, if something failed, or if nothing ran at all; else 0."""
    ran = [row for row in made if row.differing is not None]
    return int(not ran or any(row.differing for row in ran) or any(row.failed for row in made))


def table(made: Sequence[Row]) -> str:
    """Rows as Markdown."""
    lines = [HEADER, ["---"] * len(HEADER), *(row.cells() for row in made)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def chosen_machines(text: str) -> list[Machine]:
    """Those of a list of names; all if it is empty.

    Raises:
        CrossError: a name is none of them.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = {machine.name: machine for machine in MACHINES}
    if unknown := [name for name in names if name not in known]:
        raise CrossError(f"--machines {unknown[0]}: use some of {', '.join(known)}")
    return [known[name] for name in names or known]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("students", nargs="*", help="names or files; all that ship, if none")
    parser.add_argument("--machines", default="", help=", ".join(machine.name for machine in MACHINES))
    parser.add_argument("--tiles", type=int, default=1)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--images", default="", help="folder; photographs that ship, if none")
    chosen = parser.parse_args()
    made: list[Row] = []
    try:
        machines = chosen_machines(chosen.machines)
        with tempfile.TemporaryDirectory(prefix="snn-tool-cross-") as folder:
            for student in chosen.students or shipped_names():
                export = exported(student, Path(folder), chosen.tiles, chosen.size, chosen.images)
                for row in rows(machines, student, export):
                    print("  ".join(cell for cell in row.cells() if cell), file=sys.stderr, flush=True)
                    made.append(row)
    except CrossError as error:
        print(f"cross.py: {error}", file=sys.stderr)
        return 1
    print(table(made))
    return exit_code(made)


if __name__ == "__main__":
    sys.exit(main())
