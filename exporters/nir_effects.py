"""What the values of a NIR node do in an importer: refusals, and changes of meaning with the numbers in them.

Held against NIR's equations by Euler steps of dt seconds from a membrane of 0, with v > v_threshold; the
current of a CubaLIF is renewed before the membrane that it drives. Every importer here cuts values to
float32, which is not reported.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

CHANGED, DROPPED, REFUSED = "changed", "dropped", "refused"
Floats = NDArray[np.float64]
RELATIVE = 1e-9
"""Two constants that differ by less than this are one: r = tau / dt rarely survives division exactly."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One reason why a node does not arrive as it is.

    Attributes:
        verdict: `changed`, `dropped` or `refused`.
        why: with the node's numbers.
    """

    verdict: str
    why: str


@dataclass(frozen=True, slots=True)
class Placed:
    """An effect of names and edges, on one node.

    Attributes:
        node: its name, behind those of the graphs that it is in; empty for the whole graph.
        effect: what becomes of it there.
    """

    node: str
    effect: Effect


Effects = Iterator[Effect]


def floats(values: ArrayLike) -> Floats:
    """A parameter as float64, at least one-dimensional."""
    return np.atleast_1d(np.asarray(values, dtype=np.float64))


def told(values: ArrayLike) -> str:
    """A parameter's numbers in a few characters: one value, or its range."""
    found = np.unique(floats(values))
    if found.size == 1:
        return f"{found[0]:.6g}"
    return f"{found[0]:.6g} to {found[-1]:.6g} ({found.size} values)"


def alike(values: ArrayLike, expected: ArrayLike, tolerance: float = RELATIVE) -> bool:
    """Whether all values are the expected ones, within a relative tolerance."""
    return bool(np.allclose(floats(values), floats(expected), rtol=tolerance, atol=0))


def one_value(values: ArrayLike) -> bool:
    """Whether all neurons share one value."""
    return bool(np.unique(floats(values)).size == 1)


def changed_unless(holds: bool, why: str) -> Effects:
    """A change of meaning unless the condition holds."""
    if not holds:
        yield Effect(CHANGED, why)


def refused_unless(holds: bool, why: str) -> Effects:
    """A refusal unless the condition holds."""
    if not holds:
        yield Effect(REFUSED, why)


def shared(node: Any, *fields: str) -> Effects:
    """Parameters of which an importer takes one value for the whole population."""
    for field in fields:
        values = getattr(node, field)
        yield from refused_unless(one_value(values), f"{field} is {told(values)}, but must be one")
