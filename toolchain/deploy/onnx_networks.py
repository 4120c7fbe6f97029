"""Float students and `unet` teachers as ONNX files: the graph, and what is compared before it is written."""

from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from snn_tool.errors import ExportDiffersError
from snn_tool.exporters.onnx.float_check import check_steps
from snn_tool.exporters.onnx_float_file import STUDENT, float_model
from snn_tool.exporters.onnx.student import RESTORED, Form, readout_name
from snn_tool.exporters.onnx.run import FileRun, run_steps
from snn_tool.models.network import Network
from snn_tool.models.neurons import GradedNeuron, LifNeuron
from snn_tool.models.student_file import load_student
from snn_tool.onnx_options import Image, OnnxOptions, check_images, cut_to_odd, origin_of, student_form
from snn_tool.images.tiling import pad_to_multiple


def float_student(source: Path, out: Path, options: OnnxOptions) -> tuple[Any, tuple[str, ...]]:
    """The graph of `student.safetensors`, and what was compared.

    Raises:
        ConfigError: an option does not fit the student.
        ArtifactError: the source is damaged.
        ExportDiffersError: onnxruntime computes something else.
    """
    student, config, training = load_student(source)
    form = student_form(config.neuron, config.timesteps, options)
    trained_for = training.get("task", {})
    metadata = {**origin_of(source, trained_for), "config": asdict(config), "thresholds": thresholds(student)}
    return network_file(student, form, STUDENT, metadata, trained_for, out, options)


def network_file(
    network: Network,
    form: Form,
    kind: str,
    metadata: Mapping[str, Any],
    trained_for: Mapping[str, Any],
    out: Path,
    options: OnnxOptions,
) -> tuple[Any, tuple[str, ...]]:
    """The graph of a float network, and what was compared; the arguments are those of `float_model`."""
    model = float_model(network, form, kind, metadata)
    if not options.verify:
        return model, ()
    images = check_images(trained_for, options.golden, network.topology)
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
