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

from pathlib import Path

from snn_tool.files.artifacts import read_json, write_json
from snn_tool.files.documents import convert
from snn_tool.errors import ArtifactError
from snn_tool.exporters.sanafe.report import SanafeReport

KIND, SCHEMA = "sanafe-check", 1
HEAD = ("kind", "schema", "tool_version", "passed")
REMEDY = "run `snn-tool energy sanafe` again"


def write_sanafe(path: Path, report: SanafeReport) -> None:
    """Write a report, whole or not at all."""
    write_json(path, KIND, SCHEMA, report.to_json())


def read_sanafe(path: Path) -> SanafeReport:
    """Read a report.

    Raises:
        ArtifactError: missing, of another kind or schema, incomplete, a number is negative, not finite or
            absurd, or the file is not in agreement with itself.
    """
    document = read_json(path, KIND, SCHEMA)
    passed = document.get("passed")
    body = {key: value for key, value in document.items() if key not in HEAD}
    try:
        report = convert(body, SanafeReport, str(path), remedy=REMEDY)
    except AssertionError as error:
        raise ArtifactError(f"{path}: `result` claims more than its counts show; {REMEDY}") from error
    if not report.tiles or report.passed is not passed:
        raise ArtifactError(f"{path}: `passed` does not follow from the rest; {REMEDY}")
    return report
