"""A plan or a `.net` file executed by Lava's fixed-point simulation, in another interpreter and process.

Lava forks, so it never runs inside a process that holds torch's threads. Files go in and files come out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import ArtifactError, BackendUnavailableError, ConfigError, DataError
from snn_tool.exporters.contract.npz import read_arrays
from snn_tool.exporters.contract.process import Finished, demand_result, run_group
from snn_tool.exporters.contract.targets import DEFAULT, Context, Interpreter
from snn_tool.exporters.lava.environment import REMEDY, RUNNER, clean_variables
from snn_tool.exporters.lava.netx import NetxRun
from snn_tool.exporters.loihi.plan_file import read_plan
from snn_tool.files.temporaries import temporary_folder

CONVOLUTIONS = ("stock", "blas")
"""`stock` is Lava's own code; `blas` replaces its scipy loops by matrix products that are equally exact."""

HEADERS = 1 << 24
"""Bytes that all headers of a result take at most; they count towards its size."""

STALL_S = 60.0
"""After this time without any work Lava's processes are taken to wait for each other."""

STALLED, ATTEMPTS = 6, 3
"""What the runner exits with then, and how often it is started."""

TIME_IS_UP = "allow more time or verify fewer, smaller tiles"


@dataclass(frozen=True, slots=True, eq=False)
class LavaTrace:
    """What Lava computed.

    Attributes:
        readout: int32 [N, 3, H, W], the read-out's membrane at its window's last step, in 64ths of its LSB.
        spikes: for each recorded population int32 [T, N, C, H, W].
        membranes: likewise, after the reset; 64ths of an LSB for LIF, whole LSB for graded neurons.
    """

    readout: NDArray[np.int32]
    spikes: dict[str, NDArray[np.int32]]
    membranes: dict[str, NDArray[np.int32]]


def run_on_lava(
    plan_folder: Path,
    images: NDArray[Any],
    environment: Interpreter,
    record: Sequence[str] | None = None,
    context: Context = DEFAULT,
) -> LavaTrace:
    """Run integer images through a plan, all in one run.

    Small networks stand in it several times, side by side, since a step of Lava costs more than its
    arithmetic; R images that follow each other in one of them take R T + depth steps.

    Args:
        plan_folder: holds plan.json and plan.npz.
        images: integers [N, 3, H, W] of the plan's size and input range.
        environment: an interpreter with Lava.
        record: populations to record; all but the relays if None. The read-out is always among them.
        context: convolution, time limit, after which the whole process group is ended, and who hears of
            the runner's progress.

    Raises:
        ConfigError: the convolution or a name in `record` is unknown.
        DataError: the images do not fit the plan.
        ArtifactError: the plan cannot be read.
        VerificationError: Lava refuses the plan.
        BackendUnavailableError: Lava died, exceeded the limit, stalled each time, or left no usable result.
    """
    plan = _head_of_plan(plan_folder / "plan.json")
    return _execute(plan_folder, images, plan, _recorded(record, plan), environment, context)


def run_on_netx(
    folder: Path,
    run: NetxRun,
    images: NDArray[Any],
    environment: Interpreter,
    record: Sequence[str] | None = None,
    context: Context = DEFAULT,
) -> LavaTrace:
    """Let lava-dl load a `.net` file and run integer images through it, likewise.

    Args:
        folder: holds network.net, and export.json with the entry `netx`.
        run: the same entry.
        images: integers [N, 3, H, W] of the file's size and input range.
        environment: an interpreter in which netx loads.
        record: names of the layers to record; all if None. The read-out is recorded in any case.
        context: as of `run_on_lava`.

    Raises:
        ConfigError: the convolution or a name in `record` is unknown.
        DataError: the images do not fit the file.
        VerificationError: netx or Lava refuses the file.
        BackendUnavailableError: Lava died, exceeded the limit, stalled each time, or left no usable result.
    """
    head = _Head(
        timesteps=run.timesteps,
        input_low=run.input_low,
        input_high=run.input_high,
        image=run.image,
        neurons=dict(zip(run.populations, run.shapes, strict=True)),
        relays=frozenset(),
        readout=run.populations[-1],
        options=("--netx",),
    )
    return _execute(folder, images, head, _recorded(record, head), environment, context)


@dataclass(frozen=True, slots=True)
class _Head:
    """What this side needs of a plan or a `.net` file: shapes are (W, H, C), `options` the runner's."""

    timesteps: int
    input_low: int
    input_high: int
    image: tuple[int, ...]
    neurons: dict[str, tuple[int, ...]]
    relays: frozenset[str]
    readout: str
    over_time: bool = False
    options: tuple[str, ...] = ()


