"""Packages that add a target or a backend badly: one line, the right exit code, and the rest goes on."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from snn_tool.cli.app import run
from snn_tool.cli.doctor import _plugins
from snn_tool.deploy.export import TARGETS
from snn_tool.exporters.contract.backends import open_backend
from snn_tool.exporters.contract.targets import BUILT_IN_BACKENDS, BUILT_IN_TARGETS, Backend
from snn_tool.exporters.loihi.bundle import export_bundle
from snn_tool.exporters.nir.file import write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.files.artifacts import sha256_bytes
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.network import IntegerNetwork

HEAD = """
import numpy as np
from types import SimpleNamespace
from snn_tool.errors import BackendUnavailableError, TargetLimitError, UnsupportedLayerError
from snn_tool.exporters.nir.file import read_program
from snn_tool.exporters.nir.interpreter import run_program

description = "a test's"


def right(network, tiles):
    trace = run_program(read_program(network), tiles.astype(np.int64))
    return SimpleNamespace(readout=trace.readout, spikes=dict(trace.spikes), membranes=dict(trace.membranes))
"""

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Lay down a module and the metadata of a package that declares it."""
    made: list[str] = []

    def write(source: str, name: str = "mine", package: str = "pkg", value: str = "") -> Path:
        module = f"{package}_module"
        info = tmp_path / "site" / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[snn_tool.targets]\n{name} = {value or module}\n")
        (tmp_path / "site" / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path / "site")
        made.append(module)
        return info

    yield write
    for module in made:
        sys.modules.pop(module, None)


