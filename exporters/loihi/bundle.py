"""A Loihi-style bundle: everything that a third party needs to run a network and to check what it computes.

network.nir   the exported graph, from which the plan is derived
plan.json     the processes of the deployment; see `plan_file`
plan.npz      their integer weights and biases
golden.npz    integer input tiles, and every spike and membrane that they must give
ranges.json   bound, limit and status of every register and parameter; see `ranges`
resources.json  neurons, synapses, axons, memory, cores and chips; see `report`
bundle.json   versions, the lowering, a summary of the resources, and the SHA-256 of all of the above
"""

import importlib.metadata
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import ExportError
from snn_tool.exporters.contract.folder import (
    GOLDEN,
    REMEDY,
    Golden,
    Manifest,
    check_hashes,
    golden_arrays,
    golden_statements,
    hashes_of,
    read_golden,
    write_golden,
)
from snn_tool.exporters.contract.npz import read_arrays
from snn_tool.exporters.contract.statements import Statements, compare_arrays, compare_document, merged
from snn_tool.exporters.contract.traces import Trace
from snn_tool.exporters.loihi import ranges, report
from snn_tool.exporters.loihi.chips import Resources, count_resources
from snn_tool.exporters.loihi.plan import build_plan
from snn_tool.exporters.loihi.plan_file import SCHEMA as PLAN_SCHEMA
from snn_tool.exporters.loihi.plan_file import npz_bytes, plan_arrays_and_json
from snn_tool.exporters.loihi.ranges import (
    RangeProof,
    derive_ranges,
    observe,
    prove_ranges,
    ranges_document,
    write_ranges,
)
from snn_tool.exporters.loihi.report import (
    ResourceReport,
    report_resources,
    resource_document,
    write_resources,
)
from snn_tool.exporters.loihi.specs import GradedSpec, Plan
from snn_tool.exporters.nir.file import read_program
from snn_tool.exporters.nir.program import Program
from snn_tool.files.artifacts import read_json, sha256_file, write_bytes, write_json
from snn_tool.files.documents import one_of, read_document
from snn_tool.files.staging import staged_folder
from snn_tool.models.streams import FANOUT, LOWERINGS
from snn_tool.models.topology import Timesteps

KIND, SCHEMA = "loihi-bundle", 1
NETWORK, PLAN, PLAN_ARRAYS, RANGES, RESOURCES, MANIFEST = (
    "network.nir",
    "plan.json",
    "plan.npz",
    "ranges.json",
    "resources.json",
    "bundle.json",
)
HASHED = (NETWORK, PLAN, PLAN_ARRAYS, GOLDEN, RANGES, RESOURCES)


