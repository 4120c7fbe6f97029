"""docs/guides/targets.md: its package is installed by pip, found by its metadata, run by the command line."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from snn_tool.cli.app import run
from snn_tool.degradations.crops import read_photograph
from snn_tool.exporters.loihi.bundle import Bundle, export_bundle
from snn_tool.exporters.nir.file import read_program, write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.nir.program import Program
from snn_tool.files.artifacts import sha256_file
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.network import IntegerNetwork

PAGE = (Path(__file__).parents[2] / "docs/guides/targets.md").read_text(encoding="utf-8")
(PYPROJECT,) = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
(MODULE,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
(CONSOLE,) = re.findall(r"```console\n(.*?)```", PAGE, flags=re.DOTALL)
BLOCKS = re.split(r"^\$ ", CONSOLE, flags=re.MULTILINE)[1:]
COMMANDS = [(block.splitlines()[0], block.splitlines()[1:]) for block in BLOCKS]
PROVENANCE = {"noise": {"task": "denoise", "sigma": [25.0, 25.0]}}
PACKAGE = Path(__file__).parents[2] / "examples" / "target_package"
EXPORT = ("-q", "export", "student.int.safetensors", "--target", "plain", "--size", "8", "--out")
COMBINATIONS = [(neuron, body) for neuron in ("lif", "graded") for body in ("unet", "flat")]

MakeBundle = Callable[..., Bundle]


def test_the_package_of_the_page_stands_among_the_examples() -> None:
    assert (PACKAGE / "pyproject.toml").read_text(encoding="utf-8") == PYPROJECT
    assert (PACKAGE / "snn_tool_plain.py").read_text(encoding="utf-8") == MODULE


def pip_install(folder: Path, module: str) -> Path:
    """The page's package with this module, installed into a folder of its own."""
    source, site = folder / "source", folder / "site"
    source.mkdir(parents=True)
    (source / "pyproject.toml").write_text(PYPROJECT)
    (source / "snn_tool_plain.py").write_text(module)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    options = ["--no-build-isolation", "--no-index", "--target", str(site), str(source)]
    done = subprocess.run([*pip, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pip_install(tmp_path_factory.mktemp("package"), MODULE)


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(site)
    yield
    sys.modules.pop("snn_tool_plain", None)


@pytest.fixture(scope="module")
def make_bundle(
    make_network: Callable[..., IntegerNetwork],
    photograph: NDArray[np.float32],
    tmp_path_factory: pytest.TempPathFactory,
) -> MakeBundle:
    """Ten tiles of 8 x 12 pixels, more than `run` is given at a time."""

    def build(neuron: str, body: str) -> Bundle:
        folder, network = tmp_path_factory.mktemp("bundle"), make_network(neuron, body)
        crops = [photograph[:, 5 * i : 5 * i + 8, 3 * i : 3 * i + 12] for i in range(10)]
        tiles = quantize_image(np.stack(crops), network)
        trace = IntegerEngine(network).run(tiles, [p.wiring.name for p in network.populations])
        write_nir(folder / "student.nir", to_nir(network, 8, 12))
        save_integer_network(folder / "student.int.safetensors", network, PROVENANCE)
        return export_bundle(folder / "student.nir", folder / "BUNDLE", tiles, trace, student_sha256="5" * 64)

    return build


@pytest.mark.slow
@pytest.mark.parametrize(("neuron", "body"), COMBINATIONS)
def test_the_backend_of_the_page_is_exact(
    make_bundle: MakeBundle, installed: None, neuron: str, body: str, capsys: pytest.CaptureFixture[str]
) -> None:
    golden = (bundle := make_bundle(neuron, body)).golden
    silent = golden.spikes[bundle.program.readout.name]
    values = sum(a.size for side in (golden.spikes, golden.membranes) for a in side.values())
    assert any(spikes.any() for spikes in golden.spikes.values()), "silence proves nothing"
    assert run(["--json", "verify", str(bundle.folder), "--backend", "plain"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert (result["status"], result["tiles"], result["mismatches"]) == ("exact", 10, 0)
    assert result["values_compared"] == values - silent.size
    assert result["versions"] == {"snn-tool-plain": "0.1.0"}


def first_difference(program: Program, bundle: Bundle) -> str:
    """Where the first population must show a weight of the first kernel that is one too large, by torch."""
    convs = [program.conv[name] for name in program.populations[0].inputs]
    convs[0].weight[0, 0, 0, 0] += 1
    image = torch.from_numpy(bundle.golden.tiles.astype(np.float64))
    current = sum(
        torch.nn.functional.conv2d(
            image, torch.from_numpy(c.weight.astype(np.float64)), None, c.stride, c.padding, c.dilation
        )
        for c in convs
    )
    assert isinstance(current, torch.Tensor)
    name = program.populations[0].name
    found = current.numpy().astype(np.int64) + program.bias(program.populations[0])[:, None, None]
    expected = bundle.golden.membranes[name][0]
    assert abs(found).max() < 1 << 23
    where = tuple(int(i) for i in np.argwhere(found != expected)[0])
    return (
        f"first: {name} membranes, timestep 0, tile {where[0]}, index {where[1:]}: "
        f"expected {expected[where]}, got {found[where]}\n"
    )


@pytest.mark.slow
def test_a_weight_that_the_backend_changes_is_found(make_bundle: MakeBundle, tmp_path: Path) -> None:
    """In a process of its own, as a user runs it."""
    bundle = make_bundle("graded", "unet")
    program = read_program(bundle.folder / "network.nir")
    changed = MODULE.replace(
        "    membranes = {}\n",
        "    membranes = {}\n    program.conv[program.populations[0].inputs[0]].weight[0, 0, 0, 0] += 1\n",
    )
    assert changed != MODULE
    site = pip_install(tmp_path, changed)
    command = [sys.executable, "-m", "snn_tool", "verify", str(bundle.folder), "--backend", "plain"]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 3, done.stderr
    assert done.stdout.splitlines(keepends=True)[0].endswith(first_difference(program, bundle))


@pytest.fixture(scope="module")
def folder(make_bundle: MakeBundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder that holds what the page's commands name."""
    path, before = tmp_path_factory.mktemp("page"), Path.cwd()
    bundle = make_bundle("graded", "unet").folder
    (path / "BUNDLE").symlink_to(bundle)
    for name in ("student.int.safetensors", "student.int.json"):
        (path / name).write_bytes((bundle.parent / name).read_bytes())
    (path / "PHOTOS").mkdir()
    crop = read_photograph("skimage.data", "coffee.png")[100:140, 100:180]
    Image.fromarray(np.ascontiguousarray(crop)).save(path / "PHOTOS/coffee.png")
    os.chdir(path)
    yield path
    os.chdir(before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "lines"), COMMANDS[1:], ids=[c.split("snn-tool ")[1] for c, _ in COMMANDS[1:]]
)
def test_the_page_says_what_happens(
    folder: Path, installed: None, command: str, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(["-q", *command.removeprefix("snn-tool ").split()])
    printed = " ".join("".join(capsys.readouterr()).split())
    assert code == 0, printed
    for line in lines:
        pattern = re.escape(line).replace(r"\ …\ ", r"\s.*?").replace("…", r"\S+")
        assert re.search(pattern, printed), f"{line}\n{printed}"


@pytest.mark.slow
def test_the_export_of_the_page_holds_the_weights_and_all_hashes(folder: Path, installed: None) -> None:
    out = folder / "header"
    assert run([*EXPORT, str(out)]) == 0
    header = (out / "network.h").read_text()
    program = read_program(out / "network.nir")
    for conv in program.convs:
        found = re.search(rf"int32_t {conv.name}_weight\[{conv.weight.size}\] = {{(.*)}};", header)
        assert found and [int(n) for n in found[1].split(",")] == conv.weight.ravel().tolist()
    manifest = json.loads((out / "export.json").read_text())
    assert set(manifest["files"]) == {"network.nir", "golden.npz", "network.h"}
    assert all(sha256_file(out / name) == digest for name, digest in manifest["files"].items())
    assert (manifest["target"], manifest["package"], manifest["runs"]) == ("plain", "snn-tool-plain", True)
    results = json.loads((out / "verification.json").read_text())["results"]
    assert [(r["backend"], r["status"]) for r in results] == [("nir", "exact"), ("plain", "exact")]
    assert run(["-q", "verify", str(out)]) == 0
    (out / "network.h").write_text(header.replace("1", "2", 1))
    assert run(["-q", "verify", str(out)]) == 1


@pytest.mark.slow
def test_a_nir_file_is_held_against_the_engine(
    folder: Path, make_bundle: MakeBundle, installed: None
) -> None:
    """Its golden integers are the interpreter's, so that `nir` would prove nothing."""
    source, out = make_bundle("lif", "flat").folder / "network.nir", folder / "of-nir"
    assert run(["-q", "export", str(source), "--target", "plain", "--out", str(out)]) == 0
    results = json.loads((out / "verification.json").read_text())["results"]
    assert [(r["backend"], r["status"]) for r in results] == [("integer", "exact"), ("plain", "exact")]
    tables = json.loads((out / "export.json").read_text())
    assert tables["golden"]["integers_by"] == "nir interpreter" and tables["image_size"] == [8, 12]


@pytest.mark.slow
def test_an_export_outlives_its_package(
    folder: Path,
    installed: None,
    monkeypatch: pytest.MonkeyPatch,
    site: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = folder / "alone"
    assert run([*EXPORT, str(out)]) == 0
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(site)])
    capsys.readouterr()
    assert run(["-q", "verify", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "nir: exact" in printed and "plain: not run; plain: no package declares it" in printed
    assert run(["-q", "verify", str(out), "--backend", "plain"]) == 3
