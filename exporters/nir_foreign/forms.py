"""What reaches a node between two neurons: a bias, and convolutions of what neurons (or the image) emit.

Layers without state are linear, so that any chain of them is a sum of single convolutions:

    conv2(conv1(x)):  w[o, c, n] = sum over m, a of w2[o, m, a] w1[m, c, n - s1 d2 a]
                      stride s1 s2, padding p1 + s1 p2, kernel s1 d2 (k2 - 1) + k1

A padding p2 stands for zeros of conv1's output. The one convolution has conv1's values of a map that goes on
with zeros there, which are zeros only if conv1 has no bias and no position beyond its output touches the map:
a pool whose kernel is its stride and that leaves no rows over, or a 1x1 kernel (`Conv.ends_with`).
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

    def reached(self, size: Pair) -> Pair:
        """(H, W) of the map without the rows and columns behind the last window."""
        rows, columns = (
            min(n, s * (m - 1) - p + d * (k - 1) + 1)
            for n, m, k, s, p, d in zip(
                size,
                self.output_size(size),
                self.weight.shape[2:],
                self.stride,
                self.padding,
                self.dilation,
                strict=True,
            )
        )
        return rows, columns

    def ends_with(self, size: Pair, axis: int) -> bool:
        """Whether positions before the first and behind the last read nothing but padding, along an axis.

        Position i reads from s i - p to s i - p + d (k - 1); -1 must end before 0, the last + 1 begin at n.
        """
        stride, padding = self.stride[axis], self.padding[axis]
        reach = self.dilation[axis] * (self.weight.shape[2 + axis] - 1)
        behind = stride * self.output_size(size)[axis] - padding
        return reach - stride - padding < 0 and behind >= size[axis]


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A convolution of one source of (H, W), and the names of the layers that it was put together from.

    With delay 1 it is of the source's spikes of the timestep before.
    """

    source: str
    conv: Conv
    size: Pair
    layers: tuple[str, ...] = ()
    delay: int = 0

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


def emitted(source: str, shape: tuple[int, int, int], flat: bool = False, delay: int = 0) -> Form:
    """A source's own values, of this timestep or the one before."""
    channels, height, width = shape
    itself = Term(source, Conv(np.eye(channels)[:, :, None, None]), (height, width), delay=delay)
    return Form((itself,), np.zeros(channels), shape, flat)


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
    if _unpaddable(form, conv):
        conv = windowed(conv, (size[0], size[1]))
    if why := _unpaddable(form, conv):
        before = ", ".join(dict.fromkeys(name for term in form.terms for name in term.layers))
        raise UnsupportedLayerError(
            f"{where}: pads the output of {before} with zeros, which no single convolution does: {why}; "
            "put neurons between the two, or set its padding to 0"
        )
    terms = tuple(
        replace(term, conv=composed(term.conv, conv), layers=(*term.layers, layer)) for term in form.terms
    )
    through = conv.weight.sum(axis=(2, 3)) @ form.bias + bias
    return Form(terms, through, (len(conv.weight), rows, columns))


def _unpaddable(form: Form, conv: Conv) -> str:
    """Why zeros around what arrives are not what the layers before make of a map in zeros, or empty."""
    padded = [axis for axis in (0, 1) if conv.padding[axis]]
    if padded and form.bias.any():
        return "they have a bias"
    if not all(term.conv.ends_with(term.size, axis) for term in form.terms for axis in padded):
        return "their windows overlap or leave rows over"
    return ""


def windowed(conv: Conv, size: Pair) -> Conv:
    """The same without padding in a direction of one position, where its kernel becomes the whole map."""
    for axis, positions in enumerate(conv.output_size(size)):
        if positions == 1 and conv.padding[axis]:
            wide = np.moveaxis(spread(conv.weight, conv.dilation), 2 + axis, 0)
            wide = wide[conv.padding[axis] :][: size[axis]]
            whole = np.zeros((size[axis], *wide.shape[1:]))
            whole[: len(wide)] = wide
            conv = Conv(
                np.moveaxis(whole, 0, 2 + axis),
                (1, conv.stride[1]) if axis == 0 else (conv.stride[0], 1),
                (0, conv.padding[1]) if axis == 0 else (conv.padding[0], 0),
            )
    return conv


def unrolled(form: Form) -> Form:
    """A flattened map as channels of one position, in the order c, y, x, each with weights of its own."""
    channels, height, width = form.shape
    terms = tuple(
        replace(term, conv=_written_out(term.conv, term.size, (height, width))) for term in form.terms
    )
    return Form(terms, np.repeat(form.bias, height * width), (channels * height * width, 1, 1))