class BundleManifest(Manifest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The schema of bundle.json; its fields are those of `Bundle`."""

    neuron: Annotated[str, one_of("graded", "lif")]
    timesteps: Timesteps
    lowering: Annotated[str, one_of(*LOWERINGS)]
    resources: Resources


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A bundle whose every file has the hash that its manifest states.

    Attributes:
        folder: where it lies.
        neuron: `lif` or `graded`.
        timesteps: T.
        lowering: of membrane shortcuts, `fanout` or `relay`.
        resources: see `Resources`.
        student_sha256: of the student artefact that was exported.
        golden: tiles and expected integers.
        made: what was proved and counted while it was made; None of a bundle that was only read.
    """

    folder: Path
    neuron: str
    timesteps: int
    lowering: str
    resources: Resources
    student_sha256: str
    golden: Golden
    made: "MadeBundle | None" = None


@dataclass(frozen=True, slots=True, eq=False)
class MadeBundle:
    """What ranges.json and resources.json state, as objects."""

    ranges: RangeProof
    resources: ResourceReport


def export_bundle(
    nir_path: Path,
    out: Path,
    tiles: NDArray[np.int16],
    reference: Trace,
    *,
    student_sha256: str,
    origin: Mapping[str, Any] | None = None,
    lowering: str = FANOUT,
    overwrite: bool = False,
) -> Bundle:
    """Write a bundle folder from a NIR file, whole or not at all, and read it back.

    Args:
        nir_path: the exported graph; the plan is derived from it alone.
        out: the folder to make.
        tiles: integers [N, 3, H, W] of the file's size.
        reference: their trace, every population recorded; its origin is the caller's choice.
        student_sha256: hash of the artefact that was exported.
        origin: JSON values that say how tiles and reference were made.
        lowering: of membrane shortcuts, `fanout` or `relay`.
        overwrite: replace a folder that is there.

    Raises:
        ConfigError: `out` is not empty and `overwrite` is false, or the lowering is unknown.
        ArtifactError: the NIR file cannot be read, or the folder cannot be written.
        TargetLimitError: the network leaves the hardware's ranges, or a register wraps on the tiles; every
            violation is listed.
        ExportError: tiles or reference do not belong to the file's network.
    """
    program = read_program(nir_path)
    arrays = golden_arrays(program, tiles, reference)
    proof = prove_ranges(program, observe(program, tiles, reference, lowering), lowering)
    resources = report_resources(program, lowering)
    plan = build_plan(program, lowering)
    with staged_folder(out, overwrite, (*HASHED, MANIFEST)) as stage:
        _write_plan(stage, plan)
        shutil.copyfile(nir_path, stage / NETWORK)
        write_golden(stage / GOLDEN, arrays)
        write_ranges(stage / RANGES, proof)
        write_resources(stage / RESOURCES, resources)
        write_manifest(stage, plan, lowering, student_sha256, origin or {})
    return replace(read_bundle(out), made=MadeBundle(proof, resources))


def _write_plan(folder: Path, plan: Plan) -> None:
    document, arrays = plan_arrays_and_json(plan)
    write_json(folder / PLAN, document.pop("kind"), document.pop("schema"), document)
    write_bytes(folder / PLAN_ARRAYS, npz_bytes(arrays))


def write_manifest(
    folder: Path, plan: Plan, lowering: str, student_sha256: str, origin: Mapping[str, Any]
) -> None:
    """Write bundle.json for the files that lie in `folder`."""
    body = {
        **_facts(plan, lowering),
        "student_sha256": student_sha256,
        "golden": dict(origin),
        "versions": {name: importlib.metadata.version(name) for name in ("nir", "numpy")},
        "files": {name: sha256_file(folder / name) for name in HASHED},
    }
    write_json(folder / MANIFEST, KIND, SCHEMA, body)


def _facts(plan: Plan, lowering: str) -> dict[str, Any]:
    """What bundle.json states and a plan shows."""
    graded = any(isinstance(neuron, GradedSpec) and not neuron.is_relay for neuron in plan.neurons)
    return {
        "neuron": "graded" if graded else "lif",
        "timesteps": plan.timesteps,
        "lowering": lowering,
        "resources": asdict(count_resources(plan)),
    }


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle after every file was held against its hash.

    Raises:
        ArtifactError: a file is missing or does not match its hash (the file is named), or the manifest is
            incomplete or of another schema.
    """
    manifest = read_manifest(folder)
    check_hashes(folder, hashes_of(manifest, folder / MANIFEST, HASHED), MANIFEST)
    return Bundle(
        folder,
        manifest.neuron,
        manifest.timesteps,
        manifest.lowering,
        manifest.resources,
        manifest.student_sha256,
        read_golden(folder / GOLDEN),
    )


def read_manifest(folder: Path) -> BundleManifest:
    """Read bundle.json alone.

    Raises:
        ArtifactError: it is missing, of another schema, or a key is missing, unknown or not allowed.
    """
    return read_document(folder / MANIFEST, KIND, SCHEMA, BundleManifest, REMEDY)


def derive_statements(bundle: Bundle) -> Statements:
    """Derive again from network.nir what the files of a bundle state, and compare.

    What the registers were observed to reach is read off the golden tiles again.

    Raises:
        ArtifactError: a file cannot be read.
        TargetLimitError: the network leaves the hardware's ranges.
    """
    folder, golden = bundle.folder, bundle.golden
    program, manifest = read_program(folder / NETWORK), read_json(folder / MANIFEST, KIND, SCHEMA)
    stated_plan = read_json(folder / PLAN, "loihi-plan", PLAN_SCHEMA)
    lowering = _lowering_of(stated_plan, program, bundle.lowering)
    plan, tool = build_plan(program, lowering), {"tool_version": manifest.get("tool_version")}
    document, arrays = plan_arrays_and_json(plan)
    stated_resources = read_json(folder / RESOURCES, report.KIND, report.SCHEMA)
    held = merged(
        compare_document(MANIFEST, manifest, _facts(plan, lowering)),
        compare_document(PLAN, stated_plan, {**tool, **document}),
        compare_arrays(PLAN_ARRAYS, read_arrays(folder / PLAN_ARRAYS), arrays),
        golden_statements(program, golden),
        compare_document(
            RESOURCES, stated_resources, {**tool, **resource_document(report_resources(program, lowering))}
        ),
    )
    stated_ranges = read_json(folder / RANGES, ranges.KIND, ranges.SCHEMA)
    if held.contradicted(GOLDEN):
        return merged(held, compare_document(RANGES, stated_ranges, {}))
    proof = derive_ranges(program, observe(program, golden.tiles, golden, lowering), lowering)
    return merged(held, compare_document(RANGES, stated_ranges, {**tool, **ranges_document(proof)}))


def _lowering_of(stated_plan: Mapping[str, Any], program: Program, stated: str) -> str:
    """The lowering that gives a plan: the stated one, unless another one gives it and the stated does not."""
    candidates = (stated, *LOWERINGS)
    return next((lowering for lowering in candidates if _gives(stated_plan, program, lowering)), stated)


def _gives(stated_plan: Mapping[str, Any], program: Program, lowering: str) -> bool:
    try:
        document, _ = plan_arrays_and_json(build_plan(program, lowering))
    except ExportError:  # not every network has every lowering
        return False
    return not compare_document(PLAN, stated_plan, document).contradictions
