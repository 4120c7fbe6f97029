"""What reaches a node between two neurons: a bias, and convolutions of what neurons (or the image) emit.

Layers without state are linear, so that any chain of them is a sum of single convolutions:

    conv2(conv1(x)):  w[o, c, n] = sum over m, a of w2[o, m, a] w1[m, c, n - s1 d2 a]
                      stride s1 s2, padding p1 + s1 p2, kernel s1 d2 (k2 - 1) + k1

A padding p2 stands for zeros of conv1's output, which is conv1 of zeros only if conv1 has a 1x1 kernel
without a bias; any other case has no such form.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import UnsupportedLayerError

Reals = NDArray[np.float64]
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Conv:
    """A convolution: weight [out, in, kh, kw]; stride, padding and dilation are (vertical, horizontal)."""

    weight: Reals
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    @property
    def pointwise(self) -> bool:
        """One position of the input makes one position of the output."""
        return self.weight.shape[2:] == (1, 1) and self.padding == (0, 0) and self.stride == (1, 1)

    def output_size(self, size: Pair) -> Pair:
        """(H, W) of the output; below 1 where the kernel does not fit."""
        rows, columns = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(
                size, self.weight.shape[2:], self.stride, self.padding, self.dilation, strict=True
            )
        )
        return rows, columns


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A convolution of one source, and the names of the layers that it was put together from."""

    source: str
    conv: Conv
    layers: tuple[str, ...] = ()

    @property
    def is_identity(self) -> bool:
        """The source itself, channel by channel."""
        weight = self.conv.weight
        return self.conv.pointwise and np.array_equal(weight[..., 0, 0], np.eye(*weight.shape[:2]))


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """What arrives at a node.

    Attributes:
        terms: are added.
        bias: [C], at every position.
        shape: (C, H, W).
        flat: a Flatten lies behind; values are counted in the order c, y, x.
    """

    terms: tuple[Term, ...]
    bias: Reals
    shape: tuple[int, int, int]
    flat: bool = False


def emitted(source: str, shape: tuple[int, int, int], flat: bool = False) -> Form:
    """A source's own values."""
    channels = shape[0]
    return Form((Term(source, Conv(np.eye(channels)[:, :, None, None])),), np.zeros(channels), shape, flat)


def added(forms: Sequence[Form], where: str) -> Form:
    """The sum of what several edges bring.

    Raises:
        UnsupportedLayerError: their shapes differ; `where` stands at the head.
    """
    first = forms[0]
    for form in forms[1:]:
        if (form.shape, form.flat) != (first.shape, first.flat):
            raise UnsupportedLayerError(
                f"{where}: what arrives has unequal shapes {first.shape}, {form.shape}"
            )
    terms = tuple(term for form in forms for term in form.terms)
    return replace(first, terms=terms, bias=np.sum([form.bias for form in forms], axis=0))


def convolved(form: Form, conv: Conv, bias: Reals, layer: str, where: str) -> Form:
    """A form behind a convolution.

    Raises:
        UnsupportedLayerError: channels do not fit, the kernel is larger than the map, or zeros are padded to
            what is no single convolution.
    """
    channels, *size = form.shape
    if form.flat or conv.weight.shape[1] != channels:
        arriving = int(np.prod(form.shape)) if form.flat else form.shape
        raise UnsupportedLayerError(f"{where}: takes {conv.weight.shape[1]} channels, but {arriving} arrives")
    rows, columns = conv.output_size((size[0], size[1]))
    if min(rows, columns) < 1:
        raise UnsupportedLayerError(f"{where}: its kernel is larger than the {size[0]}x{size[1]} that arrive")
    if conv.padding != (0, 0) and (form.bias.any() or not all(t.conv.pointwise for t in form.terms)):
        before = ", ".join(dict.fromkeys(name for term in form.terms for name in term.layers))
        raise UnsupportedLayerError(
            f"{where}: pads the output of {before} with zeros, which no single convolution does; put neurons "
            "between the two, or set its padding to 0"
        )
    terms = tuple(Term(term.source, composed(term.conv, conv), (*term.layers, layer)) for term in form.terms)
    through = conv.weight.sum(axis=(2, 3)) @ form.bias + bias
    return Form(terms, through, (len(conv.weight), rows, columns))


