"""The program for other machines: what it reads and says of missing tools, and one run of each kind."""

import importlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from snn_tool.exporters.contract.export import Export
from snn_tool.exporters.contract.traces import RecordedTrace
from snn_tool.exporters.wasm.compiler import REMEDY, find_wasm_compiler
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.networks.open import open_integers

ROOT = Path(__file__).parents[2]
BENCHMARKS, BOARD = ROOT / "benchmarks", ROOT / "examples" / "board"
MakeNetwork = Callable[..., IntegerNetwork]


def module(name: str) -> ModuleType:
    if str(BENCHMARKS) not in sys.path:
        sys.path.insert(0, str(BENCHMARKS))
    return importlib.import_module(name)


cross, cortex, machines = module("cross"), module("crossing.cortex"), module("crossing.machines")
subjects = module("crossing.subjects")


@pytest.fixture
def subject(make_network: MakeNetwork, tmp_path: Path) -> Any:
    """A small network, a tile of it, and a photograph of 9x7 pixels, which has to be mirrored up."""
    save_integer_network(tmp_path / "small.int.safetensors", make_network("graded"), {})
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "odd.png")
    asked = subjects.Asked(1, 8, photographs=(str(tmp_path / "odd.png"),))
    return subjects.Subject("small", str(tmp_path / "small.int.safetensors"), tmp_path, asked)


@pytest.fixture
def export(subject: Any) -> Export:
    """As users export it."""
    found: Export = subject.c
    return found


def test_what_the_board_says() -> None:
    """50 ticks for 2000 instructions are 40 each."""
    said = "net: 3 of 192 values differ\nticks 700 loop 50 of 2000 instructions, stack 1264\n"
    assert cortex.spoken(said) == (3, 192, 28_000, 1264)
    assert cortex.flash_of("  text\tdata\tbss\tdec\n  88000\t  752\t 16\t  1\n") == 88_752
    with pytest.raises(cortex.CrossError, match="the board said: nothing"):
        cortex.spoken("")
    with pytest.raises(cortex.CrossError, match="returned -2"):
        cortex.spoken(
            "the network returned -2 after 0 of 192 values\nticks 1 loop 1 of 2 instructions, stack 4"
        )


def test_missing_tools_are_named_with_their_packages() -> None:
    (aarch64,) = cross.chosen_machines("aarch64")
    assert not aarch64.missing(lambda program: program)
    assert aarch64.missing(lambda program: None) == (
        "no aarch64-linux-gnu-gcc (gcc-aarch64-linux-gnu libc6-dev-arm64-cross), qemu-aarch64 (qemu-user)"
    )
    with pytest.raises(cortex.CrossError, match="--machines pdp11: use some of host gcc"):
        cross.chosen_machines("aarch64, pdp11")
    assert all("," not in machine.name for machine in machines.MACHINES)


def test_table_and_exit_code() -> None:
    exact = cross.Row("armhf", "net", "gcc 12.2.0", 20, 2, 0, 1200)
    absent = cross.Row("riscv64", "net", note="no qemu-riscv64 (qemu-user)")
    assert cross.table([exact, absent]).splitlines()[2:] == [
        "| armhf | net | gcc 12.2.0 | 20 | 2 | 0 | 1,200 |  |  |  |  |",
        "| riscv64 | net | not run: no qemu-riscv64 (qemu-user) |  |  |  |  |  |  |  |  |",
    ]
    assert cross.exit_code([exact, absent]) == 0
    assert cross.exit_code([absent]) == 1
    assert cross.exit_code([exact, replace(exact, differing=1)]) == 1
    assert cross.exit_code([exact, replace(absent, failed=True)]) == 1


def test_differing_integers_are_counted() -> None:
    """4 read-outs, 4 + 4 membranes and 4 spikes; those of the read-out are none."""
    zeros = np.zeros((1, 1, 1, 2, 2), np.int32)
    both = {"a": zeros, "out": zeros}
    one = RecordedTrace(zeros[0], both, both)
    other = RecordedTrace(zeros[0] + 1, {"a": zeros - 1, "out": zeros + 7}, both)
    assert subjects.differing(one, other, ["a", "out"]) == (8, 16)