def _execute(
    source: Path,
    images: NDArray[Any],
    head: _Head,
    names: Sequence[str],
    environment: Interpreter,
    context: Context,
) -> LavaTrace:
    """Start the runner on a folder, wait for it, and read what it recorded of the populations `names`."""
    if context.conv not in CONVOLUTIONS:
        raise ConfigError(f"conv = {context.conv!r} is not allowed; use one of {', '.join(CONVOLUTIONS)}")
    _check_images(images, head)
    with temporary_folder("lava") as folder:
        lava_layout = np.moveaxis(images, (-3, -2, -1), (-1, -2, -3)).astype(np.int32)
        np.savez(folder / "images.npz", images=lava_layout)
        files: list[str | Path] = [source.resolve(), folder / "images.npz", folder / "result.npz"]
        options = [*head.options, "--conv", context.conv, "--stall-s", str(STALL_S), "--record", *names]
        finished = _finished([environment.python, "-B", RUNNER, *files, *options], context)
        demand_result(finished, "Lava", context.timeout_s, (TIME_IS_UP, REMEDY))
        expected = {name: (len(images), head.timesteps, *head.neurons[name]) for name in names}
        return _read_result(folder / "result.npz", expected, head.readout)


def _finished(command: Sequence[str | Path], context: Context) -> Finished:
    """Run the runner, and once more after a stall: rarely Lava's processes wait for each other without end.

    Each start has the time limit for itself. A result appears whole or not at all, so that no run sees
    what an earlier one left.
    """
    for attempt in range(1, ATTEMPTS + 1):
        finished = run_group(
            command, timeout_s=context.timeout_s, environment=clean_variables(), on_line=context.log
        )
        if finished.code != STALLED:
            break
        if attempt < ATTEMPTS and context.log:
            context.log(f"lava: its processes waited for each other; starting it again ({attempt + 1})")
    return finished


def _head_of_plan(path: Path) -> _Head:
    plan = read_plan(path)
    return _Head(
        timesteps=plan.timesteps,
        input_low=plan.input_low,
        input_high=plan.input_high,
        image=plan.sources[0].shape,
        neurons={neuron.name: neuron.shape for neuron in plan.neurons},
        relays=frozenset(neuron.name for neuron in plan.neurons if neuron.is_relay),
        readout=plan.readout,
        over_time=plan.over_time,
    )


def _check_images(images: NDArray[Any], plan: _Head) -> None:
    expected = (*((plan.timesteps,) if plan.over_time else ()), *plan.image[::-1])
    if images.shape[1:] != expected or not len(images):
        raise DataError(
            f"images {list(images.shape)}: the network takes [N, {', '.join(map(str, expected))}]"
        )
    if not np.issubdtype(images.dtype, np.integer):
        raise DataError(f"images of type {images.dtype}: the network takes integers of its input grid")
    low, high = plan.input_low, plan.input_high
    if images.min() < low or images.max() > high:
        raise DataError(f"images {images.min()}..{images.max()} leave the input range {low}..{high}")


def _recorded(record: Sequence[str] | None, plan: _Head) -> list[str]:
    if record is None:
        return [name for name in plan.neurons if name not in plan.relays]
    unknown = [name for name in record if name not in plan.neurons]
    if unknown:
        raise ConfigError(f"record: no population {', '.join(unknown)}; use one of {', '.join(plan.neurons)}")
    return list(dict.fromkeys([*record, plan.readout]))


def _read_result(path: Path, expected: dict[str, tuple[int, ...]], readout: str) -> LavaTrace:
    """Read recordings (N, T, W, H, C) and turn them to [T, N, C, H, W]."""
    found: dict[str, dict[str, NDArray[np.int32]]] = {"spikes": {}, "membranes": {}}
    values = len(found) * sum(math.prod(shape) for shape in expected.values())
    try:
        stored = read_arrays(path, limit=4 * values + HEADERS)
        for kind, arrays in found.items():
            for name, shape in expected.items():
                array = stored[f"{kind}.{name}"]
                if array.shape != shape or array.dtype != np.int32:
                    raise ValueError(f"{kind}.{name} is {array.dtype} {array.shape}, not int32 {shape}")
                arrays[name] = array.transpose(1, 0, 4, 3, 2)
    except (ArtifactError, KeyError, ValueError) as error:
        raise BackendUnavailableError(
            f"Lava left no usable result ({error}); install it anew: `{REMEDY}`"
        ) from error
    return LavaTrace(found["membranes"][readout][-1], found["spikes"], found["membranes"])
