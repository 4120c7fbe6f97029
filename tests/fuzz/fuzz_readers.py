"""Damage a good file of each kind in many ways, and see what its reader makes of it.

usage: fuzz_readers.py [--mutants N] [--seed S] [READER ...]     prints a JSON table

A reader may take a mutant or refuse it as an SnnToolError of one line. Whatever else happens is a fault: an
exception of another kind, a message of many lines or of thousands of characters, 1 GiB of memory, more than
5 s of computing. A mutant that never returns ends this program with its traceback. Seeded: a fault is found
again.
"""

import argparse
import faulthandler
import json
import random
import resource
import shutil
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mutants
import numpy as np
import onnx
import tifffile
import torch
from PIL import Image
from snn_tool.deploy.export import export_student
from snn_tool.deploy.options import GoldenOptions
from snn_tool.energy.estimators.profile import load_profile
from snn_tool.errors import SnnToolError
from snn_tool.exporters.contract.folder import read_golden
from snn_tool.exporters.contract.target_folder import read_target_folder
from snn_tool.exporters.contract.traces import EXACT, BackendResult
from snn_tool.exporters.lava.netx import read_netx, write_netx
from snn_tool.exporters.loihi.bundle import export_bundle, read_bundle
from snn_tool.exporters.loihi.ranges import read_ranges
from snn_tool.exporters.nir import hdf5
from snn_tool.exporters.nir.file import read_program, write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.nir.reading import read_foreign_nir
from snn_tool.exporters.nir_foreign.module import load_nir_module
from snn_tool.exporters.sanafe.report import SanafeReport, TileCheck, read_sanafe, write_sanafe
from snn_tool.exporters.sanafe.simulation import ChipActivity, ChipEnergy
from snn_tool.exporters.zigzag.report import read_mapping
from snn_tool.files.artifacts import sha256_file, write_json
from snn_tool.images.files import read_image
from snn_tool.inputs.labels import read_labels
from snn_tool.inputs.options import InputOptions
from snn_tool.inputs.samples import read_samples
from snn_tool.models.config import default_config
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.file import load_integer_network, save_integer_network
from snn_tool.models.integer.quantize import quantize
from snn_tool.models.student import build_student, load_student, save_student
from snn_tool.models.teachers.onnx import read_graph
from snn_tool.models.teachers.registry import build_teacher, load_teacher, save_teacher
from snn_tool.models.teachers.weights import read_weights
from snn_tool.training.callbacks import TrainingLog
from snn_tool.training.run_folder import COLUMNS, read_checkpoint, require_same
from snn_tool.training.settings import load_settings

MAPPING = Path(__file__).parents[1] / "data" / "mapping.json"
MEMORY = 1 << 30
SLOW_S, HUNG_S = 5, 60
LONGEST = 2000
CPU_S = 1


@dataclass(frozen=True)
class Reader:
    """What reads a kind of file.

    Attributes:
        read: reads the folder's file again.
        files: those that are damaged, one at a time.
    """

    read: Callable[[Path], Any]
    files: tuple[str, ...]


@dataclass
class Outcome:
    """What became of the mutants of one reader."""

    taken: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    peak_mib: int = 0
    faults: list[str] = field(default_factory=list)


TASK = {"task": "denoise", "sigma": [0, 50]}
SETTINGS = {"training": {"lr": 0.001, "batch": 4}, "task": TASK}
TOML = """[training]
lr = 0.001
batch = 4
patch = 48
seed = 3
[loss]
fft = 0.1
hints = 0.005
hint_sites = ['enc_in']
hint_feature = 'membrane'
[student]
neuron = 'lif'
width = 8
timesteps = 4
"""
PROFILE = """[constants.add-int32]
value = 0.07
unit = "pJ"
source = "our library"
scope = "per-op"
grade = "simulated"
process_nm = 28
voltage_v = 0.8
[precisions.mine]
multiply = "mul-int8"
accumulate = "add-int32"
state_multiply = "mul-int8"
bits = 4
state_bits = 16
integer = true
note = "four bits"
"""


def refit(folder: Path, manifest: str) -> None:
    """Let a manifest's hashes fit again, so that a mutant is read and not only hashed."""
    document = json.loads((folder / manifest).read_text())
    document["files"] = {name: sha256_file(folder / name) for name in document["files"]}
    (folder / manifest).write_text(json.dumps(document))