def scaled(form: Form, factors: Reals, layer: str = "") -> Form:
    """A form times a factor per channel [C]."""
    layers = (layer,) if layer else ()
    terms = tuple(
        Term(
            term.source,
            replace(term.conv, weight=factors[:, None, None, None] * term.conv.weight),
            term.layers + layers,
        )
        for term in form.terms
    )
    return replace(form, terms=terms, bias=factors * form.bias)


def composed(first: Conv, second: Conv) -> Conv:
    """`second` behind `first` as one convolution."""
    if second.weight.shape[2:] == (1, 1) and second.padding == (0, 0):
        weight = np.einsum("om,mcyx->ocyx", second.weight[..., 0, 0], first.weight)
        return Conv(weight, _product(first.stride, second.stride), first.padding, first.dilation)
    if first.pointwise:
        weight = np.einsum("omyx,mc->ocyx", second.weight, first.weight[..., 0, 0])
        return replace(second, weight=weight)
    inner = spread(first.weight, first.dilation)
    reach = _product(first.stride, second.dilation)
    kernel = [
        r * (k - 1) + n for r, k, n in zip(reach, second.weight.shape[2:], inner.shape[2:], strict=True)
    ]
    weight = np.zeros((second.weight.shape[0], inner.shape[1], *kernel))
    for y, x in np.ndindex(*second.weight.shape[2:]):
        part = np.einsum("om,mcyx->ocyx", second.weight[:, :, y, x], inner)
        top, left = y * reach[0], x * reach[1]
        weight[:, :, top : top + inner.shape[2], left : left + inner.shape[3]] += part
    return Conv(weight, _product(first.stride, second.stride), first.padding)


def spread(weight: Reals, dilation: Pair) -> Reals:
    """The kernel [out, in, d (k - 1) + 1, ...] with the zeros of its dilation written out."""
    sides = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True)]
    wide = np.zeros((*weight.shape[:2], *sides))
    wide[:, :, :: dilation[0], :: dilation[1]] = weight
    return wide


def squared(conv: Conv, where: str) -> tuple[Reals, int, int, int]:
    """Weight [out, in, k, k], stride, padding and dilation of the same convolution with equal directions.

    A rectangle becomes a square by zeros on both sides, with as much more padding.

    Raises:
        UnsupportedLayerError: strides differ, or no square kernel has these outputs.
    """
    if conv.stride[0] != conv.stride[1]:
        raise UnsupportedLayerError(f"{where}: its strides {list(conv.stride)} differ; use equal ones")
    uniform = len(set(conv.dilation)) == 1
    weight = conv.weight if uniform else spread(conv.weight, conv.dilation)
    dilation = conv.dilation[0] if uniform else 1
    sides = [dilation * (k - 1) + 1 for k in weight.shape[2:]]
    if sides[0] - 2 * conv.padding[0] != sides[1] - 2 * conv.padding[1]:
        raise UnsupportedLayerError(
            f"{where}: a kernel of {sides[0]}x{sides[1]} with padding {list(conv.padding)} has no square "
            "form; use square maps and kernels"
        )
    if sides[0] != sides[1]:
        weight, dilation = spread(weight, (dilation, dilation)), 1
        more = [max(conv.padding) - p for p in conv.padding]
        weight = np.pad(weight, [(0, 0), (0, 0), (more[0], more[0]), (more[1], more[1])])
    return weight, conv.stride[0], max(conv.padding), dilation


def _product(first: Pair, second: Pair) -> Pair:
    return first[0] * second[0], first[1] * second[1]
