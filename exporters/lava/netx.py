"""From a program to a `.net` file, the HDF5 layout that lava-dl's `lava.lib.dl.netx.hdf5.Network` loads.

netx chains layers: it knows no skip, no pixel-shuffle and no graded neuron of this tool's kind, so only a
stack of convolutions with LIF neurons fits (`--body chain --neuron lif`). All else is refused by name.

Layout, as lava-dl 0.6.0 reads it; `layer/0` is the input, a shape without neurons, then `layer/1` ..
`layer/D`:

    layer/<i>/type             (1,) bytes: input, conv
              shape            (3,) [C, H, W] of the output
              weight           (Co, Ci, kh, kw) in torch's orientation; netx flips it for Lava's convolution
              stride, padding, dilation    (2,) [vertical, horizontal]      groups    scalar
              bias             (Co,) in LSB; becomes bias_mant, whose exponent netx fixes at 6
              neuron/type      (1,) bytes: CUBA
                     iDecay    4096: the current forgets within one step (netx: du = iDecay - 1)
                     vDecay    dv, in 4096ths            vThMant    vth, in LSB
                     refDelay, gradedSpike               1 and False; netx ignores them

The image. netx's own input neurons emit binary spikes, which cannot carry grey levels. So the first
convolution reads the port `inp` directly: whoever runs the file presents the integer image there at each of
T steps, and tells netx its width in `input_message_bits`. That is Lava's graded payload, the same as in the
Loihi-style bundle, and exact.

The read-out. netx has only neurons that fire. The read-out is a LIF without leak at the largest legal
threshold, 131071, and an export is refused unless interval arithmetic proves that no image drives its
membrane above that.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import h5py
import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from snn_tool.errors import TargetLimitError, UnsupportedLayerError
from snn_tool.exporters.contract.export import EXPORT, NETWORK, Export, NetworkFile
from snn_tool.exporters.contract.folder import (
    GOLDEN,
    REMEDY,
    GridValue,
    Manifest,
    Volume,
    check_hashes,
    golden_statements,
    hashes_of,
    image_size,
    manifest_statements,
    read_golden,
)
from snn_tool.exporters.contract.statements import Statements, compare_arrays, compare_document, merged
from snn_tool.exporters.loihi.limits import THRESHOLD_RANGE, WEIGHT_MANTISSA_RANGE, check_limits
from snn_tool.exporters.loihi.specs import Shape, lava_shape, payload_bits
from snn_tool.exporters.nir.hdf5 import Tree, read_hdf5
from snn_tool.exporters.nir.program import (
    DECAY_STEPS,
    IMAGE,
    MAX_ARRAY_BYTES,
    ConvNode,
    GradedNode,
    LifNode,
    PopulationNode,
    Program,
    refuse_time,
)
from snn_tool.files.artifacts import atomic_path, read_json
from snn_tool.files.documents import Count, Name, Positive, read_document
from snn_tool.files.temporaries import temporary_folder
from snn_tool.models.topology import MOST_PARTS, Side, Timesteps

READOUT_THRESHOLD = THRESHOLD_RANGE[1]
"""The largest threshold of the hardware; a membrane fires above it, not at it."""

FIRST_RESET = 1
"""`reset_offset` of netx: its first layer then resets at step 2, one hop after the image is first sent."""

NAMED_OBSTACLES = 3


@dataclass(frozen=True, slots=True)
class NetxRun:
    """How a `.net` file is run: arguments of `hdf5.Network`, and what belongs to its layers.

    Attributes:
        input_message_bits: bits of the integer image, its sign included.
        reset_interval: T; images follow each other without a gap.
        reset_offset: shift of the resets in steps; netx adds one step per layer.
        timesteps: T, how often each image is presented.
        depth: layers, and hops from image to read-out; N images take N T + depth steps.
        populations: names of the layers' neurons, in order.
        input_low, input_high: range of the integer image.
        image: (W, H, 3), netx's order.
        shapes: for each population (W, H, C).
    """

    input_message_bits: int
    reset_interval: int
    reset_offset: int
    timesteps: int
    depth: int
    populations: tuple[str, ...]
    input_low: int
    input_high: int
    image: Shape
    shapes: tuple[Shape, ...]


def write_netx(path: Path, program: Program) -> NetxRun:
    """Write a program as a `.net` file, atomically; equal programs give equal bytes.

    Raises:
        UnsupportedLayerError: a node that netx cannot express; the first of them are named with the reason.
        TargetLimitError: a value outside the hardware's ranges, or a read-out that some image makes fire.
        ArtifactError: the file cannot be written.
    """
    refuse_time(program, "netx")
    _refuse_obstacles(program)
    check_limits(program)
    _refuse_values(program)
    with atomic_path(path) as part, h5py.File(part, "w") as file:
        _write_layers(file, program)
    return _run_of(program)


def _refuse_obstacles(program: Program) -> None:
    found: list[str] = []
    previous = IMAGE
    for population in program.populations:
        found += _obstacles(population, program, previous)
        previous = population.name
    if found:
        more = f"; and {len(found) - NAMED_OBSTACLES} more" if len(found) > NAMED_OBSTACLES else ""
        raise UnsupportedLayerError(
            f"netx takes a plain stack of layers only: {'; '.join(found[:NAMED_OBSTACLES])}{more}; "
            "distil with --body chain --neuron lif, or use --target loihi"
        )


def _obstacles(population: PopulationNode, program: Program, previous: str) -> list[str]:
    """Why netx cannot express a population and the convolutions in front of it."""
    found = []
    if isinstance(population, GradedNode):
        found.append(f"{population.name}: graded neurons of {population.levels} levels, netx has binary ones")
    if len(population.inputs) != 1:
        found.append(
            f"{population.name}: a skip, it sums {', '.join(population.inputs)}; netx joins no branches"
        )
        return found
    conv = program.conv[population.inputs[0]]
    if conv.upsample > 1:
        found.append(f"{conv.name}: a pixel-shuffle by {conv.upsample}, which netx does not know")
    if conv.source != previous:
        found.append(f"{conv.name}: a branch, it reads {conv.source} and not {previous}, the layer before it")
    return found


def _refuse_values(program: Program) -> None:
    """What Lava's bundle expresses and netx does not: weight exponents, a read-out above all thresholds."""
    low, high = WEIGHT_MANTISSA_RANGE
    found = [
        f"{conv.name}: weights {conv.weight.min()}..{conv.weight.max()} outside {low}..{high}, and netx's "
        "convolutions have no weight exponent"
        for conv in program.convs
        if conv.weight.min() < low or conv.weight.max() > high
    ]
    readout, limit = program.readout, READOUT_THRESHOLD
    largest = largest_readout(program)
    if largest > limit:
        found.append(
            f"{readout.name}: some image drives it to {largest} LSB, above the threshold {limit}, where it "
            "would fire"
        )
    if found:
        raise TargetLimitError(f"the network does not fit netx: {'; '.join(found)}; quantise it again")


