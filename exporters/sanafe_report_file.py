"""A cross-check on SANA-FE's Loihi as one JSON file.

kind, schema, tool_version
passed              every comparison below is exact
result              as in verification.json: membranes, spikes and read-out against the golden integers
tiles[i]            one golden tile, that is one inference
    activity        energies in joules and counts of SANA-FE; `sanafe_activity` defines each
    exact_synops, exact_spikes       of the integer engine for the same tile, relays included
    idle_access_j   part of `soma`: accesses of neurons outside their own windows. Images that follow each
                    other without a gap share these steps, a single image pays them
height, width       of a tile in pixels
timesteps, steps    T, and what a single image takes on the chip
neurons, synapses, cores             of the deployment
image_macs          of the layers on the image, once per tile and reader; they are biases here, so that
                    SANA-FE charges nothing for them
constants_j         joules per operation, named as in SANA-FE's architecture file
architecture, architecture_sha256    that file
versions            of SANA-FE and of its Python
student_sha256, bundle_sha256        of the exported student, and of the bundle's manifest
excluded            costs that the figures leave out
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snn_tool.artifacts import read_json, write_json
from snn_tool.errors import ArtifactError
from snn_tool.exporters.comparison import BackendResult, Mismatch
from snn_tool.exporters.sanafe_activity import activity_of
from snn_tool.exporters.sanafe_report import SanafeReport, TileCheck

KIND, SCHEMA = "sanafe-check", 1


def write_sanafe(path: Path, report: SanafeReport) -> None:
    """Write a report, whole or not at all."""
    write_json(path, KIND, SCHEMA, report.to_json())


def read_sanafe(path: Path) -> SanafeReport:
    """Read a report.

    Raises:
        ArtifactError: missing, of another kind or schema, incomplete, or not in agreement with itself.
    """
    document = read_json(path, KIND, SCHEMA)
    try:
        report = _report(document)
        if not report.tiles or report.passed is not document["passed"]:
            raise ValueError("`passed` does not follow from the rest")
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: incomplete ({error!r}); run `snn-tool energy sanafe` again") from error
    return report


def _report(document: Mapping[str, Any]) -> SanafeReport:
    return SanafeReport(
        result=_result(document["result"]),
        tiles=tuple(_tile(entry) for entry in document["tiles"]),
        height=int(document["height"]),
        width=int(document["width"]),
        timesteps=int(document["timesteps"]),
        steps=int(document["steps"]),
        neurons=int(document["neurons"]),
        synapses=int(document["synapses"]),
        cores=int(document["cores"]),
        image_macs=int(document["image_macs"]),
        constants_j={str(name): float(value) for name, value in document["constants_j"].items()},
        architecture=str(document["architecture"]),
        architecture_sha256=str(document["architecture_sha256"]),
        versions={str(name): str(value) for name, value in document["versions"].items()},
        student_sha256=str(document["student_sha256"]),
        bundle_sha256=str(document["bundle_sha256"]),
        excluded=tuple(str(text) for text in document["excluded"]),
    )


def _tile(entry: Mapping[str, Any]) -> TileCheck:
    return TileCheck(
        activity_of(entry["activity"]),
        int(entry["exact_synops"]),
        int(entry["exact_spikes"]),
        float(entry["idle_access_j"]),
    )


def _result(entry: Mapping[str, Any]) -> BackendResult:
    first = entry["first"]
    mismatch = None if first is None else Mismatch(**{**first, "index": tuple(first["index"])})
    return BackendResult(**{**entry, "first": mismatch})
