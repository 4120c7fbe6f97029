"""Foreign text on a terminal: shown, never obeyed; and streams that take nothing or little."""

import ast
import io
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import nir
import numpy as np
import pytest
import snn_tool
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from snn_tool.cli.app import run
from snn_tool.deploy import backends as backend_list
from snn_tool.exporters.contract.targets import Declared
from snn_tool.exporters.loihi.bundle import export_bundle
from snn_tool.exporters.nir.file import write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.tables import TableText, plain_table, printable, rendered
from snn_tool.terminal import NO_READER, Terminal, configure_logging, say

PACKAGE = Path(snn_tool.__file__).parent
STUDENT = "denoise-25-lif"
EVIL = "\x1b]0;owned\x07\x1b[2J[/b][red]{0}\u202e\u2028\x9b1m"
"""A title, a cleared screen, rich's markup, a format, a bidi override, a line separator, a C1 sequence."""
SHOWN = r"\x1b]0;owned\x07\x1b[2J[/b][red]{0}\u202e\u2028\x9b1m"
HOSTILE = "[b][red]{0}%s"
"""A population's name that our own files may have: markup and formats."""
IN_A_NAME, SHOWN_NAME = EVIL.replace("/", ""), SHOWN.replace("/", "")
STEERS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("photograph 1.png", "photograph 1.png"),
        ("Straße ± 3 µJ, 東京 \U0001f600", "Straße ± 3 µJ, 東京 \U0001f600"),
        (EVIL, SHOWN),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        (os.fsdecode(b"\xffa\x80.png"), r"\xffa\x80.png"),
        ("\ud800", r"\ud800"),
        ("'quoted' and \"quoted\"", "'quoted' and \"quoted\""),
        (Path("a/b"), "a/b"),
    ],
)
def test_printable_shows_what_steers_a_terminal(text: object, expected: str) -> None:
    assert printable(text) == expected


@given(st.text(), st.integers(8, 40))
def test_printable_is_harmless_bounded_and_final(text: str, length: int) -> None:
    shown = printable(text)
    assert not STEERS.search(shown) and "\n" not in shown
    assert printable(shown) == shown
    assert printable(text, keep="\n").count("\n") == text.count("\n")
    cut = printable("x" * len(text), length)
    assert len(cut) == min(len(text), length)


def test_long_texts_are_cut_in_the_middle() -> None:
    assert printable("abcdefghij" * 2, 11) == "abcd … ghij"
    assert printable("abcdefghijk", 11) == "abcdefghijk"


def test_tables_take_every_cell_literally() -> None:
    table = plain_table(EVIL, (EVIL,), ("n",))
    table.add_row("[/b]", "1")
    table.add_row(EVIL, "2")
    text = rendered(table)
    assert SHOWN in text and "[/b]  " in text and not STEERS.search(text)
    assert rendered(EVIL + "[/b]") == SHOWN + "[/b]"
    assert len(rendered(plain_table("t" * 10_000, ("a",), ()))) < 1000


def digits(text: str) -> list[str]:
    return re.findall(r"\d[\d,]*", text)


@pytest.mark.parametrize("name", ["conv", "a.long.path.of.a.module." * 6])
@pytest.mark.parametrize("size", [1, 9, 15, 40])
def test_a_table_never_cuts_a_number(name: str, size: int) -> None:
    """Six columns of `size` digits: headings wrap and names fold first; then the table is wider than 80."""
    headings = ("synaptic operations", "MACs", "dense MACs", "updates", "spikes per neuron", "weight B")
    numbers = [f"{int('9' * size) - i:,}" for i in range(len(headings))]
    table = plain_table("title", ("module", "reads"), headings)
    table.add_row(name, "spikes", *numbers)
    text = rendered(table)
    assert digits(text) == numbers and "…" not in text
    least = sum(max(len(numbers[0]), 9) for _ in headings) + 2 * 8 + 2 * len(headings) + 4
    assert max(map(len, text.splitlines())) <= max(80, least)
    folded = "".join(line.split()[0] for line in text.splitlines() if line.strip())
    assert folded.endswith(name)


def test_a_narrow_console_folds_names_and_leaves_numbers_whole() -> None:
    table = plain_table("t", ("module", "reads"), ("synops", "dense MACs"))
    table.add_row("a.module.with.a.name", "spikes", "123,456,789", "987,654,321")
    console = Console(file=io.StringIO(), width=30)
    console.print(table, crop=False)
    assert isinstance(console.file, io.StringIO)
    assert digits(console.file.getvalue()) == ["123,456,789", "987,654,321"]


