"""Float students and `unet` teachers as ONNX files: the graph, and what is compared before it is written."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.degradations.crops import draw_tiles
from snn_tool.degradations.tasks import TrainedFor, degradation_for
from snn_tool.deploy.golden import refuse_photographs
from snn_tool.deploy.options import ONNX, GoldenOptions
from snn_tool.errors import ConfigError, ExportDiffersError
from snn_tool.exporters.contract.traces import EXACT, RecordedTrace
from snn_tool.exporters.onnx.float import SCHEMA, STUDENT, TEACHER, float_model
from snn_tool.exporters.onnx.float_check import check_steps
from snn_tool.exporters.onnx.integer import compare_integers, integer_model
from snn_tool.exporters.onnx.run import FileRun, run_steps
from snn_tool.exporters.onnx.student import IMAGE_INPUT, RESTORED, Form, readout_name
from snn_tool.exporters.onnx.traced import Traceable, traced_model
from snn_tool.images.metrics import to_uint8
from snn_tool.images.tiling import pad_to_multiple
from snn_tool.inputs.encoding import as_maps, integers_of
from snn_tool.inputs.samples import read_samples
from snn_tool.models.integer.engine import IntegerEngine, quantize_image, restore_integers, run_passes
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.network import Network
from snn_tool.models.neurons import GradedNeuron, LifNeuron
from snn_tool.models.streams import FANOUT
from snn_tool.models.topology import Topology, own_shape
from snn_tool.networks.open import FloatStudent, IntegerStudent, OpenedTeacher, Provenance, channels_of

CUT = (3, 5)
"""Rows and columns cut from a tile, so that its sides are odd."""

Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class OnnxOptions:
    """What the file holds and how it is checked.

    Attributes:
        golden: where the images of the check come from.
        taps: spikes of all populations are outputs.
        stateful: one timestep, with its membranes as inputs and outputs; `lif` alone.
        verify: run the file in onnxruntime before it is written.
        overwrite: replace a file that is there.
    """

    golden: GoldenOptions
    taps: bool = False
    stateful: bool = False
    verify: bool = True
    overwrite: bool = False


def check_target(target: str, lowering: str, asked: bool) -> bool:
    """Whether the target is ONNX.

    Raises:
        ConfigError: an option of ONNX is given with another target, or a lowering with ONNX.
    """
    if target != ONNX and asked:
        raise ConfigError(f"--taps and --stateful belong to --target {ONNX}, not to {target}")
    if target == ONNX and lowering != FANOUT:
        raise ConfigError(f"--lowering {lowering} belongs to --target loihi; an {ONNX} file is not lowered")
    return target == ONNX


def student_form(neuron: str, timesteps: int, passes: int, options: OnnxOptions) -> Form:
    """The graph's form for a student.

    Raises:
        ConfigError: a step is asked for of neurons that keep nothing, or of several passes.
    """
    if options.stateful and passes > 1:
        raise ConfigError(f"--stateful: the student runs {passes} times on an image; leave it out")
    if options.stateful and neuron != "lif":
        raise ConfigError(f"--stateful: {neuron} neurons keep nothing from step to step; leave it out")
    return Form(1 if options.stateful else timesteps, options.stateful, options.taps)


def origin_of(provenance: Provenance) -> dict[str, Any]:
    """Metadata that say where a file is from; without the folder, so that equal inputs give equal bytes."""
    assert provenance.path
    return {
        "source": provenance.path.name,
        "source_sha256": provenance.sha256,
        "trained_for": dict(provenance.trained_for.described),
    }


def check_images(
    trained_for: TrainedFor, options: GoldenOptions, channels: int, topology: Topology | None = None
) -> Image:
    """Degraded tiles float32 [N, C, H, W].

    Args:
        trained_for: the degradation, unless the options name one.
        options: of the tiles.
        channels: C, 3 of colour or 1 of grey.
        topology: whose multiples or whose one size the sides must fit.

    Raises:
        ConfigError: the size does not fit, or nothing says which noise to add.
        DataError: no image is as large as a tile.
    """
    size = (options.size, options.size)
    if topology and topology.image_size:
        size = topology.image_size
    elif topology and options.size % topology.multiple:
        raise ConfigError(f"--size {options.size}: use a multiple of {topology.multiple}")
    degradation = degradation_for(options.task, options.sigma, trained_for)
    return draw_tiles(options.images, options.tiles, size, degradation, options.seed, channels)


def cut_to_odd(images: Image) -> Image:
    """Images [N, C, H, W] without their last rows and columns; those too small lose none."""
    rows, columns = (max(side - cut, 1) for side, cut in zip(images.shape[2:], CUT, strict=True))
    return np.ascontiguousarray(images[:, :, :rows, :columns])


def float_student(opened: FloatStudent, out: Path, options: OnnxOptions) -> tuple[Any, tuple[str, ...]]:
    """The graph of `student.safetensors`, and what was compared.

    Raises:
        ConfigError: an option does not fit the student.
        ExportDiffersError: onnxruntime computes something else.
    """
    student, config, origin = opened.network, opened.config, opened.provenance
    form = student_form(config.neuron, config.timesteps, student.topology.passes, options)
    metadata = {**origin_of(origin), "config": config.describe(), "thresholds": thresholds(student)}
    return network_file(student, form, STUDENT, metadata, origin.trained_for, out, options)


def network_file(
    network: Network,
    form: Form,
    kind: str,
    metadata: Mapping[str, Any],
    trained_for: TrainedFor,
    out: Path,
    options: OnnxOptions,
) -> tuple[Any, tuple[str, ...]]:
    """The graph of a float network, and what was compared; the arguments are those of `float_model`."""
    model = float_model(network, form, kind, metadata)
    if not options.verify:
        return model, ()
    images = check_images(trained_for, options.golden, network.topology.image_channels, network.topology)
    return model, check_network(model, out, network, form, images)


def thresholds(network: Network) -> dict[str, float]:
    """By population, in units of its membrane."""
    kinds = (LifNeuron, GradedNeuron)
    return {n: float(k.threshold.detach()) for n, k in network.neurons.items() if isinstance(k, kinds)}


def check_network(model: Any, out: Path, network: Network, form: Form, images: Image) -> tuple[str, ...]:
    """Compare step by step, then the outputs of the file as it is written.

    Returns:
        What was compared, a line each.

    Raises:
        ExportDiffersError: what differs, by more than float32 explains.
    """
    check = check_steps(model, out, network, form, images)
    versions = ", ".join(f"{name} {version(name)}" for name in ("onnx", "onnxruntime", "torch"))
    first = (
        f"{check.values:,} values of all populations: neurons answer as torch's, sums differ from "
        f"float64 by at most {check.share:.0%} of float32's bound ({versions})"
    )
    return first, _check_outputs(model, out, network, form, images)


def _check_outputs(model: Any, out: Path, network: Network, form: Form, images: Image) -> str:
    """The file without further outputs, on odd sides: mirrored, and the image is added exactly."""
    run, odd = FileRun(model, out), cut_to_odd(images)
    height, width = odd.shape[2:]
    fitting = pad_to_multiple(odd, network.multiple)
    found, whole = (
        run_steps(run, network.topology, form, network.timesteps, shown)[-1] for shown in (odd, fitting)
    )
    readout = whole[readout_name(network.topology, form)]
    added = fitting + readout / np.float32(network.timesteps)
    if not np.array_equal(found[RESTORED], added[:, :, :height, :width]):
        raise ExportDiffersError(
            f"{out}: not written, '{RESTORED}' of {width}x{height} pixels is not the image and the read-out"
        )
    with torch.inference_mode():
        off = np.abs(found[RESTORED] - network(torch.from_numpy(fitting)).numpy()[:, :, :height, :width])
    return (
        f"restored images of {width}x{height} pixels differ from torch's own run by at most {off.max():.2g}, "
        f"on average {off.mean():.2g}"
    )


FACTOR = 8
"""So many times as far off float64 as torch's float32 may onnxruntime be: it sums in another order."""

