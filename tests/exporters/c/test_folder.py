"""The folder of `export --target c`: verified by compiling it, refused where it cannot be, counted before."""

import json
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from snn_tool.cli.app import run
from snn_tool.deploy.export import export_student
from snn_tool.deploy.options import GoldenOptions
from snn_tool.deploy.verify import open_export, verify_export
from snn_tool.errors import ConfigError, UnsupportedLayerError
from snn_tool.exporters.c.plan import make_plan
from snn_tool.exporters.c.proofs import Held, division, held_sums
from snn_tool.exporters.c.source import network_files
from snn_tool.exporters.c.target import CTarget, footprint, prefix_of
from snn_tool.exporters.contract.targets import Context
from snn_tool.exporters.nir.program import Program
from snn_tool.files.artifacts import sha256_file
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.networks.open import open_integers
from snn_tool.networks.shipped import student_path

MakeNetwork, ProgramOf = Callable[..., IntegerNetwork], Callable[..., Program]
OPTIONS = GoldenOptions(size=12, tiles=1, task="denoise", sigma="25")
SMALL = Context(cc="cc -O1 -DSNN_SMALL")


@pytest.fixture
def exported(make_network: MakeNetwork, tmp_path: Path) -> Path:
    source = tmp_path / "tiny-one.int.safetensors"
    save_integer_network(source, make_network("graded"), {})
    export_student(source, "c", tmp_path / "out", OPTIONS, verify=False)
    return tmp_path / "out"


def change_weight(folder: Path, name: str) -> None:
    """Change a portable weight of snn.c, and its hash in the manifest, as somebody would who hides it."""
    text = (folder / "snn.c").read_text()
    head = text.rindex("{", 0, text.rindex(f"conv_{name} = {{"))  # the array before the portable description
    number = re.compile(r"\s*(-?\d+)").match(text, head + 1)
    assert number
    other = str(int(number[1]) + (1 if int(number[1]) < 0 else -1))
    (folder / "snn.c").write_text(text[: number.start(1)] + other + text[number.end(1) :])
    manifest = json.loads((folder / "export.json").read_text())
    manifest["files"]["snn.c"] = sha256_file(folder / "snn.c")
    (folder / "export.json").write_text(json.dumps(manifest))


@pytest.mark.slow
def test_a_folder_is_verified_and_a_changed_weight_is_found(exported: Path) -> None:
    report = verify_export(open_export(exported), None, None, SMALL)
    assert report.passed and [result.backend for result in report.results] == ["nir", "c"]
    change_weight(exported, "enc_conv2")
    found = verify_export(open_export(exported), ["c"], None, SMALL).results[0]
    assert found.status == "mismatch" and found.first
    assert (found.first.layer, found.first.quantity) == ("down_in", "membranes")


@pytest.mark.slow
def test_make_test_and_two_networks_in_one_program(
    exported: Path, make_network: MakeNetwork, tmp_path: Path
) -> None:
    """The folder's own test passes; two folders link, and each keeps its own names."""
    subprocess.run(["make", "-s", "test", "CFLAGS=-O1 -DSNN_SMALL -Werror"], cwd=exported, check=True)
    source = tmp_path / "other.int.safetensors"
    save_integer_network(source, make_network("lif", "chain"), {})
    other = tmp_path / "second"
    export_student(source, "c", other, OPTIONS, verify=False, prefix="second")
    (tmp_path / "main.c").write_text(
        '#include "out/snn.h"\n#include "second/snn.h"\n'
        "static uint8_t one[TINY_ONE_BUFFER_BYTES(8)], two[SECOND_BUFFER_BYTES(8)], image[192], out[192];\n"
        "int main(void) { return tiny_one_run(image, 8, 8, out, one, sizeof one)\n"
        "  || second_run(image, 8, 8, out, two, sizeof two); }\n"
    )
    for name in ("out", "second"):
        words = ["cc", "-O1", "-DSNN_SMALL", "-c", "-o", f"{name}.o", f"{name}/snn.c"]
        subprocess.run(words, cwd=tmp_path, check=True)
    subprocess.run(["cc", "-o", "both", "main.c", "out.o", "second.o"], cwd=tmp_path, check=True)
    subprocess.run([tmp_path / "both"], check=True)
    names = subprocess.run(
        ["nm", "-g", "--defined-only", "out.o"], cwd=tmp_path, capture_output=True, text=True
    )
    assert all(line.split()[-1].startswith("tiny_one_") for line in names.stdout.splitlines())


