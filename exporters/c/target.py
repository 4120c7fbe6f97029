"""`--target c`: the folder of C99 that is made of network.nir, and what it will take of a machine."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import ConfigError
from snn_tool.exporters.c.memory import Memory, lay_out
from snn_tool.exporters.c.plan import Conv, Plan, make_plan
from snn_tool.exporters.c.source import RUNTIME, array, image_values, network_files, template
from snn_tool.exporters.c.steps import StepFootprint, by_steps, make_step_plan, step_footprint
from snn_tool.exporters.c.steps_source import step_folder_files
from snn_tool.exporters.contract.folder import GOLDEN, Golden, read_golden
from snn_tool.exporters.nir.file import read_program
from snn_tool.exporters.nir.program import Program

DESCRIPTION = "C99, integers only, of rows that stream through or of timesteps, with a test and a Makefile"
IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,47}", re.ASCII)
RESERVED = ("snn",)
"""What the runtime's own names begin with."""

SHOWN_WIDTHS = (64, 128, 256, 512, 1024)
SHOWN_MEMORIES_KIB = (64, 256, 512, 1024, 4096)


class CTarget:
    """Writes C for a network.

    Args:
        prefix: of every external name.

    Raises:
        ConfigError: the prefix is no beginning of names in C.
    """

    description = DESCRIPTION

    def __init__(self, prefix: str) -> None:
        if not IDENTIFIER.fullmatch(prefix) or prefix.lower() in RESERVED:
            raise ConfigError(
                f"--prefix {prefix}: use up to 48 letters, digits and underscores, a letter first, not snn"
            )
        self.prefix = prefix

    def export(self, network: Path, folder: Path) -> None:
        """Write the folder's files; golden.npz lies in it and tells how dense spikes are.

        Raises:
            UnsupportedLayerError: as of `make_plan` and `make_step_plan`.
        """
        program, golden = read_program(network), read_golden(folder / GOLDEN)
        for name, text in files_of(program, self.prefix, golden).items():
            (folder / name).write_text(text, encoding="utf-8")


def prefix_of(name: str) -> str:
    """A prefix from the name of a file or of a student."""
    found = re.sub(r"\W", "_", name.split(".")[0], flags=re.ASCII).strip("_")[:40] or "network"
    return found if found[0].isalpha() and found.lower() not in RESERVED else f"net_{found}"


def densities(golden: Golden) -> Mapping[str, float]:
    """Share of nonzero spikes of every population on golden tiles."""
    return {name: float(np.count_nonzero(spikes)) / spikes.size for name, spikes in golden.spikes.items()}


def files_of(program: Program, prefix: str, golden: Golden) -> dict[str, str]:
    """Contents by file name of the whole folder, in the form that fits the network."""
    if by_steps(program):
        return step_folder_files(make_step_plan(program), prefix, golden)
    return c_files(make_plan(program, densities(golden)), prefix, golden)


def c_files(plan: Plan, prefix: str, golden: Golden) -> dict[str, str]:
    """Contents by file name of the whole folder, without network.nir and golden.npz."""
    values = image_values(plan, lay_out(plan), prefix)
    made = network_files(plan, prefix)
    made["test.c"] = template("test.c", values | _golden_values(plan.program, golden))
    headers = [*RUNTIME, *(["snn_pass.h"] if plan.program.passes > 1 else [])]
    made["Makefile"] = template("Makefile", values | {"headers": " ".join(headers)})
    made["README.md"] = template("README.md", values | _readme_values(plan))
    return made


def _golden_values(program: Program, golden: Golden) -> dict[str, Any]:
    """The first golden tile as arrays in C, rows, columns, then channels; of several passes its image."""
    last = len(golden.tiles) // program.passes * (program.passes - 1)
    tile, readout = golden.tiles[0, : program.image_channels], golden.readout[last]
    expected = expected_bytes(program, readout[None], golden.tiles[:1])[0]
    return {
        "tile_width": tile.shape[2],
        "tile_height": tile.shape[1],
        "out_values": readout.size,
        "tile": array("int16_t", "tile", tile.transpose(1, 2, 0)),
        "readout": array("int32_t", "readout", readout.transpose(1, 2, 0)),
        "expected": array("uint8_t", "expected", expected.transpose(1, 2, 0)),
    }


