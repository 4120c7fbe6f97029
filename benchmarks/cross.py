"""The exported C on other machines: every integer compared, and what a Cortex-M needs.

    python benchmarks/cross.py [NAME ..] [--untrained WIDTH] [--machines aarch64,..] [--tiles 1] [--size 64]
        [--photographs FILE ..] [--json FILE]

Each student is exported as users export it, and its folder is built as `verify --backend c` builds it, for
each machine. With taps it runs the golden tiles: read-out, and every spike and membrane of every population,
are held against the golden integers of the engine. Without taps, as users build it, it runs whole
photographs, and every value of the read-out and every byte is compared. Linux machines run under qemu-user,
WebAssembly in node. The Cortex-M runs the folder's own test.c as it is, on the first golden tile. Its flash
is what `size` says of the network's object file, RAM the linked buffer; stack is painted, and instructions
are counted by the clock of `qemu -icount shift=0` (crossing/counted.c).

Rows are printed as they come. With --json they are also written to a file after each, and those that the file
already holds, of the same sources and what was asked, are not run again.

Exit code 0: every machine whose tools are there was exact, and one was there; else 1.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from crossing.cortex import CrossError, on_cortex
from crossing.machines import BARE, MACHINES, PAGE, Machine
from crossing.subjects import PATCH, UNTRAINED, Asked, Subject, differing, untrained
from snn_tool.errors import SnnToolError
from snn_tool.exporters.c.backend import CBackend, find_compiler
from snn_tool.exporters.contract.export import Export
from snn_tool.exporters.contract.targets import Backend, Context
from snn_tool.exporters.wasm.backend import WasmBackend
from snn_tool.exporters.wasm.compiler import need_wasm_compiler
from snn_tool.files.artifacts import read_json, sha256_bytes, write_json
from snn_tool.networks.shipped import shipped_names
from snn_tool.playground.build import sample_photograph

KIND, SCHEMA = "cross-rows", 1
HEADER = (
    "machine",
    "student",
    "compiler",
    "tiles",
    "photographs",
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
        tiles, photographs: how many were run.
        differing: integers; None where it did not run.
        note: why it did not run, or how it failed.
        failed: it was to run, and did not end well.
        made_of: SHA-256 of the sources and of what was asked.
    """

    machine: str
    student: str
    compiler: str = ""
    tiles: int = 0
    photographs: int = 0
    differing: int | None = None
    compared: int = 0
    flash: int | None = None
    buffer: int | None = None
    stack: int | None = None
    per_pixel: float | None = None
    note: str = ""
    failed: bool = False
    made_of: str = ""

    def cells(self) -> list[str]:
        """As the table shows it."""
        if self.differing is None:
            return [self.machine, self.student, f"not run: {self.note}", *[""] * 8]
        counts = (self.tiles, self.photographs, self.differing, self.compared)
        numbers = (*counts, self.flash, self.buffer, self.stack, self.per_pixel)
        return [
            self.machine,
            self.student,
            self.compiler,
            *("" if n is None else f"{n:,.0f}" for n in numbers),
        ]


@dataclass
class Ledger:
    """Rows, kept in a file where one is wanted.

    Attributes:
        path: of the file, or none.
        rows: made so far, those of the file before them.
    """

    path: Path | None
    rows: list[Row] = field(default_factory=list)

    @classmethod
    def opened(cls, path: str) -> "Ledger":
        """With the rows of a file that is there; ArtifactError if it is none of these."""
        if not path or not Path(path).exists():
            return cls(Path(path) if path else None)
        return cls(Path(path), [Row(**row) for row in read_json(Path(path), KIND, SCHEMA)["rows"]])

    def known(self, machine: str, student: str, made_of: str) -> Row | None:
        """A row that ran, of the same sources."""
        key = (machine, student, made_of)
        same = (row for row in self.rows if (row.machine, row.student, row.made_of) == key)
        return next((row for row in same if row.differing is not None), None)

    def add(self, row: Row) -> None:
        """Put a row in the place of an older one of the same machine and student."""
        key = (row.machine, row.student)
        self.rows = [other for other in self.rows if (other.machine, other.student) != key] + [row]
        if self.path:
            write_json(self.path, KIND, SCHEMA, {"rows": [asdict(row) for row in self.rows]})


def by_backend(machine: Machine, subject: Subject, export: Export, backend: Backend, context: Context) -> Row:
    """Golden tiles with taps and photographs without, by one of `verify`'s backends.

    Raises:
        SnnToolError: the compiler or the program fails.
    """
    found = backend.trace(export, export.golden.tiles, export.order, context)
    wrong, compared = differing(export.golden, found, export.order)
    for image, readout in subject.wholes:
        given = backend.trace(export, image, [], context).readout
        wrong += int(np.count_nonzero(given != readout))
        compared += readout.size
    counts = (len(export.golden.tiles), len(subject.wholes))
    return Row(machine.name, subject.name, version_of(machine), *counts, wrong, compared)