UNIT = 2.0**-24
Values = Mapping[str, NDArray[Any]]


def teacher(opened: OpenedTeacher, out: Path, options: OnnxOptions) -> tuple[Any, tuple[str, ...]]:
    """The graph of `teacher.safetensors`, and what was compared.

    Raises:
        ConfigError: an option of students is given.
        ExportError: torch cannot trace the teacher.
        ExportDiffersError: onnxruntime computes something else.
    """
    if options.taps or options.stateful:
        raise ConfigError(f"{opened.provenance.path}: is a teacher; --taps and --stateful belong to students")
    network, origin = opened.network, opened.provenance
    metadata = {**origin_of(origin), **opened.built}
    if isinstance(network, Network):
        return network_file(network, Form(1), TEACHER, metadata, origin.trained_for, out, options)
    model = traced_model(cast("Traceable", network), TEACHER, SCHEMA, metadata)
    if not options.verify:
        return model, ()
    images = check_images(origin.trained_for, options.golden, channels_of(network))
    return model, check_teacher(model, out, network, images)


def check_teacher(model: Any, out: Path, network: Any, images: Image) -> tuple[str, ...]:
    """Hold restored images and features against the teacher in float64, of the images' sides and of odd ones.

    Args:
        model: of `traced_model`.
        out: for messages.
        network: the teacher.
        images: float32 [N, C, H, W].

    Returns:
        What was compared, a line.

    Raises:
        ExportDiffersError: a tensor is further off than `FACTOR` times torch's float32; it is named.
    """
    run = FileRun(model, out, tuple(network.feature_channels))
    exact = copy.deepcopy(network).double()
    worst, count, sides = 0.0, 0, []
    for shown in (images, cut_to_odd(images)):
        found, torchs = run({IMAGE_INPUT: shown}), _values(network, torch.from_numpy(shown))
        reference = _values(exact, torch.from_numpy(shown).double())
        for name, values in reference.items():
            worst = max(worst, _share(out, name, found[name], torchs[name], values))
            count += values.size
        sides.append(f"{shown.shape[3]}x{shown.shape[2]}")
    versions = ", ".join(f"{name} {version(name)}" for name in ("onnx", "onnxruntime", "torch"))
    return (
        f"{count:,} values of restored images of {' and '.join(sides)} pixels and of features "
        f"{', '.join(network.feature_channels)}: off float64 by at most {worst:.1f} times what torch is "
        f"({versions})",
    )


