"""Students as ONNX files: the graph, and what onnxruntime must agree on before it is written."""

from pathlib import Path
from typing import Any

import numpy as np
from snn_tool.errors import ExportDiffersError
from snn_tool.exporters.comparison import EXACT
from snn_tool.exporters.onnx_integer_file import compare_integers, integer_model
from snn_tool.exporters.onnx.student import RESTORED, Form, readout_name
from snn_tool.exporters.onnx.run import FileRun, run_steps
from snn_tool.images.metrics import to_uint8
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.integer.file import load_integer_network
from snn_tool.models.integer.engine import IntegerEngine, quantize_image, restore
from snn_tool.onnx_options import Image, OnnxOptions, check_images, cut_to_odd, origin_of, student_form
from snn_tool.images.tiling import pad_to_multiple


def integer_student(source: Path, out: Path, options: OnnxOptions) -> tuple[Any, tuple[str, ...]]:
    """The graph of `student.int.safetensors`, and what was compared.

    Args:
        source: the integer network.
        out: for messages.
        options: of graph and check.

    Raises:
        ConfigError: an option does not fit the network.
        ArtifactError: the source is damaged.
        ExportError: a sum may exceed 32 bits.
        ExportDiffersError: onnxruntime gives another integer; the first is named.
    """
    network, provenance = load_integer_network(source)
    form = student_form(network.neuron, network.timesteps, options)
    trained_for = provenance.get("noise", {})
    model = integer_model(network, form, origin_of(source, trained_for))
    if not options.verify:
        return model, ()
    images = check_images(trained_for, options.golden, network.topology)
    return model, check_integer_student(model, out, network, form, images)


def check_integer_student(
    model: Any, out: Path, network: IntegerNetwork, form: Form, images: Image
) -> tuple[str, ...]:
    """Compare every population's integers, then the outputs of the file as it is written.

    Args:
        model: the file.
        out: for messages.
        network: what it was made of.
        form: of the graph.
        images: float32 [N, C, H, W] of fitting sides.

    Returns:
        What was compared, a line each.

    Raises:
        ExportDiffersError: the first integer that differs, or how many pixels.
    """
    engine = IntegerEngine(network)
    reference = engine.run(quantize_image(images, network), [p.wiring.name for p in network.populations])
    result = compare_integers(model, out, network, form, images, reference)
    if result.status != EXACT:
        raise ExportDiffersError(
            f"{out}: not written, {result.mismatches:,} of {result.values_compared:,} integers differ in "
            f"onnxruntime; first: {result.first}"
        )
    versions = ", ".join(f"{name} {number}" for name, number in result.versions.items())
    lines = [f"{result.values_compared:,} integers of all populations equal the engine's ({versions})"]
    return (*lines, *_check_outputs(model, out, engine, form, images, reference.readout))


def _check_outputs(
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
    return to_uint8(restore(engine, fitting).astype(np.float32))[:, :, :height, :width]


def _require_equal(out: Path, name: str, found: Any, expected: Any) -> None:
    if found.shape != expected.shape:
        raise ExportDiffersError(f"{out}: not written, '{name}' is {found.shape}, not {expected.shape}")
    if different := int((found != expected).sum()):
        raise ExportDiffersError(
            f"{out}: not written, {different:,} values of '{name}' differ in onnxruntime"
        )