def largest_readout(program: Program) -> int:
    """Upper bound, over all images and timesteps, of the read-out's membrane in LSB; at least 0.

    Each spike is taken at its worst (interval arithmetic); nothing leaks, so T steps add up.
    """
    conv = program.conv[program.readout.inputs[0]]
    low, high = (program.input_low, program.input_high) if conv.source == IMAGE else (0, 1)
    per_step = np.maximum(conv.weight * low, conv.weight * high).sum(axis=(1, 2, 3)) + conv.bias
    return max(0, int(per_step.max()) * program.timesteps)


def _write_layers(file: h5py.File, program: Program) -> None:
    image = file.create_group("layer/0")
    image["type"] = _text("input")
    image["shape"] = np.array([program.channels, program.height, program.width])
    for index, population in enumerate(program.populations, start=1):
        layer = file.create_group(f"layer/{index}")
        conv = program.conv[population.inputs[0]]
        layer["shape"] = np.array([population.channels, population.height, population.width])
        _write_conv(layer, conv)
        _write_neuron(layer.create_group("neuron"), population)


def _write_conv(layer: h5py.Group, conv: ConvNode) -> None:
    layer["type"] = _text("conv")
    layer["weight"] = conv.weight.astype(np.int32)
    layer["bias"] = conv.bias.astype(np.int32)
    for name, value in (("stride", conv.stride), ("padding", conv.padding), ("dilation", conv.dilation)):
        layer[name] = np.array([value, value])
    layer["groups"] = 1


def _write_neuron(group: h5py.Group, population: PopulationNode) -> None:
    threshold = population.threshold if isinstance(population, LifNode) else READOUT_THRESHOLD
    decay = 0 if isinstance(population, GradedNode) else population.decay
    group["type"] = _text("CUBA")
    group["iDecay"] = DECAY_STEPS
    group["vDecay"] = decay
    group["vThMant"] = threshold
    group["refDelay"] = 1
    group["gradedSpike"] = False


def _text(word: str) -> "np.ndarray[tuple[int], np.dtype[np.bytes_]]":
    """An array of ASCII bytes, of which netx reads the first entry."""
    return np.array([word.encode("ascii")], dtype="S10")