def refitted_bundle(folder: Path) -> Any:
    """A bundle whose hashes were mended after a file was damaged, as who forges one would."""
    try:
        refit(folder, "bundle.json")
    except (ValueError, LookupError, TypeError, AttributeError, OSError):
        pass  # the manifest itself is the mutant
    return read_bundle(folder)


READERS = {
    "nir": Reader(lambda f: read_program(f / "our.nir"), ("our.nir",)),
    "foreign-nir": Reader(lambda f: read_foreign_nir(f / "foreign.nir", grouped=True), ("foreign.nir",)),
    "nir-module": Reader(lambda f: load_nir_module(f / "foreign.nir"), ("foreign.nir",)),
    "netx": Reader(lambda f: read_netx(f / "network.net"), ("network.net",)),
    "golden": Reader(lambda f: read_golden(f / "bundle/golden.npz"), ("bundle/golden.npz",)),
    "bundle": Reader(lambda f: refitted_bundle(f / "bundle"), ("bundle/bundle.json", "bundle/golden.npz")),
    "ranges": Reader(lambda f: read_ranges(f / "bundle/ranges.json"), ("bundle/ranges.json",)),
    "sanafe": Reader(lambda f: read_sanafe(f / "sanafe.json"), ("sanafe.json",)),
    "mapping": Reader(lambda f: read_mapping(f / "mapping.json"), ("mapping.json",)),
    "student": Reader(
        lambda f: load_student(f / "student.safetensors"), ("student.json", "student.safetensors")
    ),
    "integers": Reader(
        lambda f: load_integer_network(f / "student.int.safetensors"),
        ("student.int.json", "student.int.safetensors"),
    ),
    "teacher": Reader(
        lambda f: load_teacher(f / "teacher.safetensors"), ("teacher.json", "teacher.safetensors")
    ),
    "weights": Reader(lambda f: read_weights(f / "weights.safetensors"), ("weights.safetensors",)),
    "torch-weights": Reader(lambda f: read_weights(f / "weights.pth"), ("weights.pth",)),
    "onnx": Reader(lambda f: read_graph(f / "teacher.onnx"), ("teacher.onnx",)),
    "profile": Reader(lambda f: load_profile(f / "profile.toml"), ("profile.toml",)),
    "settings": Reader(lambda f: load_settings(f / "settings.toml", {}), ("settings.toml",)),
    "run": Reader(lambda f: require_same(f / "settings.json", SETTINGS), ("settings.json",)),
    "checkpoint": Reader(lambda f: read_checkpoint(f / "last.ckpt"), ("last.ckpt",)),
    "inputs": Reader(lambda f: read_arrays(f, "inputs.npz", "inputs.npy"), ("inputs.npz", "inputs.npy")),
    "events": Reader(lambda f: read_arrays(f, "events.bin", "events.npz"), ("events.bin", "events.npz")),
    "labels": Reader(
        lambda f: [read_labels(f / "labels.csv"), read_labels(f / "labels.npy")], ("labels.csv", "labels.npy")
    ),
    "c-folder": Reader(lambda f: read_target_folder(f / "c"), ("c/export.json",)),
    "metrics": Reader(lambda f: TrainingLog(f / "metrics.csv").read(), ("metrics.csv",)),
    "png": Reader(lambda f: read_image(f / "a.png"), ("a.png",)),
    "tiff": Reader(lambda f: read_image(f / "a.tif"), ("a.tif",)),
    "wide-tiff": Reader(lambda f: read_image(f / "wide.tif"), ("wide.tif",)),
    "jpeg": Reader(lambda f: read_image(f / "a.jpg"), ("a.jpg",)),
    "webp": Reader(lambda f: read_image(f / "a.webp"), ("a.webp",)),
    "bmp": Reader(lambda f: read_image(f / "a.bmp"), ("a.bmp",)),
}


def read_arrays(folder: Path, *names: str) -> list[Any]:
    """Inputs of a network of [2, 4, 4], as every command reads them."""
    return [read_samples(InputOptions(folder / name), (2, 4, 4), None, 5) for name in names]