@pytest.mark.slow
def test_what_is_counted_is_what_the_compiler_makes(
    program_of: ProgramOf, make_network: MakeNetwork, tmp_path: Path
) -> None:
    """Weights, biases and tables to the byte, no data of its own, and the buffer of every width."""
    program = program_of(make_network("lif", "unet", 6), 16, 16)
    plan = make_plan(program, {})
    taken = footprint(plan)
    for name, text in network_files(plan, "net").items():
        (tmp_path / name).write_text(text)
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "snn.h"\nint main(void) { int w; for (w = 1; w < 300; w += 7)\n'
        'printf("%d %lu %d\\n", w, (unsigned long)net_buffer_bytes(w), net_largest_width(w * 9000u));\n'
        "return 0; }\n"
    )
    words = ["cc", "-O1", "-DSNN_SMALL", "-DSNN_KERNEL=0", "-fno-pie", "-c", "snn.c"]
    subprocess.run(words, cwd=tmp_path, check=True)
    listed = subprocess.run(["nm", "-S", "snn.o"], cwd=tmp_path, capture_output=True, text=True, check=True)
    sizes = {
        fields[3]: int(fields[1], 16)
        for line in listed.stdout.splitlines()
        if len(fields := line.split()) == 4
    }
    counted = re.compile(r"(weight|bias)_\w+|needs|groups|heights|ring_rows|creators")
    assert sum(size for name, size in sizes.items() if counted.fullmatch(name)) == taken.constants
    sections = subprocess.run(["size", "snn.o"], cwd=tmp_path, capture_output=True, text=True, check=True)
    text, _, bss, *_ = sections.stdout.splitlines()[1].split()
    assert int(bss) == 0 and taken.constants < int(text) < taken.constants + 32768
    subprocess.run(["cc", "-no-pie", "-o", "main", "main.c", "snn.o"], cwd=tmp_path, check=True)
    told = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True)
    for line in told.stdout.splitlines():
        width, size, widest = map(int, line.split())
        assert (size, widest) == (taken.ram(width), taken.largest_width(width * 9000))


@pytest.mark.slow
def test_calls_that_do_not_fit_are_told(
    program_of: ProgramOf, make_network: MakeNetwork, tmp_path: Path
) -> None:
    """A width of 0, a buffer a byte too small, no rows at all, rows after the end, rows never taken."""
    for name, text in network_files(make_plan(program_of(make_network("graded"), 8, 8), {}), "net").items():
        (tmp_path / name).write_text(text)
    (tmp_path / "main.c").write_text(
        '#include "snn.h"\nstatic uint8_t buffer[NET_BUFFER_BYTES(9)], row[27];\n'
        "int main(void) { net_state s; int i, status = 0;\n"
        "if (net_init(&s, buffer, sizeof buffer, 0) != NET_BAD_WIDTH) return 1;\n"
        "if (net_init(&s, buffer, sizeof buffer - 1, 9) != NET_SMALL_BUFFER) return 2;\n"
        "if (net_init(&s, buffer, sizeof buffer, 11) != NET_SMALL_BUFFER) return 3;\n"
        "if (net_init(&s, buffer, sizeof buffer, 9)) return 4;\n"
        "if (net_finish(&s) != NET_BAD_CALL) return 5;\n"
        "for (i = 0; i < 99 && !status; i++) status = net_push_row(&s, row);\n"
        "if (status != NET_FULL || i < NET_DELAY_ROWS) return 6;\n"
        "while (net_pop_row(&s, row)) i++;\n"
        "if (net_push_row(&s, row)) return 7;\n"
        "if (net_finish(&s) || net_push_row(&s, row) != NET_BAD_CALL) return 8;\n"
        "return 0; }\n"
    )
    words = ["cc", "-O1", "-DSNN_SMALL", "-DSNN_KERNEL=0", "-o", "main", "main.c", "snn.c"]
    subprocess.run(words, cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "main"]).returncode == 0


def fake_compiler(path: Path, body: str) -> str:
    path.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo fake 1.0; exit 0; fi\n{body}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.slow