def on_linux(machine: Machine, subject: Subject) -> Row:
    """Compile and run an export on a machine with an operating system; raises as `by_backend`."""
    backend = CBackend("c", machine.runner)
    return by_backend(machine, subject, subject.c, backend, Context(cc=machine.cc))


def in_page(machine: Machine, subject: Subject) -> Row:
    """The same in node, of what `--target wasm` compiled; raises as `by_backend`."""
    return by_backend(machine, subject, subject.wasm, WasmBackend("wasm"), Context())


def on_bare(machine: Machine, subject: Subject) -> Row:
    """The first tile on the Cortex-M.

    Raises:
        CrossError: the compiler or the emulator fails.
    """
    export = subject.c
    taken = on_cortex(machine, export.folder)
    _, _, height, width = export.golden.tiles.shape
    counts = (1, 0, taken.differing, taken.compared, taken.flash, taken.buffer, taken.stack)
    return Row(
        machine.name, subject.name, version_of(machine), *counts, taken.instructions / (height * width)
    )


RUN = {BARE: on_bare, PAGE: in_page}


def version_of(machine: Machine) -> str:
    """Name and version of its compiler in a word or two."""
    if machine.kind == PAGE:
        version = need_wasm_compiler().version
    else:
        found = find_compiler(machine.cc)
        version = found.version if found else ""
    number = next((word.split("-")[0] for word in version.split() if word[:1].isdigit() and "." in word), "")
    name = next((name for name in ("zig", "clang") if name in f"{machine.cc} {version}"), "gcc")
    return f"{name} {number}".strip()


def rows(machines: Sequence[Machine], subject: Subject, ledger: Ledger) -> Iterator[Row]:
    """Every machine that can run; what fails is a row as well."""
    for machine in machines:
        if missing := machine.missing():
            yield Row(machine.name, subject.name, note=missing)
            continue
        try:
            made_of = sources_of(subject, machine)
            known = ledger.known(machine.name, subject.name, made_of)
            yield known or replace(RUN.get(machine.kind, on_linux)(machine, subject), made_of=made_of)
        except (CrossError, SnnToolError) as error:
            yield Row(machine.name, subject.name, note=str(error), failed=True)


def sources_of(subject: Subject, machine: Machine) -> str:
    """SHA-256 of an export's files and of what is asked."""
    export = subject.wasm if machine.kind == PAGE else subject.c
    files = sorted((export.folder / name for name in export.manifest.files), key=lambda path: path.name)
    said = repr(subject.asked.described()).encode()
    return sha256_bytes(said + machine.cc.encode() + b"".join(path.read_bytes() for path in files))


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


def subjects(chosen: Any, folder: Path, asked: Asked) -> Iterator[Subject]:
    """The networks that were asked for: students, then untrained ones."""
    for spec in chosen.students or shipped_names():
        yield Subject(Path(spec).name.split(".")[0], spec, folder, asked)
    patch = sample_photograph()[:PATCH, :PATCH].transpose(2, 0, 1).astype(np.float32) / 255
    for name in UNTRAINED if chosen.untrained else ():
        spec = untrained(name, chosen.untrained, folder, patch)
        yield Subject(f"untrained {name}, {chosen.untrained} channels", spec, folder, asked)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("students", nargs="*", help="names or files; all that ship, if none")
    parser.add_argument("--untrained", type=int, default=0, metavar="WIDTH", help=", ".join(UNTRAINED))
    parser.add_argument("--machines", default="", help=", ".join(machine.name for machine in MACHINES))
    parser.add_argument("--tiles", type=int, default=1)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--images", default="", help="folder for tiles; photographs that ship, if none")
    parser.add_argument("--photographs", nargs="+", default=[], metavar="FILE", help="run whole")
    parser.add_argument(
        "--json", default="", metavar="FILE", help="keeps rows; those in it are not run again"
    )
    chosen = parser.parse_args()
    made: list[Row] = []
    asked = Asked(chosen.tiles, chosen.size, chosen.images, tuple(chosen.photographs))
    try:
        machines, ledger = chosen_machines(chosen.machines), Ledger.opened(chosen.json)
        with tempfile.TemporaryDirectory(prefix="snn-tool-cross-") as folder:
            for subject in subjects(chosen, Path(folder), asked):
                for row in rows(machines, subject, ledger):
                    print("  ".join(cell for cell in row.cells() if cell), file=sys.stderr, flush=True)
                    made.append(row)
                    ledger.add(row)
    except (CrossError, SnnToolError) as error:
        print(f"cross.py: {error}", file=sys.stderr)
        return 1
    print(table(made))
    return exit_code(made)


if __name__ == "__main__":
    sys.exit(main())
