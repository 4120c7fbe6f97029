"""Teachers as ONNX files: the graph, and how near it must come to float64 before it is written."""

import copy
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.errors import ConfigError, ExportDiffersError
from snn_tool.exporters.onnx_float_file import SCHEMA, TEACHER
from snn_tool.exporters.onnx.student import IMAGE_INPUT, RESTORED, Form
from snn_tool.exporters.onnx.run import FileRun
from snn_tool.exporters.onnx.traced import Traceable, traced_model
from snn_tool.models.network import Network
from snn_tool.models.teachers.registry import load_teacher
from snn_tool.deploy.onnx_networks import network_file
from snn_tool.onnx_options import Image, OnnxOptions, check_images, cut_to_odd, origin_of

FACTOR = 8
"""So many times as far off float64 as torch's float32 may onnxruntime be: it sums in another order."""

UNIT = 2.0**-24
Values = Mapping[str, NDArray[Any]]


def teacher(source: Path, out: Path, options: OnnxOptions) -> tuple[Any, tuple[str, ...]]:
    """The graph of `teacher.safetensors`, and what was compared.

    Raises:
        ConfigError: an option of students is given.
        ArtifactError: the source is damaged.
        ExportError: torch cannot trace the teacher.
        ExportDiffersError: onnxruntime computes something else.
    """
    if options.taps or options.stateful:
        raise ConfigError(f"{source}: is a teacher; --taps and --stateful belong to students")
    network, description = load_teacher(source)
    trained_for = description.get("training", {}).get("task", {})
    body = {"architecture": description["architecture"], "options": description["options"]}
    metadata = {**origin_of(source, trained_for), **body}
    if isinstance(network, Network):
        return network_file(network, Form(1), TEACHER, metadata, trained_for, out, options)
    model = traced_model(cast("Traceable", network), TEACHER, SCHEMA, metadata)
    if not options.verify:
        return model, ()
    return model, check_teacher(model, out, network, check_images(trained_for, options.golden))


def check_teacher(model: Any, out: Path, network: Any, images: Image) -> tuple[str, ...]:
    """Hold restored images and features against the teacher in float64, of the images' sides and of odd ones.

    Args:
        model: of `traced_model`.
        out: for messages.
        network: the teacher.
        images: float32 [N, 3, H, W].

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