def test_compilers_that_fail_hang_or_are_not_there(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = open_export(exported)
    failing = fake_compiler(tmp_path / "fails", "echo 'snn.c:1: something is wrong' >&2; exit 1")
    hanging = fake_compiler(tmp_path / "hangs", "sleep 60")
    for context, words in (
        (Context(cc=failing), ("exit code 1", "something is wrong", "--cc")),
        (Context(cc=hanging, timeout_s=0.3), ("did not finish within",)),
        (Context(cc="no-such-compiler"), ("no-such-compiler", "no such compiler", "install gcc")),
    ):
        result = verify_export(export, ["c"], None, context).results[0]
        assert result.status == "not run"
        assert all(word in result.reason for word in words), result.reason
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    result = verify_export(export, ["c"]).results[0]
    assert result.status == "not run" and "no C compiler" in result.reason


@pytest.mark.slow
def test_resources_of_a_folder(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--json", "resources", str(exported), "--size", "64", "--ram", "32"]) == 0
    told = json.loads(capsys.readouterr().out)
    taken = footprint(make_plan(open_export(exported).program, {}))
    assert told["ram_bytes"] == taken.ram(64) and told["constants_bytes"] == taken.constants
    width = told["largest_width"]["32"]
    assert taken.ram(width) <= 32 << 10 < taken.ram(width + taken.unit)


def test_prefixes() -> None:
    assert prefix_of("denoise-25.int.safetensors") == "denoise_25"
    assert prefix_of("25.nir") == "net_25" and prefix_of("snn.nir") == "net_snn"
    for wrong in ("1st", "a-b", "", "snn", "ä"):
        with pytest.raises(ConfigError, match="--prefix"):
            CTarget(wrong)


def test_a_prefix_of_another_target_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--prefix x belongs to --target c"):
        export_student(tmp_path / "a.int.safetensors", "nir", tmp_path / "out", OPTIONS, prefix="x")


def test_sums_beyond_32_bits_are_refused_by_name(program_of: ProgramOf, make_network: MakeNetwork) -> None:
    program = program_of(make_network("graded"), 8, 8)
    convs = list(program.convs)
    at = next(i for i, conv in enumerate(convs) if conv.name == "enc_conv1")
    convs[at] = replace(convs[at], weight=convs[at].weight << 24, mantissa_exponent=24)
    with pytest.raises(UnsupportedLayerError, match="enc_conv1: a sum of products may exceed 32 bits"):
        make_plan(replace(program, convs=tuple(convs)), {})
    nodes = list(program.populations)
    convs = [replace(conv, bias=conv.bias + (1 << 31)) for conv in program.convs]
    with pytest.raises(UnsupportedLayerError, match=f"{nodes[0].name}: a sum of currents"):
        make_plan(replace(program, convs=tuple(convs)), {})


@pytest.mark.parametrize("threshold", [1, 2, 3, 962, 1721, 4096, 99999, 131071])
@pytest.mark.parametrize("levels", [1, 8, 127])
def test_the_division_is_exact(threshold: int, levels: int) -> None:
    """At every place where the quotient changes, and beside it."""
    multiplier, shift = division(threshold, levels)
    if not multiplier:
        assert threshold > 128  # small thresholds always have one
        return
    steps = np.arange(0, levels + 2, dtype=np.int64) * 2 * threshold
    near = np.concatenate([steps - 1, steps, steps + 1])
    for n in near[(near >= 0) & (near <= (2 * levels + 3) * threshold)]:
        assert (int(n) * multiplier) < 1 << 32
        assert int(n) * multiplier >> shift == int(n) // (2 * threshold)


def test_sums_are_held_in_as_few_bytes_as_hold_them() -> None:
    """By hand at the ends of 16 and 24 bits; zeros below are left out if that saves a byte."""
    assert held_sums(-(1 << 15), (1 << 15) - 1, 0) == Held(2, 0)
    assert held_sums(0, 1 << 15, 0) == held_sums(-(1 << 15) - 1, 0, 0) == Held(3, 0)
    assert held_sums(-(1 << 23), (1 << 23) - 1, 0) == Held(3, 0) and held_sums(0, 1 << 23, 0) == Held(4, 0)
    assert held_sums(0, 1 << 15, 1) == Held(2, 1) and held_sums(0, 1 << 16, 1) == Held(3, 0)


def test_skips_of_lif_stand_beside_what_timesteps_share(
    program_of: ProgramOf, make_network: MakeNetwork
) -> None:
    """The head's sum is one row for all four steps, 4 bytes saved for 3; of two steps it is not."""
    network = make_network("lif", "unet", 12, 1)
    plan = make_plan(program_of(network, 8, 8), {})
    head, skips = plan.stream_of("enc_in"), plan.stream_of("tail_in")
    assert [layer.name for layer in plan.layers if layer.beside] == ["down_in", "dec_in", "tail_in"]
    assert (head.planes, head.held) == (1, Held(3, 0)) and (skips.planes, skips.held.size) == (4, 2)
    assert footprint(plan).ram(128) <= 256_000
    two = make_plan(program_of(replace(network, timesteps=2), 8, 8), {})
    assert not any(layer.beside for layer in two.layers) and two.stream_of("tail_in").held.size == 3


@pytest.mark.slow
@pytest.mark.parametrize(("name", "most"), [("denoise-25", 500_000), ("denoise-25-lif", 1_000_000)])
def test_memory_aims(program_of: ProgramOf, name: str, most: int) -> None:
    """24 channels at 256 columns."""
    program = program_of(open_integers(student_path(name)).network, 8, 8)
    assert footprint(make_plan(program, {})).ram(256) <= most
