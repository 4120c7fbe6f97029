"""The range proof as `ranges.json`."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from snn_tool.artifacts import read_json, write_json
from snn_tool.errors import ArtifactError
from snn_tool.exporters.loihi_quantity import Quantity
from snn_tool.exporters.loihi_ranges import RangeProof

KIND, SCHEMA = "range-proof", 1


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


def read_ranges(path: Path) -> RangeProof:
    """Read ranges.json.

    Raises:
        ArtifactError: missing, of another schema, or incomplete.
    """
    document = read_json(path, KIND, SCHEMA)
    try:
        return RangeProof(
            int(document["timesteps"]),
            {str(name): tuple(convs) for name, convs in document["inputs"].items()},
            tuple(_quantity(entry) for entry in document["quantities"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: incomplete ({error!r}); export the network again") from error


def _quantity(entry: Mapping[str, Any]) -> Quantity:
    low, high = entry["limit"]
    return Quantity(
        node=str(entry["node"]),
        name=str(entry["name"]),
        limit=(int(low), int(high)),
        beyond=str(entry["beyond"]),
        channel_low=tuple(entry["channel_low"]),
        channel_high=tuple(entry["channel_high"]),
        observed=None if entry["observed"] is None else (entry["observed"][0], entry["observed"][1]),
    )
