"""Values of single NIR nodes as integers; what lies off the grid or contradicts the metadata is refused."""

import nir
import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import ArtifactError
from snn_tool.exporters.nir.ladder import check_ladder
from snn_tool.exporters.nir.metadata import REMEDY, Constants, PopulationConstants
from snn_tool.exporters.nir.program import (
    ConvNode,
    GradedNode,
    Integers,
    LifNode,
    PopulationNode,
    ReadoutNode,
)
from snn_tool.exporters.nir_units import float_threshold, shuffle_ports, time_constant

LARGEST_INTEGER = (1 << 31) - 1
"""Weights and biases are deployed as 32-bit integers."""

LARGEST_GEOMETRY = 1 << 10
"""Bound on stride, padding, dilation and kernel sides, in pixels; beyond it a file is damaged."""

NODE_OF_KIND = {"lif": (nir.LIF, nir.IF), "graded": (nir.NIRGraph,), "readout": (nir.I, nir.LI)}


def parse_conv(
    node: nir.Conv2d, name: str, source: str, lsb_exponent: int, constants: Constants, file: str
) -> ConvNode:
    """A Conv2d as integers in LSB of the populations that it feeds.

    Raises:
        ArtifactError: a value is not finite or not a multiple of the LSB, or the geometry is not supported.
    """
    where = f"{file}: {name}"
    exponent, upsample = constants.mantissa_exponents[name], constants.shuffles.get(name, 1)
    weight = _integers(np.asarray(node.weight), lsb_exponent, 4, f"{where}: weight")
    bias = _integers(np.asarray(node.bias), lsb_exponent, 1, f"{where}: bias")
    if bias.shape != weight.shape[:1] or weight.shape[0] % upsample**2:
        raise ArtifactError(
            f"{where}: bias {list(bias.shape)} and weight {list(weight.shape)} do not fit; {REMEDY}"
        )
    if max(weight.shape[2:]) > LARGEST_GEOMETRY:
        raise ArtifactError(
            f"{where}: a kernel of {list(weight.shape[2:])} pixels is not supported; {REMEDY}"
        )
    if (weight % (1 << exponent)).any():
        raise ArtifactError(
            f"{where}: weights are not multiples of 2^{exponent}, as the metadata says; {REMEDY}"
        )
    if upsample > 1 and bias.any():
        raise ArtifactError(f"{where}: a bias before the pixel-shuffle is not supported; {REMEDY}")
    if np.ndim(node.groups) or node.groups != 1:
        groups = node.groups if np.ndim(node.groups) == 0 else f"an array of {list(np.shape(node.groups))}"
        raise ArtifactError(
            f"{where}: groups = {groups}, but only dense convolutions are supported; {REMEDY}"
        )
    return ConvNode(
        name=name,
        source=source,
        weight=weight,
        bias=bias,
        stride=_geometry(node.stride, "stride", 1, where),
        padding=_geometry(node.padding, "padding", 0, where),
        dilation=_geometry(node.dilation, "dilation", 1, where),
        upsample=upsample,
        mantissa_exponent=exponent,
    )