def test_rows_are_kept_and_found_again(tmp_path: Path) -> None:
    """One that did not run is no answer; one of other sources is none either."""
    path = tmp_path / "rows.json"
    ledger = cross.Ledger.opened(str(path))
    done = cross.Row("armhf", "net", "gcc 12.2.0", 20, 2, 0, 1200, made_of="a")
    for row in (
        cross.Row("armhf", "net", note="away"),
        done,
        cross.Row("wasm", "net", note="none", made_of="a"),
    ):
        ledger.add(row)
    again = cross.Ledger.opened(str(path))
    assert again.rows == ledger.rows and len(again.rows) == 2
    assert again.known("armhf", "net", "a") == done
    assert again.known("armhf", "net", "b") is None and again.known("wasm", "net", "a") is None


def test_untrained_networks_fire(tmp_path: Path, photograph: NDArray[np.float32]) -> None:
    """Of each body and neuron; silent populations would prove nothing."""
    assert len(subjects.UNTRAINED) == 6
    path = subjects.untrained("flat-lif", 4, tmp_path, photograph)
    network = open_integers(Path(path)).network
    names = [population.wiring.name for population in network.populations]
    spikes = IntegerEngine(network).run(quantize_image(photograph[None], network), names).spikes
    assert all(np.count_nonzero(spikes[name]) for name in names[:-1])


def runs(name: str) -> Any:
    (machine,) = cross.chosen_machines(name)
    if missing := machine.missing():
        pytest.skip(missing)
    return replace(machine, cc=f"{machine.cc} -DSNN_SMALL")  # one code for all layers compiles sooner


@pytest.mark.slow
@pytest.mark.parametrize("name", ["aarch64", "armhf", "riscv64"])
def test_a_linux_machine_is_exact_and_a_wrong_integer_seen(subject: Any, name: str) -> None:
    """Of all integers of tile and photograph those two differ that were made wrong."""
    machine = runs(name)
    subject.c.golden.readout[0, 0, 3, 4] += 1
    subject.wholes[0][1][0, 2, 6, 8] += 1
    row = cross.on_linux(machine, subject)
    assert (row.differing, row.tiles, row.photographs) == (2, 1, 1)
    assert row.compared > 2 * 8 * 8 * 3 + 9 * 7 * 3


@pytest.mark.slow
def test_webassembly_is_exact_and_a_wrong_integer_seen(subject: Any) -> None:
    machine = runs("wasm")
    if find_wasm_compiler() is None:
        pytest.skip(REMEDY)
    subject.wholes[0][1][0, 2, 6, 8] += 1
    row = cross.in_page(machine, subject)
    assert (row.differing, row.tiles, row.photographs) == (1, 1, 1)


@pytest.mark.slow
def test_the_bare_machine_is_exact_and_a_wrong_integer_seen(subject: Any) -> None:
    machine, export = runs("cortex-m3"), subject.c
    test = export.folder / "test.c"
    begin, rest = test.read_text().split("readout[192] = {\n    ")
    first, _, others = rest.partition(",")
    test.write_text(f"{begin}readout[192] = {{\n    {int(first) + 1},{others}")
    row = cross.on_bare(machine, subject)
    assert (row.differing, row.compared) == (1, 3 * 8 * 8)
    assert row.per_pixel > 1000 and row.stack > 100


@pytest.mark.slow
def test_the_lamp_blinks_alike_on_the_host_and_on_the_board(export: Export, tmp_path: Path) -> None:
    """examples/board/main.c, with the host's lamp and with the board's: one checksum."""
    if shutil.which("cc") is None:
        pytest.skip("cc is not installed")
    (tmp_path / "lamp.c").write_text(
        "#include <stdio.h>\nvoid lamp(int on);\nvoid lamp(int on) { fputc(on ? '*' : '.', stderr); }\n"
    )
    names = ("-DNETWORK=small", "-DBUFFER_BYTES=SMALL_BUFFER_BYTES", "-DWIDTH=8", "-DHEIGHT=16")
    names += ("-I", str(export.folder))
    sources = (str(BOARD / "main.c"), str(export.folder / "snn.c"))
    command = [
        "cc",
        *cortex.STRICT,
        *names,
        *sources,
        str(tmp_path / "lamp.c"),
        "-o",
        str(tmp_path / "blink"),
    ]
    subprocess.run(command, check=True)
    host = subprocess.run([tmp_path / "blink"], check=True, capture_output=True, text=True)
    assert host.stderr == "*." * 8 and host.stdout.startswith("16 rows, sum ")
    machine = runs("cortex-m3")
    elf = tmp_path / "board.elf"
    board = [*machine.cc.split(), *cortex.STRICT, *cortex.LINK, *names, *sources, str(BOARD / "mps2.c")]
    cortex.told([*board, "-o", elf])
    assert cortex.told([*machine.runner, elf]) == host.stdout