def expected_bytes(program: Program, readout: NDArray[Any], tiles: NDArray[np.integer]) -> NDArray[np.uint8]:
    """The restored image [N, C, H, W] in 8 bits: floor(255 scale readout + grey + 1/2), without an error.

    The float route of `restore` rounds 255 (scale readout + grey / 255) three times in between, and so may be
    one grey level apart where the exact value lies within some 10^-5 of a half.
    """
    top, bottom = (program.residual_scale * program.timesteps).as_integer_ratio()
    numerator, denominator = top * 255, bottom * program.timesteps
    scaled = 2 * readout.astype(np.int64) * numerator
    if program.adds_image:
        image = tiles[:, : readout.shape[1]].astype(np.int64)  # of several passes the first half
        scaled += 2 * denominator * (image * program.input_step + program.input_offset)
    return np.clip((scaled + denominator) // (2 * denominator), 0, 255).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a program takes, before it is compiled.

    Attributes:
        constants: bytes of weights, biases and tables: read-only memory beside the code itself.
        layers: the same by convolution.
        buffer: (unit, fixed) bytes of RAM per unit of width.
        unit: pixels of width in a unit.
        fixed: the width is one unit.
    """

    constants: int
    layers: Mapping[str, int]
    buffer: tuple[int, int]
    unit: int
    fixed: bool

    def ram(self, width: int) -> int:
        """Bytes of the caller's buffer for images of a width."""
        return self.buffer[0] * -(-width // self.unit) + self.buffer[1]

    def largest_width(self, ram: int) -> int:
        """The largest width whose buffer fits; 0 if none."""
        units = max(0, (ram - self.buffer[1]) // self.buffer[0]) if self.buffer[0] else 0
        return self.unit * (min(units, 1) if self.fixed else units)


def footprint(plan: Plan) -> Footprint:
    """Flash and RAM of a plan, for the portable kernels."""
    memory: Memory = lay_out(plan)
    schedule = plan.schedule
    weights = {conv.name: conv.weight_bytes for conv in plan.convs}
    biases = sum(4 * layer.node.channels for layer in plan.layers)
    tables = 4 * (7 * len(schedule.needs) + 2 * len(schedule.groups) + 2 * len(schedule.buffers))
    constants = sum(weights.values()) + biases + tables
    passes = plan.program.passes  # each has a buffer of its own
    buffer = memory.total[0] * passes, memory.total[1] * passes
    return Footprint(constants, weights, buffer, plan.unit[0], plan.fixed)


def taken_by(program: Program, width: int | None = None) -> Footprint | StepFootprint:
    """Flash and RAM of a network's C; `width` is that of images, if one is asked for.

    Raises:
        ConfigError: a width of a network that goes by timesteps.
        UnsupportedLayerError: as of `make_plan` and `make_step_plan`.
    """
    if not by_steps(program):
        return footprint(make_plan(program, {}))
    if width:
        raise ConfigError("--size is of networks whose rows stream through; this one has one size")
    return step_footprint(make_step_plan(program))


def _readme_values(plan: Plan) -> dict[str, Any]:
    taken = footprint(plan)
    widths = [plan.unit[0]] if plan.fixed else [w for w in SHOWN_WIDTHS if w % plan.unit[0] == 0]
    memories = [(kib, taken.largest_width(kib << 10)) for kib in SHOWN_MEMORIES_KIB]
    return {
        "constants": f"{taken.constants:,}",
        "widths": "\n".join(f"| {width} | {taken.ram(width):,} |" for width in widths),
        "memories": "\n".join(f"| {kib} KiB | {width or 'none'} |" for kib, width in memories),
        "layers": "\n".join(_layer_row(conv) for conv in plan.convs),
    }


def _layer_row(conv: Conv) -> str:
    rows, columns = conv.mantissa.shape[2:]
    shape = f"{conv.inputs} to {conv.mantissa.shape[0]}, {rows}x{columns}"
    return f"| {conv.name} | {conv.source.name} | {shape} | {conv.density / 10:.1f} % |"