def _values(network: Any, images: torch.Tensor) -> dict[str, NDArray[Any]]:
    with torch.inference_mode():
        restored, features = network.forward_features(images)
    return {name: value.numpy() for name, value in {RESTORED: restored, **features}.items()}


def _share(out: Path, name: str, found: Any, torchs: Any, exact: NDArray[np.float64]) -> float:
    """The largest error in units of torch's own, which is at least one rounding of the largest value."""
    if found.shape != exact.shape:
        raise ExportDiffersError(f"{out}: not written, '{name}' is {found.shape}, not {exact.shape}")
    unit = max(float(np.abs(torchs - exact).max()), UNIT * float(np.abs(exact).max()))
    share = float(np.abs(found - exact).max()) / unit if unit else float(np.abs(found).max())
    # A NaN compares false, and is refused.
    if not share <= FACTOR:
        raise ExportDiffersError(
            f"{out}: not written, '{name}' is {share:.1f} times as far off float64 as torch's float32; "
            f"allowed are {FACTOR}"
        )
    return share


def integer_student(opened: IntegerStudent, out: Path, options: OnnxOptions) -> tuple[Any, tuple[str, ...]]:
    """The graph of `student.int.safetensors`, and what was compared.

    Args:
        opened: the integer network.
        out: for messages.
        options: of graph and check.

    Raises:
        ConfigError: an option does not fit the network.
        ExportError: a sum may exceed 32 bits.
        ExportDiffersError: onnxruntime gives another integer; the first is named.
    """
    network, origin = opened.network, opened.provenance
    form = student_form(network.neuron, network.timesteps, network.passes, options)
    model = integer_model(network, form, origin_of(origin))
    if not options.verify:
        return model, ()
    if options.golden.inputs.inputs is not None:
        return model, check_integer_student(model, out, network, form, _given_values(network, options.golden))
    assert origin.path
    refuse_photographs(origin.path, network)
    images = check_images(
        origin.trained_for, options.golden, network.topology.image_channels, network.topology
    )
    return model, check_integer_student(model, out, network, form, images)