def write_inputs(folder: Path) -> None:
    """Arrays over time with labels, recordings of an event camera, and labels by themselves."""
    rng = np.random.default_rng(2)
    frames = (rng.random((6, 3, 2, 4, 4)) < 0.3).astype(np.uint8)
    np.savez(folder / "inputs.npz", inputs=frames, labels=np.arange(3))
    np.save(folder / "inputs.npy", rng.random((3, 2, 4, 4)).astype(np.float32))
    # An event of N-MNIST: column, row, and 24 bits of polarity and microseconds.
    events = [bytes((at % 4, at // 4 % 4, at % 2 << 7, 0, 9 * at)) for at in range(20)]
    (folder / "events.bin").write_bytes(b"".join(events))
    whole = {name: rng.integers(0, top, 20) for name, top in (("t", 900), ("x", 4), ("y", 4), ("p", 2))}
    np.savez(folder / "events.npz", **whole)
    (folder / "labels.csv").write_text("file,label\na,0\nb,2\nc,1\n")
    np.save(folder / "labels.npy", np.arange(5))


def write_samples(folder: Path) -> None:
    """A good file of each kind, as small as it may be."""
    torch.manual_seed(0)
    image = np.random.default_rng(0).random((3, 16, 16), np.float32)
    (folder / "settings.toml").write_text(TOML)
    (folder / "profile.toml").write_text(PROFILE)
    write_json(folder / "settings.json", "training-run", 1, SETTINGS)
    write_networks(folder, image)
    write_inputs(folder)
    write_weights(folder)
    write_sanafe(folder / "sanafe.json", sanafe_report())
    shutil.copy(MAPPING, folder / "mapping.json")
    pixels = (image.transpose(1, 2, 0) * 255).astype(np.uint8)
    for suffix in ("png", "jpg", "webp", "bmp"):
        Image.fromarray(pixels).save(folder / f"a.{suffix}")
    Image.fromarray(pixels).save(folder / "a.tif", compression="tiff_lzw")
    tifffile.imwrite(folder / "wide.tif", pixels.astype(np.uint16) * 257, photometric="rgb")
    rows = [f"{step},{20 + step / 100},0.001,{','.join(['0.1'] * (len(COLUMNS) - 3))}" for step in (10, 20)]
    (folder / "metrics.csv").write_text("\n".join((",".join(COLUMNS), *rows, "")))


def write_networks(folder: Path, image: np.ndarray[Any, Any]) -> None:
    """Student, integers, NIR, netx and bundle of one small network."""
    config = default_config("lif", "chain")
    student = build_student(config)
    account = {"task": TASK, "seed": 0, "steps": 2}
    save_student(folder / "student.safetensors", student, config, account)
    network = quantize(student, config, [image])
    save_integer_network(folder / "student.int.safetensors", network, {"student": "a" * 64})
    write_nir(folder / "our.nir", to_nir(network, 8, 8))
    write_netx(folder / "network.net", read_program(folder / "our.nir"))
    tiles = quantize_image(image[None, :, :8, :8], network)
    trace = IntegerEngine(network).run(tiles, [p.wiring.name for p in network.populations])
    export_bundle(folder / "our.nir", folder / "bundle", tiles, trace, student_sha256="5" * 64)
    golden = GoldenOptions(tiles=1, size=8, sigma="25")
    export_student(folder / "student.int.safetensors", "c", folder / "c", golden, verify=False)
    write_foreign(folder / "foreign.nir")


def write_foreign(path: Path) -> None:
    """A NIR file such as other tools write, with one node of most kinds."""
    import nir

    def lif(*shape: int) -> nir.LIF:
        return nir.LIF(*(np.full(shape, x) for x in (2e-3, 1.0, 0.0, 1.0)), v_reset=np.zeros(shape))

    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3))
    nodes = {
        "input": nir.Input(np.array([3, 8, 8])),
        "conv": nir.Conv2d((8, 8), weight, 1, 1, 1, 1, np.zeros(4)),
        "a": nir.IF(np.ones((4, 8, 8)), np.ones((4, 8, 8)), np.zeros((4, 8, 8))),
        "pool": nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "flat": nir.Flatten({"input": np.array([4, 4, 4])}, 0, -1),
        "fc": nir.Affine(np.ones((5, 64)), np.ones(5)),
        "b": lif(5),
        "scale": nir.Scale(np.ones(5)),
        "out": nir.LI(np.full(5, 2e-3), np.ones(5), np.zeros(5)),
        "output": nir.Output(np.array([5])),
    }
    nir.write(path, nir.NIRGraph(nodes, list(zip(nodes, list(nodes)[1:], strict=False))))


def write_weights(folder: Path) -> None:
    """Weights of a teacher, of a stranger's network, a checkpoint, and an ONNX file."""
    teacher = build_teacher("unet", {"width": 4})
    save_teacher(folder / "teacher.safetensors", teacher, "unet", {"width": 4}, {"task": TASK})
    (folder / "weights.safetensors").write_bytes((folder / "teacher.safetensors").read_bytes())
    tensors = {"params": {"a.weight": torch.ones(4, 3), "a.bias": torch.zeros(4)}}
    torch.save(tensors, folder / "weights.pth")
    checkpoint = {"state_dict": tensors["params"], "global_step": 3, "epoch": 1}
    checkpoint["callbacks"] = {"Checkpoints": {"best_psnr_db": 20.5}}
    torch.save(checkpoint, folder / "last.ckpt")
    shape = ("N", 3, "H", "W")
    weight = onnx.numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), "w")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Conv", ["x", "w"], ["y"])],
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)],
        [weight],
    )
    onnx.save(onnx.helper.make_model(graph), folder / "teacher.onnx")


