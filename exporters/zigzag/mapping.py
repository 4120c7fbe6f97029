"""Loop nests mapped by ZigZag, in another interpreter and process: files go in and files come out."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from snn_tool.errors import ArtifactError, BackendUnavailableError
from snn_tool.exporters.contract.process import demand_result, run_group
from snn_tool.exporters.lava.environment import clean_variables
from snn_tool.exporters.zigzag.environment import REMEDY, RUNNER, ZigzagEnvironment
from snn_tool.files.artifacts import parse_json
from snn_tool.files.documents import Count, Fraction, Name, NotNegative, Sha256, Text, convert
from snn_tool.files.temporaries import temporary_folder
from snn_tool.models.loop_nest import LoopNest

Amount = Annotated[float, Meta(ge=0, le=1e18)]
Size = Annotated[int, Meta(ge=1, le=1 << 50)]
Unrolled = Mapping[str, Sequence[str]]
Objective = Literal["energy", "latency"]

LOOPS = 5
"""Loops whose orders are all tried, after small ones were merged; 4 to 6 gave the same best (measured)."""

NEST_S = 300.0
"""Seconds for one nest; it takes 1 to 8 of one core."""

TIME_IS_UP = "map fewer networks at once"


@dataclass(frozen=True, slots=True)
class Memory:
    """One memory of an accelerator.

    Attributes:
        bits: that it holds.
        word_bits: of its widest access.
        read_pj, write_pj: energy of one such access.
    """

    name: Name
    bits: Size
    word_bits: Size
    read_pj: NotNegative
    write_pj: NotNegative


@dataclass(frozen=True, slots=True)
class Accelerator:
    """What ZigZag's package describes.

    Attributes:
        name: of its file.
        sha256: of that file.
        units: multipliers.
        mac_pj: of one multiply-accumulate.
        memories: from the multipliers outwards; the last is off the chip.
    """

    name: Name
    sha256: Sha256
    units: Size
    mac_pj: NotNegative
    memories: tuple[Memory, ...]


@dataclass(frozen=True, slots=True)
class Accesses:
    """Of one memory, in words; a narrower access is a part of one."""

    reads: Amount
    writes: Amount


@dataclass(frozen=True, slots=True)
class Mapped:
    """The best mapping of one nest.

    Attributes:
        macs: that ZigZag counts, padded ones included.
        energy_pj: multiplications and accesses.
        cycles: with loading, unloading and stalls.
        computing_cycles: with stalls alone.
        spatial_utilisation: share of the multipliers that have work.
        accesses: by memory.
    """

    macs: Count
    energy_pj: Amount
    cycles: Size
    computing_cycles: Size
    spatial_utilisation: Fraction
    accesses: Mapping[Name, Accesses]


class _Outcome(msgspec.Struct):
    fault: Text
    mapped: Mapped | None


class _Result(msgspec.Struct):
    """result.json; the runner writes more, which is looked at elsewhere."""

    accelerator: Accelerator
    nests: tuple[_Outcome, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What is mapped, and how.

    Attributes:
        accelerator: a name among ZigZag's files.
        nests: each mapped by itself.
        unrolled: for each nest, the loops that each side of the array unrolls, e.g. `{"D1": ["K, 8"]}`.
        objective: what is least.
        loops: whose orders are all tried.
    """

    accelerator: str
    nests: Sequence[LoopNest]
    unrolled: Sequence[Unrolled]
    objective: Objective = "energy"
    loops: int = LOOPS


BITS = {"W": 8, "I": 8, "O": 16, "O_final": 8}
"""Bits of weights, inputs, partial sums and results, as in ZigZag's own workloads for these accelerators."""


def map_nests(
    request: Request, environment: ZigzagEnvironment, log: Callable[[str], None] | None = None
) -> tuple[Accelerator, tuple[Mapped | str, ...]]:
    """Map nests with ZigZag.

    Args:
        request: the nests.
        environment: an interpreter with ZigZag.
        log: receives progress lines.

    Returns:
        the accelerator, and for each nest its mapping or why it has none.

    Raises:
        VerificationError: ZigZag refuses the request.
        BackendUnavailableError: it died, exceeded the limit, or left no usable result.
    """
    limit_s = NEST_S * (1 + len(request.nests))
    with temporary_folder("zigzag") as folder:
        (folder / "request.json").write_text(json.dumps(_document(request)), encoding="utf-8")
        finished = run_group(
            [environment.python, "-B", RUNNER, folder],
            timeout_s=limit_s,
            environment=clean_variables(),
            on_line=log,
        )
        demand_result(finished, "ZigZag", limit_s, (TIME_IS_UP, REMEDY))
        return read_result(folder / "result.json", len(request.nests))


def read_result(path: Path, nests: int) -> tuple[Accelerator, tuple[Mapped | str, ...]]:
    """Read result.json of a number of nests.

    Raises:
        BackendUnavailableError: it is missing or of another form.
    """
    try:
        result = convert(parse_json(path.read_bytes()), _Result, path.name)
        if len(result.nests) != nests:
            raise ValueError(f"{len(result.nests)} nests of {nests}")
    except (ArtifactError, OSError, RecursionError, ValueError) as error:
        raise BackendUnavailableError(
            f"ZigZag left no usable result ({error!r}); install it anew: `{REMEDY}`"
        ) from error
    return result.accelerator, tuple(outcome.mapped or outcome.fault for outcome in result.nests)


def _document(request: Request) -> dict[str, object]:
    nests = [
        {**asdict(nest), "unrolled": {side: list(loops) for side, loops in unrolled.items()}}
        for nest, unrolled in zip(request.nests, request.unrolled, strict=True)
    ]
    return {
        "accelerator": request.accelerator,
        "objective": request.objective,
        "loops": request.loops,
        "bits": BITS,
        "nests": nests,
    }