def check_ports(graph: nir.NIRGraph, conv: ConvNode, source: tuple[int, int, int], file: str) -> None:
    """Compare the declared shapes of a pixel-shuffle's ports with what arrives and leaves.

    Args:
        graph: holds the ports.
        conv: the convolution in front of them.
        source: shape (Ci, height, width) of the convolution's source.
        file: stands at the head of messages.

    Raises:
        ArtifactError: names the port.
    """
    if conv.upsample == 1:
        return
    before, after = shuffle_ports(conv.name)
    height, width = conv.output_size(*source[1:])
    low = [conv.weight.shape[0], height // conv.upsample, width // conv.upsample]
    for port, expected in ((before, low), (after, [conv.target_channels, height, width])):
        found = [int(n) for n in np.ravel(next(iter(graph.nodes[port].input_type.values())))]
        if found != expected:
            raise ArtifactError(
                f"{file}: {port}: shape {found}, but the pixel-shuffle needs {expected}; {REMEDY}"
            )


def parse_population(
    node: nir.NIRNode, name: str, inputs: tuple[str, ...], constants: Constants, file: str
) -> PopulationNode:
    """A LIF, IF, I or ladder as integers.

    Raises:
        ArtifactError: parameters differ between neurons, are not finite, or contradict the metadata.
    """
    where, claimed = f"{file}: {name}", constants.populations[name]
    if not isinstance(node, NODE_OF_KIND[claimed.kind]):
        raise ArtifactError(
            f"{where}: a {type(node).__name__}, but its metadata says {claimed.kind}; {REMEDY}"
        )
    shape = _shape(node, where)
    if isinstance(node, nir.NIRGraph):
        graded = GradedNode(name, inputs, *shape, claimed.threshold, claimed.levels, claimed.signed)
        check_ladder(node, graded, claimed.lsb_exponent, where)
        return graded
    if isinstance(node, nir.I | nir.LI):
        _check_integrator(node, claimed.decay, constants.dt_s, where)
        return ReadoutNode(name, inputs, *shape, claimed.decay)
    _check_lif(node, claimed, constants.dt_s, where)
    return LifNode(name, inputs, *shape, claimed.threshold, claimed.decay)


def _check_integrator(node: nir.NIRNode, decay: int, dt_s: float, where: str) -> None:
    """What IF and I, or LIF and LI, have in common."""
    if isinstance(node, nir.IF | nir.I) != (decay == 0):
        raise ArtifactError(f"{where}: a {type(node).__name__}, but its decay is {decay} / 4096; {REMEDY}")
    if decay:
        tau = time_constant(decay, dt_s)
        _check_constant(node.tau, tau, "tau", where)
        _check_constant(node.r, tau / dt_s, "r", where)
        _check_constant(node.v_leak, 0.0, "v_leak", where)
    else:
        _check_constant(node.r, 1 / dt_s, "r", where)


def _check_lif(node: nir.LIF | nir.IF, claimed: PopulationConstants, dt_s: float, where: str) -> None:
    _check_integrator(node, claimed.decay, dt_s, where)
    _check_constant(node.v_reset, 0.0, "v_reset", where)
    _check_constant(
        node.v_threshold, float_threshold(claimed.threshold, claimed.lsb_exponent), "v_threshold", where
    )


def _check_constant(array: NDArray[np.float64], expected: float, field: str, where: str) -> None:
    values = np.asarray(array)
    differs = values != expected
    if differs.any():
        found = values[differs].flat[0]
        raise ArtifactError(
            f"{where}: {field} {found} contradicts {expected}, which the metadata implies; {REMEDY}"
        )


def _shape(node: nir.NIRNode, where: str) -> tuple[int, int, int]:
    if len(node.input_type) != 1:
        raise ArtifactError(f"{where}: has {len(node.input_type)} inputs, not one; {REMEDY}")
    shape = [int(n) for n in np.ravel(next(iter(node.input_type.values())))]
    if len(shape) != 3 or min(shape) < 1:
        raise ArtifactError(f"{where}: shape {shape} is not [channels, height, width]; {REMEDY}")
    return shape[0], shape[1], shape[2]


def _integers(values: NDArray[np.float32], lsb_exponent: int, dimensions: int, what: str) -> Integers:
    if values.ndim != dimensions or values.size == 0 or values.dtype.kind != "f":
        raise ArtifactError(f"{what}: {values.dtype} of shape {list(values.shape)} is not usable; {REMEDY}")
    if not np.isfinite(values).all():
        raise ArtifactError(f"{what}: holds NaN or infinity; {REMEDY}")
    scaled = np.ldexp(values.astype(np.float64), -lsb_exponent)
    if (scaled != np.round(scaled)).any():
        raise ArtifactError(
            f"{what}: {values[scaled != np.round(scaled)][0]} is no multiple of 2^{lsb_exponent}; {REMEDY}"
        )
    if np.abs(scaled).max() > LARGEST_INTEGER:
        raise ArtifactError(f"{what}: {np.abs(scaled).max():.0f} LSB exceed 32 bits; {REMEDY}")
    return scaled.astype(np.int64)


def _geometry(value: object, field: str, smallest: int, where: str) -> int:
    found = np.ravel(np.asarray(value))
    if found.dtype.kind not in "iu" or found.size != 2 or len(set(found.tolist())) != 1:
        raise ArtifactError(f"{where}: {field} {value} is not one number for both directions; {REMEDY}")
    if not smallest <= int(found[0]) <= LARGEST_GEOMETRY:
        raise ArtifactError(
            f"{where}: {field} {found[0]} is outside {smallest}..{LARGEST_GEOMETRY}; {REMEDY}"
        )
    return int(found[0])