def sanafe_report() -> SanafeReport:
    """A report of one tile."""
    activity = ChipActivity(ChipEnergy(9e-6, 4e-6, 0.0, 4e-6, 1e-6), 100, 30, 40, 50, 60, 7e-4)
    return SanafeReport(
        BackendResult("sanafe", EXACT, 1, 100, 0),
        (TileCheck(activity, 100, 30, 2e-6),),
        *(8, 12, 4, 13, 5000, 6000, 7, 800),
        {"energy_process_spike": 24e-12},
        "loihi.yaml",
        *("a" * 64, {"sanafe": "2.2.9"}, "b" * 64, "c" * 64),
    )


def fuzz(name: str, folder: Path, mutants_of_each: int, seed: int) -> Outcome:
    """Read so many mutants of a reader's files, each of which is put back afterwards."""
    reader, outcome = READERS[name], Outcome()
    reader.read(folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    good = {file: (folder / file).read_bytes() for file in reader.files}
    manifest = folder / "bundle/bundle.json"
    kept = manifest.read_bytes()
    for index in range(mutants_of_each):
        rng = random.Random(f"{name} {seed} {index}")
        file = reader.files[index % len(reader.files)]
        mutant = mutants.suffix_of(Path(file))(good[file], rng)
        (folder / file).write_bytes(mutant)
        faulthandler.dump_traceback_later(HUNG_S, exit=True)
        start = time.process_time()
        try:
            reader.read(folder)
            outcome.taken += 1
        except SnnToolError as error:
            outcome.refused += 1
            text = str(error)
            if "\n" in text or len(text) > LONGEST:
                outcome.faults.append(f"{index}: {len(text)} characters: {text[:200]!r}")
        except Exception:
            lines = traceback.format_exc().strip().splitlines()
            outcome.faults.append(f"{index}: {' | '.join(line.strip() for line in lines[-5:])[:600]}")
        faulthandler.cancel_dump_traceback_later()
        took = time.process_time() - start
        outcome.slowest_s = round(max(outcome.slowest_s, took), 2)
        if took > SLOW_S:
            outcome.faults.append(f"{index}: {took:.1f} s of computing")
        (folder / file).write_bytes(good[file])
        manifest.write_bytes(kept)
    outcome.peak_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    return outcome


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mutants", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("readers", nargs="*")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    hdf5.CPU_S = CPU_S
    table = {}
    with tempfile.TemporaryDirectory() as name:
        write_samples(Path(name))
        with open("/proc/self/statm", encoding="ascii") as stream:
            used = int(stream.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
        for reader in asked.readers or READERS:
            start = time.perf_counter()
            table[reader] = vars(fuzz(reader, Path(name), asked.mutants, asked.seed))
            table[reader]["seconds"] = round(time.perf_counter() - start, 1)
    print(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
