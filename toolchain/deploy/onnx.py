"""`snn-tool export --target onnx`: one file, which onnxruntime has run before it takes its place.

Tiles are drawn as for the other targets. The file is compared in memory and written only if it agrees.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snn_tool.deploy.onnx_networks import OnnxOptions, float_student, integer_student, teacher
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.exporters.onnx.graph import OPSET, metadata_of, value_text
from snn_tool.files.artifacts import write_bytes
from snn_tool.files.ownership import refuse_existing_file
from snn_tool.networks.open import FloatStudent, IntegerStudent, Opened, open_network
from snn_tool.tables import printable

SUFFIX = ".onnx"


def _made(opened: Opened, out: Path, options: OnnxOptions) -> tuple[Any, tuple[str, ...]]:
    """The graph, and a line for each comparison that it passed."""
    if isinstance(opened, IntegerStudent):
        return integer_student(opened, out, options)
    return (
        float_student(opened, out, options)
        if isinstance(opened, FloatStudent)
        else teacher(opened, out, options)
    )


@dataclass(frozen=True, slots=True)
class OnnxExported:
    """What was written.

    Attributes:
        path: the file.
        kind: of its metadata.
        opset: version of ONNX's operators.
        nodes: of the graph.
        size: of the file in bytes.
        inputs, outputs: name, type and sizes.
        checks: what was compared before, a line each; empty if nothing was.
    """

    path: Path
    kind: str
    opset: int
    nodes: int
    size: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    checks: tuple[str, ...]


def export_onnx(source: Path, out: Path, options: OnnxOptions) -> OnnxExported:
    """Write an ONNX file.

    Args:
        source: `student.int.safetensors`, `student.safetensors` or `teacher.safetensors`.
        out: file to make, `.onnx`.
        options: of graph and check.

    Raises:
        ConfigError: another kind of file, an option that does not fit it, or `out` exists.
        ArtifactError: the source is damaged.
        DataError: no image is as large as a tile.
        ExportError: the network cannot be expressed exactly.
        ExportDiffersError: onnxruntime computes something else; nothing is written.
    """
    if out.suffix != SUFFIX:
        raise ConfigError(f"--out {out}: --target onnx makes one file; let its name end in {SUFFIX}")
    refuse_existing_file(out, options.overwrite, _is_ours, "ONNX export")
    if source.suffix != ".safetensors":
        raise ConfigError(f"{source}: --target onnx takes a .safetensors file of this tool")
    model, checks = _made(open_network(source), out, options)
    data = model.SerializeToString()
    write_bytes(out, data)
    return OnnxExported(
        path=out,
        kind=metadata_of(model)["kind"],
        opset=OPSET,
        nodes=len(model.graph.node),
        size=len(data),
        inputs=tuple(value_text(value) for value in model.graph.input),
        outputs=tuple(value_text(value) for value in model.graph.output),
        checks=checks,
    )


def _is_ours(path: Path) -> bool:
    """Whether a file is an ONNX model with the metadata of an export."""
    from snn_tool.models.teachers.onnx import read_graph

    try:
        return "kind" in metadata_of(read_graph(path))
    except ArtifactError:
        return False


def export_text(exported: OnnxExported) -> str:
    """What an export left behind, in a few lines."""
    lines = [
        f"{exported.path}: {exported.kind}, opset {exported.opset}, {exported.nodes} nodes, "
        f"{exported.size:,} bytes",
        *(f"input {text}" for text in exported.inputs),
        *(f"output {text}" for text in exported.outputs),
        *(exported.checks or ("not compared with anything (--no-verify)",)),
    ]
    return "\n".join(map(printable, lines))