def _written_out(conv: Conv, size: Pair, positions: Pair) -> Conv:
    """A kernel as large as the map for each output."""
    inner = spread(conv.weight, conv.dilation)
    outputs, inputs, *sides = inner.shape
    edges = [
        (p, max(0, s * m + k)) for p, s, m, k in zip(conv.padding, conv.stride, positions, sides, strict=True)
    ]
    full = [before + n + behind for n, (before, behind) in zip(size, edges, strict=True)]
    weight = np.zeros((outputs, *positions, inputs, *full))
    for y, x in np.ndindex(*positions):
        top, left = y * conv.stride[0], x * conv.stride[1]
        weight[:, y, x, :, top : top + sides[0], left : left + sides[1]] = inner
    (rows, _), (columns, _) = edges
    inside = weight[..., rows : rows + size[0], columns : columns + size[1]]
    return Conv(inside.reshape(-1, inputs, *size))


def scaled(form: Form, factors: Reals, layer: str = "") -> Form:
    """A form times a factor per channel [C]."""
    layers = (layer,) if layer else ()
    terms = tuple(
        replace(
            term,
            conv=replace(term.conv, weight=factors[:, None, None, None] * term.conv.weight),
            layers=term.layers + layers,
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
    beyond = _product(first.stride, second.padding)
    padding = (first.padding[0] + beyond[0], first.padding[1] + beyond[1])
    return Conv(weight, _product(first.stride, second.stride), padding)


def spread(weight: Reals, dilation: Pair) -> Reals:
    """The kernel [out, in, d (k - 1) + 1, ...] with the zeros of its dilation written out."""
    sides = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True)]
    wide = np.zeros((*weight.shape[:2], *sides))
    wide[:, :, :: dilation[0], :: dilation[1]] = weight
    return wide


@dataclass(frozen=True, slots=True, eq=False)
class Square:
    """A convolution whose two directions are equal.

    Attributes:
        weight: [out, in, k, k].
        stride, padding, dilation: of both directions.
        bound: it stands for the rectangle on maps of the given sizes alone.
    """

    weight: Reals
    stride: int
    padding: int
    dilation: int
    bound: bool = False


def squared(conv: Conv, size: Pair, where: str) -> Square:
    """The same convolution of a map of (H, W) with equal directions.

    A rectangle becomes a square by zeros on its sides, with as much more padding. A direction with m
    positions of n pixels takes any kernel k and padding p for which n + 2 p - k lies between s (m - 1) and
    s m - 1; where one position comes out its stride is free as well.

    Raises:
        UnsupportedLayerError: no square kernel has these outputs.
    """
    uniform = len(set(conv.dilation)) == 1
    sides = [d * (k - 1) + 1 for d, k in zip(conv.dilation, conv.weight.shape[2:], strict=True)]
    surplus = [side - 2 * padding for side, padding in zip(sides, conv.padding, strict=True)]
    if conv.stride[0] == conv.stride[1] and surplus[0] == surplus[1]:
        if uniform and sides[0] == sides[1]:
            return Square(conv.weight, conv.stride[0], conv.padding[0], conv.dilation[0])
        return _embedded(conv, conv.stride[0], surplus[0])
    positions = conv.output_size(size)
    stride = _common_stride(conv, size, positions, where)
    lowest = max(n - stride * m + 1 for n, m in zip(size, positions, strict=True))
    highest = min(n - stride * (m - 1) for n, m in zip(size, positions, strict=True))
    if lowest > highest:
        raise UnsupportedLayerError(
            f"{where}: a kernel of {sides[0]}x{sides[1]} with padding {list(conv.padding)} has no square "
            f"form that makes {positions[0]}x{positions[1]} of {size[0]}x{size[1]}; use square maps"
        )
    within = sorted({lowest, highest, *(min(max(one, lowest), highest) for one in surplus)})
    forms = (_embedded(conv, stride, one, bound=True) for one in within)
    return min(forms, key=lambda form: form.weight.shape[2])


def _common_stride(conv: Conv, size: Pair, positions: Pair, where: str) -> int:
    """The stride of a direction with several positions; of one position each, one that reaches far enough."""
    needed = {s for s, m in zip(conv.stride, positions, strict=True) if m > 1}
    if len(needed) > 1:
        raise UnsupportedLayerError(f"{where}: its strides {list(conv.stride)} differ; use equal ones")
    return needed.pop() if needed else max(*conv.stride, abs(size[0] - size[1]) + 1)


def _embedded(conv: Conv, stride: int, surplus: int, bound: bool = False) -> Square:
    """The smallest square that holds a kernel at its place, of side `surplus` + 2 padding."""
    weight = spread(conv.weight, conv.dilation)
    sides, margins = weight.shape[2:], list(conv.padding)
    margins += [side - padding - surplus for side, padding in zip(sides, conv.padding, strict=True)]
    padding = max(margins)
    before = [padding - p for p in conv.padding]
    zeros = [(b, surplus + 2 * padding - b - side) for b, side in zip(before, sides, strict=True)]
    return Square(np.pad(weight, [(0, 0), (0, 0), *zeros]), stride, padding, 1, bound)


def _product(first: Pair, second: Pair) -> Pair:
    return first[0] * second[0], first[1] * second[1]
