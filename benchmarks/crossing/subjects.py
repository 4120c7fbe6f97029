"""What cross.py runs: exports of students and of untrained networks, and photographs with their read-outs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.cli.app import run
from snn_tool.degradations.crops import channels_first
from snn_tool.degradations.tasks import TrainedFor, degradation_for
from snn_tool.deploy.verify import exported_for, open_export
from snn_tool.exporters.contract.export import Export
from snn_tool.exporters.contract.traces import Trace
from snn_tool.exporters.nir.network import integer_network
from snn_tool.images.tiling import pad_to_multiple
from snn_tool.models.config import default_config
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.quantize import quantize
from snn_tool.models.student import build_student
from snn_tool.networks.evaluation import load_pair

from crossing.cortex import CrossError

UNTRAINED = tuple(
    f"{body}-{neuron}" for body, neuron in product(("unet", "flat", "chain"), ("graded", "lif"))
)
SEED, PATCH = 0, 64


@dataclass(frozen=True, slots=True)
class Asked:
    """What is run of every network.

    Attributes:
        tiles, size: golden tiles, and their side in pixels.
        images: folder that they are cut from; empty takes photographs that ship.
        photographs: files, run whole.
    """

    tiles: int
    size: int
    images: str = ""
    photographs: tuple[str, ...] = ()

    def described(self) -> dict[str, Any]:
        """JSON values, files by their names alone."""
        names = [Path(name).name for name in self.photographs]
        images = Path(self.images).name if self.images else "shipped"
        return {"tiles": self.tiles, "size": self.size, "images": images, "photographs": names}


@dataclass(frozen=True, eq=False)
class Subject:
    """A network, exported for C and for WebAssembly when first asked for.

    Attributes:
        name: in the table.
        spec: what `export` takes.
        folder: for the exports.
        asked: what is run.
    """

    name: str
    spec: str
    folder: Path
    asked: Asked

    @cached_property
    def c(self) -> Export:
        """As `--target c` leaves it; CrossError as of `exported`."""
        return exported(self.spec, "c", self.folder / f"{self.name}-c", self.asked)

    @cached_property
    def wasm(self) -> Export:
        """As `--target wasm` leaves it; CrossError as of `exported`."""
        return exported(self.spec, "wasm", self.folder / f"{self.name}-wasm", self.asked)

    @cached_property
    def wholes(self) -> list[tuple[NDArray[np.int16], NDArray[np.int64]]]:
        """The photographs' integers [1, C, H, W], degraded, and the engine's read-outs of them.

        C gets them as they are; the engine mirrored up to the network's multiple, as `restore` does.
        """
        if not self.asked.photographs:
            return []
        export = vars(self).get("wasm") or self.c  # whichever is there; both are of one network
        network = integer_network(export.program)
        engine, channels = IntegerEngine(network), network.topology.image_channels
        degradation = degradation_for(None, None, TrainedFor.of(exported_for(export)))
        found = []
        for path in map(Path, self.asked.photographs):
            pair = load_pair(path, path.parent, degradation, SEED, channels)
            whole = quantize_image(channels_first(pair.degraded)[None], network)
            padded = pad_to_multiple(whole, network.topology.multiple)
            readout = engine.run(padded).readout[..., : whole.shape[2], : whole.shape[3]]
            found.append((whole, readout.astype(np.int64)))
        return found


def exported(spec: str, target: str, out: Path, asked: Asked) -> Export:
    """A network as `snn-tool export` leaves it.

    Raises:
        CrossError: the export fails; what it said stands above.
    """
    words = ["-q", "export", spec, "--target", target, "--out", str(out), "--no-verify", "--overwrite"]
    words += ["--tiles", str(asked.tiles), "--size", str(asked.size)]
    words += ["--images", asked.images] if asked.images else []
    words += ["--task", "denoise"] if Path(spec).suffix else []
    if run(words):
        raise CrossError(f"{spec}: cannot be exported for {target}")
    return open_export(out)


def untrained(name: str, width: int, folder: Path, image: NDArray[np.float32]) -> str:
    """The file of an untrained network whose populations all fire: integers with distinct biases.

    Args:
        name: one of `UNTRAINED`.
        width: channels.
        folder: for the file.
        image: what thresholds are measured on, [3, H, W] in 0 to 1.
    """
    body, neuron = name.split("-")
    config = replace(default_config(neuron, body), width=width)
    torch.manual_seed(SEED)
    student = build_student(config)
    with torch.no_grad():
        for synapse_name, synapse in student.synapses.items():
            synapse.raw_weight *= 10 if synapse_name == "tail" else 1.5
            if synapse.bias is not None:
                synapse.bias += torch.randn_like(synapse.bias) * 0.05
    path = folder / f"{name}-{width}.int.safetensors"
    save_integer_network(path, quantize(student, config, [image]), {})
    return str(path)


def differing(expected: Trace, found: Trace, names: Sequence[str]) -> tuple[int, int]:
    """(differing, all) integers of two runs: read-outs, membranes, and spikes of all but the read-out."""
    pairs = [(expected.readout, found.readout)]
    pairs += [(expected.membranes[name], found.membranes[name]) for name in names]
    pairs += [(expected.spikes[name], found.spikes[name]) for name in names[:-1]]
    return sum(int(np.count_nonzero(a != b)) for a, b in pairs), sum(a.size for a, _ in pairs)
