"""The range proof as `ranges.json`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from snn_tool.files.artifacts import write_json
from snn_tool.files.documents import Document, Finite, Name, one_of, read_document
from snn_tool.exporters.contract.folder import REMEDY
from snn_tool.exporters.loihi_quantity import (
    CLIPS,
    FIXED,
    OBSERVED,
    PROVED,
    SATURATES,
    WRAPS,
    Quantity,
)
from snn_tool.exporters.loihi.ranges import RangeProof
from snn_tool.models.topology import Timesteps

KIND, SCHEMA = "range-proof", 1

Integer = Annotated[int, Meta(ge=-(1 << 62), le=1 << 62)]


def ranges_document(proof: RangeProof) -> dict[str, Any]:
    """A proof as JSON values; bounds of all channels included."""
    quantities = [
        {
            **asdict(quantity),
            "bound": quantity.bound,
            "headroom_bits": None if quantity.headroom_bits is None else round(quantity.headroom_bits, 3),
            "status": quantity.status,
        }
        for quantity in proof.quantities
    ]
    return {"timesteps": proof.timesteps, "inputs": dict(proof.inputs), "quantities": quantities}


def write_ranges(path: Path, proof: RangeProof) -> None:
    """Write ranges.json."""
    write_json(path, KIND, SCHEMA, ranges_document(proof))


class QuantityEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of `quantities`: a `Quantity`, and what follows from it."""

    node: Name
    name: Name
    limit: tuple[Integer, Integer]
    beyond: Annotated[str, one_of(FIXED, CLIPS, WRAPS)]
    channel_low: Annotated[tuple[Integer, ...], Meta(min_length=1)]
    channel_high: Annotated[tuple[Integer, ...], Meta(min_length=1)]
    observed: tuple[Integer, Integer] | None
    bound: tuple[Integer, Integer]
    headroom_bits: Finite | None
    status: Annotated[str, one_of(PROVED, SATURATES, OBSERVED)]

    def __post_init__(self) -> None:
        """What follows must follow; violations are never written."""
        quantity = self.quantity
        if (quantity.bound, quantity.status) != (self.bound, self.status):
            raise ValueError(
                f"bound {list(self.bound)} and status {self.status} do not follow from limit, channel_low, "
                f"channel_high and observed, which give "
                f"{list(quantity.bound)} and {quantity.status}"
            )

    @property
    def quantity(self) -> Quantity:
        """The quantity alone."""
        return Quantity(
            self.node,
            self.name,
            self.limit,
            self.beyond,
            self.channel_low,
            self.channel_high,
            self.observed,
        )


class RangesDocument(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The schema of ranges.json."""

    timesteps: Timesteps
    inputs: dict[Name, tuple[Name, ...]]
    quantities: Annotated[tuple[QuantityEntry, ...], Meta(min_length=1)]


def read_ranges(path: Path) -> RangeProof:
    """Read ranges.json.

    Raises:
        ArtifactError: missing, of another schema, or a key is missing, unknown, not allowed or does not
            follow from the rest.
    """
    document = read_document(path, KIND, SCHEMA, RangesDocument, REMEDY)
    quantities = tuple(entry.quantity for entry in document.quantities)
    return RangeProof(document.timesteps, document.inputs, quantities)