def _run_of(program: Program) -> NetxRun:
    return NetxRun(
        input_message_bits=payload_bits(program.input_low, program.input_high),
        reset_interval=program.timesteps,
        reset_offset=FIRST_RESET,
        timesteps=program.timesteps,
        depth=len(program.populations),
        populations=tuple(population.name for population in program.populations),
        input_low=program.input_low,
        input_high=program.input_high,
        image=(program.width, program.height, program.channels),
        shapes=tuple(lava_shape(population) for population in program.populations),
    )


NETX = "network.net"
NETX_HASHED = (NETWORK, NETX, GOLDEN)
NETX_KIND, NETX_SCHEMA = "netx-export", 2


class NetxEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The schema of `netx` in export.json; see `NetxRun`."""

    input_message_bits: Annotated[int, Meta(ge=0, le=24)]
    reset_interval: Timesteps
    reset_offset: Count
    timesteps: Timesteps
    depth: Annotated[int, Meta(ge=1, le=MOST_PARTS)]
    populations: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=MOST_PARTS)]
    input_low: GridValue
    input_high: GridValue
    image: Volume
    shapes: Annotated[tuple[Volume, ...], Meta(min_length=1, max_length=MOST_PARTS)]
    input_step: Annotated[int, Meta(ge=1, le=16)]
    residual_scale: Positive

    def __post_init__(self) -> None:
        """A shape for each population, and a range that is one."""
        if len(self.shapes) != len(self.populations) or self.input_low >= self.input_high:
            raise ValueError("there must be a shape for each population, and input_low below input_high")


class NetxManifest(Manifest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The schema of export.json."""

    target: Name
    image_size: tuple[Side, Side]
    netx: NetxEntry


@dataclass(frozen=True, eq=False)
class NetxFolder(Export):
    """A netx export, every file as its manifest says."""

    manifest: NetxManifest
    manifest_name = EXPORT
    target = "netx"
    usual = ("nir", "netx")

    @property
    def run(self) -> NetxRun:
        """How the `.net` file is run."""
        return NetxRun(**{field.name: getattr(self.manifest.netx, field.name) for field in fields(NetxRun)})

    def statements(self) -> Statements:
        """Derive again from network.nir what the files of a netx folder state, and compare.

        Raises:
            ArtifactError: a file cannot be read.
            UnsupportedLayerError, TargetLimitError: netx cannot hold the network.
        """
        with temporary_folder("netx") as scratch:
            run = write_netx(scratch / NETX, self.program)
            expected = read_netx(scratch / NETX)
        stated = read_json(self.folder / EXPORT, NETX_KIND, NETX_SCHEMA)
        facts = {
            "target": self.target,
            **image_size(self.program),
            **manifest_statements(self.program, stated),
            "netx": run_entry(run, self.program),
        }
        return merged(
            compare_document(EXPORT, stated, facts),
            compare_arrays(NETX, read_netx(self.folder / NETX), expected),
            golden_statements(self.program, self.golden),
        )


def run_entry(run: NetxRun, program: Program) -> dict[str, Any]:
    """The entry `netx` of export.json: the run, and what turns its integers into grey levels."""
    return {**asdict(run), "input_step": program.input_step, "residual_scale": program.residual_scale}


def read_netx_folder(folder: Path, network: NetworkFile | None = None) -> NetxFolder:
    """Read a netx export after every file was held against its hash.

    Args:
        folder: of the export.
        network: its network.nir, if it was read already.

    Raises:
        ArtifactError: a file is missing or does not match its hash (the file is named), the `.net` file is
            damaged or reaches outside itself, or the manifest is incomplete or of another schema.
    """
    manifest = read_manifest(folder)
    check_hashes(folder, hashes_of(manifest, folder / EXPORT, NETX_HASHED), EXPORT)
    read_netx(folder / NETX)  # lava-dl would follow its links and read whatever it holds
    found = network or NetworkFile(folder / NETWORK)
    return NetxFolder(folder, manifest, read_golden(folder / GOLDEN), found)


def read_manifest(folder: Path) -> NetxManifest:
    """Read export.json alone.

    Raises:
        ArtifactError: it is missing, of another schema, or a key is missing, unknown or not allowed.
    """
    return read_document(folder / EXPORT, NETX_KIND, NETX_SCHEMA, NetxManifest, REMEDY)


def read_netx(path: Path) -> dict[str, NDArray[Any]]:
    """Every array of a `.net` file, by its path in it.

    Raises:
        ArtifactError: as `read_hdf5`.
    """
    return dict(_arrays(read_hdf5(path, "export the network again", MAX_ARRAY_BYTES), ""))


def _arrays(tree: Tree, prefix: str) -> Iterator[tuple[str, NDArray[Any]]]:
    for name, item in tree.items():
        if isinstance(item, dict):
            yield from _arrays(item, f"{prefix}{name}/")
        else:
            yield prefix + name, np.asarray(item)
