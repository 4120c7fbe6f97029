"""Layers between neurons as forms: what leaves a node without state, of what arrives at it."""

from typing import Any

import nir
import numpy as np
from snn_tool.errors import UnsupportedLayerError
from snn_tool.exporters.nir.reading import pair
from snn_tool.exporters.nir_foreign.forms import Conv, Form, Pair, Reals, convolved, scaled

REMEDY = "between neurons use Conv2d, Conv1d, Linear, Affine, Scale, Flatten, SumPool2d or AvgPool2d"


MOST_UNROLLED = 1 << 22
"""Weights of a convolution that is written out for every position."""


def apply_layer(node: nir.NIRNode, form: Form, name: str, where: str) -> Form:
    """What leaves a layer.

    Args:
        node: the layer.
        form: what arrives.
        name: of the layer.
        where: stands at the head of messages.

    Raises:
        UnsupportedLayerError: the layer's type, shape or geometry has no form.
    """
    if isinstance(node, nir.Conv1d):
        return convolved(form, _line(node, form, where), _bias(node.bias, len(node.weight)), name, where)
    if isinstance(node, nir.Conv2d):
        weight = _dense(np.asarray(node.weight, dtype=np.float64), int(node.groups))
        conv = Conv(weight, pair(node.stride), _padding(node, where), pair(node.dilation))
        return convolved(form, conv, _bias(node.bias, len(weight)), name, where)
    if isinstance(node, nir.SumPool2d | nir.AvgPool2d):
        return convolved(form, _pool(node, form.shape[0]), np.zeros(form.shape[0]), name, where)
    if isinstance(node, nir.Linear | nir.Affine):
        return _linear(node, form, name, where)
    if isinstance(node, nir.Scale):
        return scaled(form, per_channel(node.scale, form, "scale", where), name)
    if isinstance(node, nir.Flatten):
        return _flattened(node, form, where)
    raise UnsupportedLayerError(f"{where}: {type(node).__name__} cannot be imported; {REMEDY}")


def per_channel(values: Any, form: Form, field: str, where: str) -> Reals:
    """A parameter as [C]: one for all, or of the full shape with equal values at all positions of a channel.

    Raises:
        UnsupportedLayerError: another shape, or values that differ within a channel.
    """
    array = np.asarray(values, dtype=np.float64)
    channels = form.shape[0]
    if array.size == 1:
        return np.full(channels, float(array.reshape(())))
    if array.shape == (channels, 1, 1):
        return array[:, 0, 0].copy()
    line = (channels, form.shape[2]) if form.shape[1] == 1 else form.shape
    if array.shape not in (form.shape, line, (int(np.prod(form.shape)),)):
        raise UnsupportedLayerError(f"{where}: {field} has shape {list(array.shape)}, not {list(form.shape)}")
    rows = array.reshape(channels, -1)
    if (rows != rows[:, :1]).any():
        raise UnsupportedLayerError(
            f"{where}: {field} differs between the positions of a channel, which shared weights cannot take "
            "up; use one value per channel, or put Flatten before it"
        )
    return rows[:, 0].copy()


def differs_within(node: Any, form: Form) -> bool:
    """Whether a flattened map arrives, few enough values, at neurons that differ between its positions."""
    values = int(np.prod(form.shape))
    weights = values * sum(int(np.prod(term.size)) * term.conv.weight.shape[1] for term in form.terms)
    if not form.flat or form.shape[1:] == (1, 1) or weights > MOST_UNROLLED:
        return False
    held = [np.asarray(one) for one in vars(node).values() if isinstance(one, np.ndarray)]
    rows = [one.reshape(form.shape[0], -1) for one in held if one.shape == (values,)]
    return any(bool((one != one[:, :1]).any()) for one in rows)


def _line(node: nir.Conv1d, form: Form, where: str) -> Conv:
    """A Conv1d of [C, L] as a convolution of [C, 1, L]."""
    if form.shape[1] != 1:
        raise UnsupportedLayerError(f"{where}: a Conv1d, but {list(form.shape)} arrives; use Conv2d")
    weight = _dense(np.asarray(node.weight, dtype=np.float64), int(node.groups))[:, :, None]
    stride, dilation = (int(np.ravel(value)[0]) for value in (node.stride, node.dilation))
    if isinstance(node.padding, str):
        surplus = dilation * (weight.shape[3] - 1) * (node.padding != "valid")
        if node.padding not in ("valid", "same") or surplus % 2:
            raise UnsupportedLayerError(f"{where}: padding {node.padding!r} of an even kernel is one-sided")
        return Conv(weight, (1, stride), (0, surplus // 2), (1, dilation))
    return Conv(weight, (1, stride), (0, int(np.ravel(node.padding)[0])), (1, dilation))


def _linear(node: Any, form: Form, name: str, where: str) -> Form:
    weight = np.asarray(node.weight, dtype=np.float64)
    channels, height, width = form.shape
    is_vector = form.flat or (height, width) == (1, 1)
    if weight.ndim != 2 or not is_vector or weight.shape[1] != channels * height * width:
        raise UnsupportedLayerError(
            f"{where}: takes {list(weight.shape[1:])}, but {list(form.shape)} arrives; put Flatten before it"
        )
    conv = Conv(weight.reshape(len(weight), channels, height, width))
    unfolded = Form(form.terms, form.bias, form.shape)
    bias = _bias(getattr(node, "bias", None), len(weight))
    return convolved(unfolded, conv, bias, name, where)


def _flattened(node: nir.Flatten, form: Form, where: str) -> Form:
    if int(node.start_dim) != 0 or int(node.end_dim) not in (-1, 2):
        raise UnsupportedLayerError(
            f"{where}: flattens dimensions {node.start_dim} to {node.end_dim}; only a whole map is flattened"
        )
    return Form(form.terms, form.bias, form.shape, flat=True)


def _pool(node: Any, channels: int) -> Conv:
    """Each channel by itself: sums, or means with the zeros of the padding counted."""
    rows, columns = pair(node.kernel_size)
    value = 1.0 if isinstance(node, nir.SumPool2d) else 1 / (rows * columns)
    weight = np.eye(channels)[:, :, None, None] * np.full((rows, columns), value)
    return Conv(weight, pair(node.stride), pair(node.padding))


def _dense(weight: Reals, groups: int) -> Reals:
    """[out, in, ...] of a kernel [out, in / groups, ...], zero between groups."""
    outputs, inputs = weight.shape[0] // groups, weight.shape[1]
    wide = np.zeros((weight.shape[0], inputs * groups, *weight.shape[2:]))
    for group in range(groups):
        rows = slice(group * outputs, (group + 1) * outputs)
        wide[rows, group * inputs : (group + 1) * inputs] = weight[rows]
    return wide


def _padding(node: Any, where: str) -> Pair:
    if not isinstance(node.padding, str):
        return pair(node.padding)
    if node.padding == "valid":
        return 0, 0
    surplus = [d * (k - 1) for d, k in zip(pair(node.dilation), np.shape(node.weight)[2:], strict=True)]
    if node.padding != "same" or any(n % 2 for n in surplus):
        raise UnsupportedLayerError(f"{where}: padding {node.padding!r} of an even kernel is one-sided")
    return surplus[0] // 2, surplus[1] // 2


def _bias(values: Any, channels: int) -> Reals:
    return np.zeros(channels) if values is None else np.asarray(values, dtype=np.float64).reshape(channels)