def test_a_rendered_table_is_text_for_print_and_for_rich() -> None:
    table = plain_table("t", ("name",), ("n",))
    table.add_row("[/b]", "1")
    text = TableText(rendered(table))
    console = Console(file=io.StringIO(), width=80, markup=True)
    console.print(text)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().rstrip("\n") == str(text).rstrip("\n")


def test_notes_bars_logs_and_results(capsys: pytest.CaptureFixture[str]) -> None:
    """Every way out of the tool, with text that steers terminals, is markup, and is a format."""
    terminal = Terminal()
    terminal.note(EVIL)
    assert list(terminal.track([1, 2], f"r{{0}}{EVIL}")) == [1, 2]
    with terminal.steps() as log:
        log(f"{EVIL}: step 1 of 2, 1.5 s")
        log(f"lava: {EVIL}")
    configure_logging(0)
    logging.getLogger("snn_tool").warning("%s: alpha channel dropped", EVIL)
    say(f"error: {EVIL}")
    terminal.result(EVIL + "\nsecond line", {})
    Terminal(as_json=True).result("", {"name": EVIL})
    printed = capsys.readouterr()
    assert not STEERS.search(printed.err + printed.out)
    for expected in (SHOWN, "r{0}", f"lava: {SHOWN[:20]}", "alpha channel dropped", f"error: {SHOWN}"):
        assert expected in re.sub(r"\s+", " ", printed.err), expected
    text, _, document = printed.out.rstrip("\n").rpartition("\n")
    assert text == SHOWN + "\nsecond line"
    assert json.loads(document) == {"name": EVIL}


def test_an_error_is_one_line_of_bounded_length(capsys: pytest.CaptureFixture[str]) -> None:
    say("error: " + "many\nwords \x1b" * 100_000)
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and len(err) < 40_000 and "\x1b" not in err


@pytest.fixture
def evil_folder(tmp_path: Path) -> Path:
    """A photograph whose name steers a terminal, another whose name is no UTF-8, a third of 8 pixels."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    photographs = {f"a{IN_A_NAME}\n.png": pixels, os.fsdecode(b"b\xff.png"): pixels, "c.png": pixels[:8]}
    for name, image in photographs.items():
        with open(folder / name, "wb") as file:
            Image.fromarray(image).save(file, "PNG")
    return folder


def names(folder: Path) -> set[bytes]:
    return {os.fsencode(path.name) for path in folder.glob("[!.]*")}


@pytest.mark.slow
def test_commands_take_any_file_name(
    evil_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """restore, evaluate, degrade, energy report, export: shown as escapes, and exact in JSON."""
    images, out = str(evil_folder), tmp_path / "out"
    commands = (
        ["restore", images, "--student", STUDENT, "--out", str(out / "restored")],
        ["evaluate", "--student", STUDENT, "--data", images, "--out", str(out / "scores.json")],
        ["degrade", "--images", images, "--out", str(out / "degraded")],
        ["export", STUDENT, "--target", "nir", "--images", images, "--out", str(out / "nir"), "--size", "8"],
        ["energy", "report", "--student", STUDENT, "--images", images, "--out", str(out / "energy")]
        + ["--no-sweep", "--crop", "0", "--limit", "2"],
    )
    for command in commands:
        for flags in (["-q"], ["-q", "--json"]):
            more = ["--overwrite"] if "--json" in flags else []
            assert run([*flags, *command, *more]) == 0, (command, capsys.readouterr())
            printed = capsys.readouterr()
            assert not STEERS.search(printed.out + printed.err), command
            if "--json" in flags:
                json.loads(printed.out)
            elif command[0] in ("restore", "evaluate"):
                assert printed.out.count("\n") == {"restore": 3, "evaluate": 5}[command[0]]
                assert f"a{SHOWN_NAME}\\n" in printed.out and "b\\xff" in printed.out
    assert names(out / "restored") == names(evil_folder)
    scores = json.loads((out / "scores.json").read_text("utf-8"))
    assert {os.fsencode(image["name"]) for image in scores["images"]} == names(evil_folder)
    page = (out / "energy" / "energy.html").read_text("utf-8")
    assert not STEERS.search(page)


def test_ssim_is_the_mean_of_the_images_that_have_one(
    evil_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The window has 11 pixels, so two photographs of 16 count and one of 8 rows does not."""
    evaluate = ["evaluate", "--student", STUDENT, "--data"]
    assert run(["-q", "--json", *evaluate, str(evil_folder)]) == 0
    scored = json.loads(capsys.readouterr().out)
    values = [image["ssim"] for image in scored["images"] if image["ssim"] is not None]
    assert scored["ssim_images"] == len(values) == 2
    assert scored["mean"]["ssim"] == pytest.approx(sum(values) / 2, abs=1e-4)
    assert run(["-q", *evaluate, str(evil_folder)]) == 0
    assert "SSIM of 2 of 3 images 0." in capsys.readouterr().out
    assert run(["-q", *evaluate, str(evil_folder / "c.png")]) == 0
    out = capsys.readouterr().out
    assert "no SSIM: every image is smaller than its window of 11 pixels" in out and "nan" not in out