@pytest.fixture(scope="module")
def bundle(
    make_network: Callable[..., IntegerNetwork],
    photograph: NDArray[np.float32],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A graded bundle of two tiles of 8 x 8 pixels."""
    folder, network = tmp_path_factory.mktemp("bundle"), make_network("graded", "unet")
    tiles = quantize_image(np.stack([photograph[:, :8, :8], photograph[:, 40:48, 8:16]]), network)
    trace = IntegerEngine(network).run(tiles, [p.wiring.name for p in network.populations])
    write_nir(folder / "network.nir", to_nir(network, 8, 8))
    export_bundle(folder / "network.nir", folder / "out", tiles, trace, student_sha256="5" * 64)
    return folder / "out"


def verify(bundle: Path, capsys: pytest.CaptureFixture[str], *names: str) -> tuple[int, str, str]:
    arguments = [part for name in names for part in ("--backend", name)]
    code = run(["-q", "verify", str(bundle), *arguments])
    return code, *capsys.readouterr()


def one_line(text: str) -> bool:
    return len(text.splitlines()) == 1


UNUSABLE = {
    "does not import": (
        "import nowhere_at_all",
        "",
        "cannot be imported: ModuleNotFoundError: No module named 'nowhere_at_all'",
    ),
    "does not parse": ("def run(:", "", "cannot be imported: SyntaxError: "),
    "leaves": ("raise SystemExit(0)", "", "cannot be imported: SystemExit: 0"),
    "no such object": (HEAD, "pkg_module:other", "has no attribute 'other'"),
    "no entry point": (HEAD, "not a module!", "cannot be imported: "),
    "lacks both": (HEAD, "", "it has neither export(network, folder) nor run(network, tiles)"),
    "method is a number": (HEAD + "run = 3", "", "its run cannot be called"),
    "no description": ("def run(network, tiles): ...", "", "it has no description, a text of one line"),
    "a class": (
        "class C:\n    description = 'c'\n    def run(self, n, t): ...",
        "pkg_module:C",
        "is a class; name an object of it",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", UNUSABLE)
def test_what_cannot_be_used_is_not_run_and_the_others_are(
    case: str, install: Install, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, value, reason = UNUSABLE[case]
    install(source, value=value)
    code, out, _ = verify(bundle, capsys, "mine", "nir")
    assert code == 3
    first, second, *_ = out.splitlines()
    assert first.startswith("mine: not run; mine of pkg 1.0 ") and reason in first
    assert second.startswith("nir: exact, 0 of ")
    assert verify(bundle, capsys, "nir")[::2] == (0, "")
    network = str(bundle / "network.nir")
    assert run(["-q", "export", network, "--target", "mine", "--out", str(tmp_path / "out")]) == 1
    fault = capsys.readouterr().err
    assert one_line(fault) and fault.startswith("error: mine of pkg 1.0 ") and reason in fault
    (found,) = _plugins()
    assert (found.name, found.works, found.remedy) == ("plug-in mine", False, "pip uninstall pkg")
    assert reason in found.detail and one_line(found.detail)
    assert run(["backend", "list"]) == 0
    assert "BROKEN: mine of pkg 1.0" in capsys.readouterr().out


WRONG = {
    "wrong shape": (
        "trace.readout = trace.readout[:, :2]",
        "mine gives as readout [2, 2, 8, 8] instead of [2, 3, 8, 8]",
    ),
    "a timestep less": (
        "trace.spikes['down_in'] = trace.spikes['down_in'][:0]",
        "down_in: mine gives as spikes [0, 2, 4, 8, 8] instead of [1, 2, 4, 8, 8]",
    ),
    "whole floats": (
        "trace.membranes['tail_in'] = trace.membranes['tail_in'].astype(float)",
        "tail_in: mine gives as membranes float64, not integers",
    ),
    "NaN": (
        "v = trace.membranes['tail_in'] * 1.0; v[0, 1, 2, 3, 4] = np.nan; trace.membranes['tail_in'] = v",
        "tail_in: mine gives as membranes float64 with nan at index (0, 1, 2, 3, 4), not integers",
    ),
    "a list": ("trace.readout = trace.readout.tolist()", "mine gives as readout list, not a numpy array"),
    "a population less": (
        "del trace.membranes['tail_in']",
        "tail_in: mine gives no membranes; every population",
    ),
    "no spikes": ("del trace.spikes", "mine gives no spikes by population, but NoneType"),
    "nothing": ("trace = None", "mine gives as readout NoneType, not a numpy array"),
    "raises": (
        "raise ZeroDivisionError('one\\ntwo')",
        "mine of pkg 1.0 fails: ZeroDivisionError: one two (-v",
    ),
    "leaves": ("raise SystemExit(0)", "mine of pkg 1.0 fails: SystemExit: 0"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_trace_is_refused_by_name(
    case: str, install: Install, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, reason = WRONG[case]
    install(
        HEAD
        + f"def run(network, tiles):\n    trace = right(network, tiles)\n    {change}\n    return trace\n"
    )
    code, out, fault = verify(bundle, capsys, "mine")
    assert (code, out) == (1, "")
    assert one_line(fault) and reason in fault, fault


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["UnsupportedLayerError", "BackendUnavailableError", "TargetLimitError"])
def test_a_backend_may_say_that_it_cannot(
    kind: str, install: Install, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(HEAD + f"def run(network, tiles): raise {kind}('up: no pixel-shuffle')")
    code, out, _ = verify(bundle, capsys, "mine")
    assert (code, out.splitlines()[0]) == (3, "mine: not run; mine of pkg 1.0: up: no pixel-shuffle")


@pytest.mark.slow
def test_a_difference_is_located_and_prints_do_not_reach_stdout(
    install: Install, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tiles that the backend scribbles on are its own copy."""
    install(
        HEAD + "def run(network, tiles):\n    print('hello')\n    trace = right(network, tiles)\n"
        "    tiles[:] = 0\n    trace.spikes['tail_in'][0, 1, 2, 3, 4] += 1\n    return trace\n"
    )
    arguments = ["--backend", "mine", "--backend", "nir"]
    assert run(["--json", "verify", str(bundle), *arguments]) == 3
    out, err = capsys.readouterr()
    mine, nir = json.loads(out)["results"]
    assert "hello" in err and nir["status"] == "exact"
    assert (mine["status"], mine["mismatches"]) == ("mismatch", 1)
    first = mine["first"]
    assert (first["layer"], first["quantity"], first["timestep"], first["tile"]) == (
        "tail_in",
        "spikes",
        0,
        1,
    )
    assert first["index"] == [2, 3, 4] and first["actual"] == first["expected"] + 1


@pytest.mark.slow
def test_two_packages_of_one_name_are_both_named(
    install: Install, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = HEAD + "def run(network, tiles): return right(network, tiles)\n"
    install(good, package="first")
    install(good, package="second")
    install(good, package="third", name="other")
    code, out, _ = verify(bundle, capsys, "mine", "other")
    assert code == 3
    assert out.startswith(
        "mine: not run; mine of first 1.0 and mine of second 1.0 have one name; "
        "uninstall one of the packages\nother: exact"
    )
    assert [found.works for found in _plugins()] == [False, False, True]


@pytest.mark.slow
def test_a_built_in_name_stays_built_in(
    install: Install, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install("raise AssertionError('imported')", name="nir")
    assert run(["verify", str(bundle), "--backend", "nir"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("nir: exact")
    assert "nir of pkg 1.0 is not used: the name nir is built in; rename the entry point" in " ".join(
        err.split()
    )
    (found,) = _plugins()
    assert found.works is False and "is built in" in found.detail


@pytest.mark.slow
def test_a_target_alone_and_a_backend_alone(
    install: Install, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(HEAD + "def export(network, folder): (folder / 'a').write_text('a')", "writes", "one")
    install(HEAD + "def run(network, tiles): return right(network, tiles)", "runs", "two")
    code, out, _ = verify(bundle, capsys, "writes")
    assert code == 3 and "writes of one 1.0 is a target and no backend: it has no run(network, tiles)" in out
    network, out_folder = str(bundle / "network.nir"), tmp_path / "out"
    assert run(["-q", "export", network, "--target", "runs", "--out", str(out_folder)]) == 1
    assert "runs of two 1.0 is a backend and no target" in capsys.readouterr().err
    assert run(["-q", "export", network, "--target", "writes", "--out", str(out_folder)]) == 0
    results = json.loads((out_folder / "verification.json").read_text())["results"]
    assert [(r["backend"], r["status"]) for r in results] == [("integer", "exact")]


@pytest.mark.slow
def test_what_a_target_states_is_derived_again_where_it_can_be(
    install: Install, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bundle's network is of 8 x 8 pixels; what the target wrote, nobody else can read."""
    install(HEAD + "def export(network, folder): (folder / 'chip.bin').write_text('a')")
    folder = tmp_path / "out"
    exported = [
        "export",
        str(bundle / "network.nir"),
        "--target",
        "mine",
        "--out",
        str(folder),
        "--no-verify",
    ]
    assert run(["-q", *exported]) == 0
    capsys.readouterr()
    code, out, _ = verify(folder, capsys, "nir")
    assert code == 0 and out.splitlines()[1:] == [
        "derived from network.nir and equal: export.json (image_size), golden.npz (shapes, range of tiles)",
        "stated, not checked: export.json (tool_version, target, package, package_version, runs, "
        "student_sha256, golden, versions), golden.npz (which tiles), what is in 'chip.bin'",
    ]
    manifest = json.loads((folder / "export.json").read_text())
    (folder / "export.json").write_text(json.dumps({**manifest, "image_size": [8, 9]}))
    code, out, _ = verify(folder, capsys, "nir")
    assert code == 3 and "export.json: image_size[1]: stated 9, derived 8" in out.splitlines()


OUTSIDE = ("../stranger", "sub/../../stranger", "/etc/hostname", ".", "l", "d/stranger")


@pytest.mark.slow
@pytest.mark.parametrize("name", OUTSIDE)
def test_a_manifest_does_not_reach_out_of_its_folder(
    name: str, install: Install, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every file has the hash that is stated; `l` is a link to one outside, `d` one to its folder."""
    install(HEAD + "def export(network, folder): (folder / 'chip.bin').write_text('a')")
    folder, network = tmp_path / "out", str(bundle / "network.nir")
    assert run(["-q", "export", network, "--target", "mine", "--out", str(folder), "--no-verify"]) == 0
    (tmp_path / "stranger").write_text("not of this export")
    (folder / "l").symlink_to("../stranger")
    (folder / "d").symlink_to("..")
    capsys.readouterr()
    assert verify(folder, capsys, "nir")[0] == 0
    manifest = json.loads((folder / "export.json").read_text())
    target = folder / name
    manifest["files"][name] = sha256_bytes(target.read_bytes()) if target.is_file() else "0" * 64
    (folder / "export.json").write_text(json.dumps(manifest))
    code, out, fault = verify(folder, capsys, "nir")
    assert (code, out) == (1, "") and one_line(fault)
    said = f"{folder / name.split('/')[0]}: a link, which is not followed"
    assert (
        said if name[0] in "ld" else f"files: the key '{name}' is not allowed; use a path inside the folder"
    ) in fault


EXPORTS = {
    "touches the network": (
        "open(network, 'ab').write(b'x')",
        "changed network.nir, which it is only given to read",
    ),
    "removes the golden": ("(folder / 'golden.npz').unlink()", "changed golden.npz"),
    "writes nothing": ("pass", "wrote no file"),
    "links": ("(folder / 'l').symlink_to(network)", "made l, which is no plain file"),
    "takes our name": (
        "(folder / 'export.json').write_text('{}')",
        "wrote export.json, a name that snn-tool keeps",
    ),
    "raises": ("raise KeyError('head')", "fails: KeyError: 'head' (-v shows where)"),
    "refuses": ("raise UnsupportedLayerError('up: no pixel-shuffle')", ": up: no pixel-shuffle"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", EXPORTS)
def test_an_export_that_goes_wrong_leaves_nothing(
    case: str, install: Install, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, reason = EXPORTS[case]
    install(HEAD + f"def export(network, folder):\n    (folder / 'sub').mkdir()\n    {change}\n")
    out = tmp_path / "exports" / "out"
    assert run(["-q", "export", str(bundle / "network.nir"), "--target", "mine", "--out", str(out)]) == 1
    fault = capsys.readouterr().err
    assert one_line(fault) and f"error: mine of pkg 1.0{'' if reason[0] == ':' else ' '}{reason}" in fault
    assert list(out.parent.iterdir()) == []


@pytest.mark.slow
def test_conformance_takes_a_backend(
    install: Install, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One is exact, one fails when it runs, one is not there."""
    install(HEAD + "def run(network, tiles): return right(network, tiles)", "good", "one")
    install(HEAD + "def run(network, tiles): return 1 / 0", "bad", "two")
    command = ["-q", "conformance", str(bundle), "--tiles", "1", "--backend", "good"]
    assert run([*command, "--out", str(tmp_path / "good")]) == 0
    row = json.loads((tmp_path / "good/conformance.json").read_text())["rows"][-1]
    assert (row["backend"], row["membrane"], row["runs"], row["differing"]) == ("good", "integers", True, 0)
    assert row["spikes_compared"] > 0 and row["versions"] == {"one": "1.0"}
    assert run([*command, "--backend", "bad"]) == 3
    assert "bad (integers): bad of two 1.0 fails: ZeroDivisionError" in capsys.readouterr().out
    assert run([*command, "--backend", "none"]) == 2


@pytest.mark.slow
def test_a_backend_may_fit_the_protocol_of_the_built_in_ones(
    install: Install, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It gets the export and the context; what it gives is checked; `run` is not called."""
    install(
        HEAD + "def run(network, tiles): raise AssertionError\n"
        "def versions(export, context): return {'chip': export.target, 'lava': context.conv}\n"
        "def trace(export, tiles, record, context):\n"
        "    assert export.program is export.program and list(record) == export.order\n"
        "    return right(export.network.path, tiles)\n"
    )
    arguments = ["--backend", "mine", "--lava-conv", "blas"]
    assert run(["--json", "verify", str(bundle), *arguments]) == 0
    (mine,) = json.loads(capsys.readouterr().out)["results"]
    assert mine["status"] == "exact" and mine["values_compared"] > 0
    assert mine["versions"] == {"chip": "loihi", "lava": "blas", "pkg": "1.0"}
    install(
        HEAD + "def versions(export, context): return {}\n"
        "def trace(export, tiles, record, context): return right(export.network.path, tiles[:1])\n",
        "short", "two",
    )  # fmt: skip
    code, _, fault = verify(bundle, capsys, "short")
    assert code == 1 and "short gives as readout [1, 3, 8, 8] instead of [2, 3, 8, 8]" in fault


@pytest.mark.slow
def test_photographs_are_held_against_it(
    install: Install, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image
    from snn_tool.degradations.crops import read_photograph

    (tmp_path / "photos").mkdir()
    crop = np.ascontiguousarray(read_photograph("skimage.data", "coffee.png")[100:108, 100:108])
    Image.fromarray(crop).save(tmp_path / "photos/a.png")
    install(HEAD + "def run(network, tiles): return right(network, tiles)")
    images = ["--images", str(tmp_path / "photos"), "--tiles", "9", "--whole", "1"]
    assert run(["-q", "verify", str(bundle), "--backend", "mine", *images]) == 0
    golden, tiles, whole, *_ = capsys.readouterr().out.splitlines()
    assert golden.startswith("mine: exact") and "on 9 tiles" in tiles
    assert "0 of 192 integers differ on the whole a.png" in whole


@pytest.mark.slow
def test_metadata_that_cannot_be_read_breaks_nothing(
    install: Install, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(HEAD, package="good")
    (install(HEAD, package="worse") / "entry_points.txt").write_text("[snn_tool.targets]\nno equals sign\n")
    (install(HEAD, package="worst") / "entry_points.txt").write_bytes(b"[snn_tool.targets]\n\xff = x\n")
    assert verify(bundle, capsys, "nir")[::2] == (0, "")
    assert [found.name for found in _plugins()] == ["plug-in mine"]


def test_unknown_names_are_usage_errors_that_list_the_installed(
    install: Install, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install("raise AssertionError('imported')")
    code, _, fault = verify(bundle, capsys, "yours")
    assert code == 2 and "nirtorch, mine" in fault
    network = str(bundle / "network.nir")
    assert run(["export", network, "--target", "yours", "--out", str(tmp_path / "o")]) == 1
    assert "use one of nir, loihi, netx, c, wasm, onnx, mine" in capsys.readouterr().err


@pytest.mark.slow
def test_help_and_other_commands_do_not_import_it(install: Install, bundle: Path) -> None:
    install("raise AssertionError('imported')")
    for command in (["--help"], ["verify", "--help"], ["models"], ["check", str(bundle / "network.nir")]):
        script = f"import sys; from snn_tool.cli.app import run; sys.exit(run({command!r}))"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert done.returncode in (0, 3) and "imported" not in done.stderr, done.stderr


def test_the_list_of_what_is_built_in_is_what_the_commands_take() -> None:
    assert tuple(BUILT_IN_TARGETS) == TARGETS
    for name, built_in in BUILT_IN_BACKENDS.items():
        backend = open_backend(name)
        assert isinstance(backend, Backend) and built_in.only_for in ("", *TARGETS), name