def _given_values(network: IntegerNetwork, options: GoldenOptions) -> Image:
    """The first samples of a user's inputs, as the file takes them: [N, ...], or [T, N, ...] over time.

    Raises:
        DataError: they cannot be used, or do not fit the network.
    """
    own = own_shape(network.topology.image_channels, network.image_size or (options.size, options.size))
    samples = read_samples(options.inputs, own, network.timesteps, network.timesteps, options.tiles)
    values = samples.values.astype(np.float32)
    integers_of(values, network)  # refuses what does not fit
    if not network.over_time:
        return np.ascontiguousarray((values if network.grid else as_maps(values))[0])
    return np.ascontiguousarray(np.broadcast_to(values, (network.timesteps, *values.shape[1:])))


def check_integer_student(
    model: Any, out: Path, network: IntegerNetwork, form: Form, images: Image
) -> tuple[str, ...]:
    """Compare every population's integers, then the outputs of the file as it is written.

    Args:
        model: the file.
        out: for messages.
        network: what it was made of.
        form: of the graph.
        images: float32 [N, C, H, W] of fitting sides, or values as the file takes them.

    Returns:
        What was compared, a line each.

    Raises:
        ExportDiffersError: the first integer that differs, or how many pixels.
    """
    engine = IntegerEngine(network)
    record = [p.wiring.name for p in network.populations]
    integers = quantize_image(images, network) if network.grid is None else _integers(images, network)
    runs = [trace for _, trace in run_passes(engine, integers, record)]
    reference = RecordedTrace(
        runs[-1].readout,
        {name: np.concatenate([run.spikes[name] for run in runs]) for name in record},
        {name: np.concatenate([run.membranes[name] for run in runs]) for name in record},
    )
    result = compare_integers(model, out, network, form, images, reference)
    if result.status != EXACT:
        raise ExportDiffersError(
            f"{out}: not written, {result.mismatches:,} of {result.values_compared:,} integers differ in "
            f"onnxruntime; first: {result.first}"
        )
    versions = ", ".join(f"{name} {number}" for name, number in result.versions.items())
    lines = [f"{result.values_compared:,} integers of all populations equal the engine's ({versions})"]
    return (*lines, *_check_integer_outputs(model, out, engine, form, images, reference.readout))


def _integers(values: Image, network: IntegerNetwork) -> NDArray[np.int16]:
    return integers_of(values if network.over_time else values[None], network)


def _check_integer_outputs(
    model: Any, out: Path, engine: IntegerEngine, form: Form, images: Image, readout: Any
) -> tuple[str, ...]:
    """The file without further outputs, which is optimised otherwise; restored images of odd sides, too."""
    network, run = engine.network, FileRun(model, out)
    topology, steps = network.topology, network.timesteps
    found = run_steps(run, topology, form, steps, images)[-1]
    name = readout_name(topology, form)
    _require_equal(out, name, found[name], readout)
    if not topology.restores:
        return ()
    for shown in (images, cut_to_odd(images)):
        restored = run_steps(run, topology, form, steps, shown)[-1][RESTORED]
        _require_equal(out, RESTORED, restored, restored_pixels(engine, shown))
    height, width = shown.shape[2:]
    return (f"restored images equal as well, also those of {width}x{height} pixels",)


def restored_pixels(engine: IntegerEngine, images: Image) -> Any:
    """What `snn-tool restore` writes for images of any size, uint8 [N, C, H, W]."""
    height, width = images.shape[2:]
    fitting = pad_to_multiple(images, engine.network.topology.multiple)
    return to_uint8(restore_integers(engine, fitting).astype(np.float32))[:, :, :height, :width]


def _require_equal(out: Path, name: str, found: Any, expected: Any) -> None:
    if found.shape != expected.shape:
        raise ExportDiffersError(f"{out}: not written, '{name}' is {found.shape}, not {expected.shape}")
    if different := int((found != expected).sum()):
        raise ExportDiffersError(
            f"{out}: not written, {different:,} values of '{name}' differ in onnxruntime"
        )