@pytest.mark.slow
def test_errors_and_usage_faults_of_foreign_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / IN_A_NAME
    for arguments in (
        ["restore", str(missing)],
        ["verify", str(missing)],
        ["check", str(missing) + ".nir"],
        ["models", EVIL],
        ["evaluate", "--student", STUDENT, "--data", str(missing)],
        ["degrade", "--images", str(missing), "--out", str(missing)],
        ["export", STUDENT, "--target", EVIL, "--out", str(missing)],
        [EVIL],
        ["restore", "--" + EVIL],
        ["models", os.fsdecode(b"\xff")],
    ):
        assert run(["-q", *arguments]) in (1, 2)
        printed = capsys.readouterr()
        assert not STEERS.search(printed.out + printed.err), arguments
        assert printed.err.count("\n") == 1, printed.err


def test_a_plugin_of_a_foreign_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = EntryPoint(f"[/b]{EVIL}", "nowhere:nothing", "snn_tool.targets")
    point = Declared(entry.name, EVIL, EVIL, entry)
    monkeypatch.setattr(backend_list, "declared", lambda: [point])
    assert run(["backend", "list"]) == 0
    printed = capsys.readouterr().out
    assert not STEERS.search(printed) and "[/b]" in printed


SCRIPT = "import sys; from snn_tool.cli.app import main; main()"


def tool(arguments: Iterable[str], **options: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", SCRIPT, *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload, no-any-return]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["models"], ["--help"], ["--version"], ["--json", "models"]])
def test_a_reader_that_goes_away_ends_the_command_without_a_word(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = tool(arguments, stdout=writing)
    os.close(writing)
    _, err = process.communicate()
    assert (process.returncode, err) == (NO_READER, b"")


@pytest.mark.slow
def test_a_command_without_stdout_does_its_work() -> None:
    """Its number must not go to a file, nor to what a child process prints into."""
    process = subprocess.run(
        ["/bin/sh", "-c", f"exec {sys.executable} -c '{SCRIPT}' -q models >&- <&-"], capture_output=True
    )
    assert (process.returncode, process.stderr) == (0, b"")


@pytest.mark.slow
def test_a_full_disk_behind_stdout_is_an_error() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with open("/dev/full", "wb") as full:
        process = tool(["models"], stdout=full)
        _, err = process.communicate()
    assert process.returncode == 1
    assert err == b"error: standard output: cannot be written (No space left on device)\n"


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "utf-8"])
@pytest.mark.parametrize(
    "arguments", [["models"], ["models", STUDENT], ["backend", "list"], ["restore", "東京", "\u202e"]]
)
def test_any_encoding_of_the_streams(encoding: str, arguments: list[str]) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    process = tool(arguments, stdout=subprocess.PIPE, env=environment)
    out, err = process.communicate()
    assert process.returncode == (1 if arguments[0] == "restore" else 0), err
    text = (out + err).decode(encoding)
    assert "Traceback" not in text
    if arguments[0] == "restore":
        assert ("東京" if encoding == "utf-8" else "\\u6771\\u4eac") in text
    if arguments == ["models"]:
        rule = "─" if encoding == "utf-8" else "-"
        assert rule * 50 in text


WRITERS = {
    "print",
    "echo",
    "secho",
    "Console",
    "Progress",
    "RichHandler",
    "from_markup",
    "Table",
    "TextColumn",
}


