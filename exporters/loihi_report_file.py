"""The resource report as `resources.json`."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from snn_tool.files.artifacts import write_json
from snn_tool.exporters.loihi.chips import LABEL
from snn_tool.exporters.loihi.report import ResourceReport
from snn_tool.exporters.loihi_resources import LayerResources

KIND, SCHEMA = "loihi-resources", 1


def resource_document(report: ResourceReport) -> dict[str, Any]:
    """The report as JSON values."""
    return {
        "label": LABEL,
        "image_size": [report.height, report.width],
        "timesteps": report.timesteps,
        "depth": report.depth,
        "latency_steps": report.steps,
        "layers": [
            {**_counts(layer), "cores": {use.chip.name: asdict(use.by_layer[index]) for use in report.uses}}
            for index, layer in enumerate(report.layers)
        ],
        "total": {**_counts(report.total), "relay_neurons": report.relay_neurons},
        "chips": {
            use.chip.name: {
                "capacities": asdict(use.chip),
                "cores": asdict(use.cores),
                "chips": asdict(use.chips),
            }
            for use in report.uses
        },
        "largest_tile": {
            "multiple": report.tile_multiple,
            "one_chip": report.tile_on_chip,
            "kapoho_point": report.tile_on_board,
        },
    }


def _counts(layer: LayerResources) -> dict[str, Any]:
    memory = {"shared_bytes": layer.shared_bytes, "expanded_bytes": layer.expanded_bytes}
    return {**asdict(layer), **memory}


def write_resources(path: Path, report: ResourceReport) -> None:
    """Write resources.json."""
    write_json(path, KIND, SCHEMA, resource_document(report))