def writers(path: Path) -> set[str]:
    """Names of calls in a file that print or make something that does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            owner = ast.unparse(function.value) if isinstance(function, ast.Attribute) else ""
            if name in WRITERS and owner in ("", "rich", "typer", "Text", "rich.console", "Console"):
                found.add(name)
            if name in ("write", "writelines") and owner in ("sys.stdout", "sys.stderr"):
                found.add(f"{owner}.{name}")
        if isinstance(node, ast.ImportFrom) and node.module == "rich.markup":
            found.add("rich.markup")
    return found


@pytest.mark.slow
def test_only_one_place_prints() -> None:
    """Text for people leaves by `terminal`, tables are made in `tables`; nothing reads markup."""
    printing = {}
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if "/runner/" not in name and (
            found := writers(path)
        ):  # their output is read by the program that starts them
            printing[name] = found
    assert printing.pop("terminal.py") >= {"Progress", "RichHandler", "sys.stdout.write", "sys.stderr.write"}
    assert printing.pop("tables.py") == {"Console"}
    assert printing.pop("cli/options.py") == {"rich.markup"}, "typer takes help for markup"
    assert printing == {}


def test_the_search_for_what_prints_finds_it(tmp_path: Path) -> None:
    source = "import sys\nfrom rich.markup import escape\nprint(1)\nConsole()\nsys.stderr.write('')\n"
    (tmp_path / "a.py").write_text(source)
    assert writers(tmp_path / "a.py") == {"rich.markup", "print", "Console", "sys.stderr.write"}


@pytest.fixture(scope="module")
def hostile_files(
    make_network: Callable[..., IntegerNetwork],
    photograph: NDArray[np.float32],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A bundle whose golden spikes are wrong in a population called `HOSTILE`; another tool's NIR file."""
    folder, network = tmp_path_factory.mktemp("hostile"), make_network("lif", "chain")
    first = network.populations[0].wiring.name
    network = replace(
        network,
        populations=tuple(
            replace(p, wiring=replace(p.wiring, name=HOSTILE)) if p.wiring.name == first else p
            for p in network.populations
        ),
        synapses=tuple(
            replace(s, wiring=replace(s.wiring, source=HOSTILE)) if s.wiring.source == first else s
            for s in network.synapses
        ),
    )
    tiles = quantize_image(photograph[None, :, :8, :8], network)
    trace = IntegerEngine(network).run(tiles, [p.wiring.name for p in network.populations])
    write_nir(folder / "network.nir", to_nir(network, 8, 8))
    trace.spikes[HOSTILE][0, 0, 0, 0, 0] ^= 1
    export_bundle(folder / "network.nir", folder / "bundle", tiles, trace, student_sha256="5" * 64)
    full = np.ones((2, 8, 8))
    nodes = {
        "in": nir.Input(np.array([3, 8, 8])),
        "conv": nir.Conv2d((8, 8), np.ones((2, 3, 3, 3)), 1, 1, 1, 1, np.zeros(2)),
        IN_A_NAME: nir.IF(full, full * 0.5, full * 0),
        "out": nir.Output(np.array([2, 8, 8])),
    }
    nir.write(folder / "foreign.nir", nir.NIRGraph(nodes, list(zip(nodes, list(nodes)[1:], strict=False))))
    (folder / "images").mkdir()
    Image.fromarray((photograph[:, :16, :16].transpose(1, 2, 0) * 255).astype(np.uint8)).save(
        folder / "images/a.png"
    )
    return folder


COMMANDS = {
    "check": ["check", "{0}/foreign.nir", "--target", "snntorch"],
    "import": ["import", "{0}/foreign.nir", "--images", "{0}/images", "--dt", "1", "--out"]
    + ["{1}/i.int.safetensors"],
    "energy nir": ["energy", "nir", "{0}/foreign.nir", "--images", "{0}/images", "--dt", "1"],
    "verify": ["verify", "{0}/bundle", "--backend", "nir"],
    "conformance": ["conformance", "{0}/bundle", "--tiles", "1", "--out", "{1}/c"],
    "resources": ["resources", "{0}/bundle"],
    "export": ["export", "{0}/network.nir", "--target", "loihi", "--no-verify", "--out", "{1}/e"],
}
"""All that print names of populations, of another tool's file or of ours."""
NAMED = {"check": SHOWN_NAME, "energy nir": SHOWN_NAME[:12], "verify": HOSTILE, "resources": HOSTILE[:12]}
"""What of the name stands in the text; tables fold it."""


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flags", [[], ["-v"], ["--json"]], ids=["text", "verbose", "json"])
def test_commands_take_any_name_of_a_population(
    command: str, flags: list[str], hostile_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They do their work; the name is shown, and rich neither reads nor fills it."""
    places = {"{0}": str(hostile_files), "{1}": str(tmp_path)}
    arguments = [re.sub(r"\{\d\}", lambda found: places[found[0]], part) for part in COMMANDS[command]]
    code = run([*flags, *arguments])
    printed = capsys.readouterr()
    assert code == (3 if command == "verify" else 0), printed
    assert not STEERS.search(printed.out + printed.err), printed
    if flags == ["--json"]:
        json.loads(printed.out)
    else:
        assert NAMED.get(command, "") in printed.out, printed.out
