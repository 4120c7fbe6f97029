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
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import ExportError
from snn_tool.exporters.contract.export import NETWORK, Export, NetworkFile
from snn_tool.exporters.contract.folder import (
    GOLDEN,
    REMEDY,
    Manifest,
    check_hashes,
    golden_arrays,
    golden_statements,
    hashes_of,
    manifest_statements,
    read_golden,
    write_golden,
)
from snn_tool.exporters.contract.npz import read_arrays
from snn_tool.exporters.contract.statements import Statements, compare_arrays, compare_document, merged
from snn_tool.exporters.contract.traces import Trace
from snn_tool.exporters.loihi import ranges, report
from snn_tool.exporters.loihi.chips import Resources, count_resources
from snn_tool.exporters.loihi.deployment import Deployment
from snn_tool.exporters.loihi.plan_file import PLAN_KIND, PLAN_SCHEMA, npz_bytes, plan_arrays_and_json
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
from snn_tool.exporters.nir.passes import described
from snn_tool.files.artifacts import read_json, sha256_file, write_bytes, write_json
from snn_tool.files.documents import one_of, read_document
from snn_tool.files.staging import staged_folder
from snn_tool.models.streams import FANOUT, LOWERINGS
from snn_tool.models.topology import Steps

KIND, SCHEMA = "loihi-bundle", 1
PLAN, PLAN_ARRAYS, RANGES, RESOURCES, MANIFEST = (
    "plan.json",
    "plan.npz",
    "ranges.json",
    "resources.json",
    "bundle.json",
)
HASHED = (NETWORK, PLAN, PLAN_ARRAYS, GOLDEN, RANGES, RESOURCES)


class BundleManifest(Manifest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The schema of bundle.json.

    Attributes:
        neuron: `lif` or `graded`.
        timesteps: T.
        lowering: of membrane shortcuts, `fanout` or `relay`.
        resources: see `Resources`.
    """

    neuron: Annotated[str, one_of("graded", "lif")]
    timesteps: Steps
    lowering: Annotated[str, one_of(*LOWERINGS)]
    resources: Resources


@dataclass(frozen=True, slots=True, eq=False)
class MadeBundle:
    """What was made of network.nir while the bundle was written, of which two files tell."""

    deployment: Deployment
    ranges: RangeProof
    resources: ResourceReport


@dataclass(frozen=True, eq=False)
class Bundle(Export):
    """A bundle, every file as its manifest says.

    Attributes:
        made: what was proved and counted while it was made; None of a bundle that was only read.
    """

    manifest: BundleManifest
    manifest_name = MANIFEST
    target = "loihi"
    usual = ("nir", "lava")
    made: MadeBundle | None = field(default=None, repr=False)

    @property
    def neuron(self) -> str:
        """`lif` or `graded`."""
        return self.manifest.neuron

    @property
    def timesteps(self) -> int:
        """T."""
        return self.manifest.timesteps

    @property
    def lowering(self) -> str:
        """Of membrane shortcuts, `fanout` or `relay`."""
        return self.manifest.lowering

    @property
    def resources(self) -> Resources:
        """What the network fills on Loihi 2."""
        return self.manifest.resources

    @property
    def student_sha256(self) -> str:
        """Of the student artefact that was exported."""
        return self.manifest.student_sha256

    @cached_property
    def deployment(self) -> Deployment:
        """What network.nir gives by the stated lowering; its plan is built once."""
        return self.made.deployment if self.made else Deployment(self.program, self.lowering)

    def statements(self) -> Statements:
        """Derive again from network.nir what the files of a bundle state, and compare.

        What the registers were observed to reach is read off the golden tiles again.

        Raises:
            ArtifactError: a file cannot be read.
            TargetLimitError: the network leaves the hardware's ranges.
        """
        stated_plan = read_json(self.folder / PLAN, PLAN_KIND, PLAN_SCHEMA)
        deployment = _deployment_of(stated_plan, self.deployment)
        manifest = read_json(self.folder / MANIFEST, KIND, SCHEMA)
        tool = {"tool_version": manifest.get("tool_version")}
        document, arrays = plan_arrays_and_json(deployment.plan)
        counts = resource_document(report_resources(deployment))
        stated_resources = read_json(self.folder / RESOURCES, report.KIND, report.SCHEMA)
        if report.EMULATED not in stated_resources:
            del counts[report.EMULATED]
        held = merged(
            compare_document(
                MANIFEST, manifest, _facts(deployment) | manifest_statements(self.program, manifest)
            ),
            compare_document(PLAN, stated_plan, {**tool, **document}),
            compare_arrays(PLAN_ARRAYS, read_arrays(self.folder / PLAN_ARRAYS), arrays),
            golden_statements(self.program, self.golden),
            compare_document(RESOURCES, stated_resources, {**tool, **counts}),
        )
        stated_ranges = read_json(self.folder / RANGES, ranges.KIND, ranges.SCHEMA)
        if held.contradicted(GOLDEN):
            return merged(held, compare_document(RANGES, stated_ranges, {}))
        observed = observe(self.program, self.golden.tiles, self.golden, deployment.lowering)
        proof = derive_ranges(self.program, observed, deployment.lowering)
        return merged(held, compare_document(RANGES, stated_ranges, {**tool, **ranges_document(proof)}))


def export_bundle(
    nir: Path | NetworkFile,
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
        nir: the exported graph, read once; the plan is derived from it alone.
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
    network = nir if isinstance(nir, NetworkFile) else NetworkFile(nir)
    deployment = Deployment(network.program, lowering)
    arrays = golden_arrays(network.program, tiles, reference)
    observed = observe(network.program, tiles, reference, lowering)
    proof = prove_ranges(network.program, observed, lowering)
    resources = report_resources(deployment)
    with staged_folder(out, overwrite, (*HASHED, MANIFEST)) as stage:
        _write_plan(stage, deployment.plan)
        copy = network.copied(stage)
        write_golden(stage / GOLDEN, arrays)
        write_ranges(stage / RANGES, proof)
        write_resources(stage / RESOURCES, resources)
        write_manifest(stage, deployment, student_sha256, origin or {})
    return _opened(out, copy.moved(out), MadeBundle(deployment, proof, resources))


def _write_plan(folder: Path, plan: Plan) -> None:
    document, arrays = plan_arrays_and_json(plan)
    write_json(folder / PLAN, document.pop("kind"), document.pop("schema"), document)
    write_bytes(folder / PLAN_ARRAYS, npz_bytes(arrays))


def write_manifest(
    folder: Path, deployment: Deployment, student_sha256: str, origin: Mapping[str, Any]
) -> None:
    """Write bundle.json for the files that lie in `folder`."""
    body = {
        **_facts(deployment),
        **described(deployment.program),
        "student_sha256": student_sha256,
        "golden": dict(origin),
        "versions": {name: importlib.metadata.version(name) for name in ("nir", "numpy")},
        "files": {name: sha256_file(folder / name) for name in HASHED},
    }
    write_json(folder / MANIFEST, KIND, SCHEMA, body)


def _facts(deployment: Deployment) -> dict[str, Any]:
    """What bundle.json states and a plan shows."""
    plan = deployment.plan
    graded = any(isinstance(neuron, GradedSpec) and not neuron.is_relay for neuron in plan.neurons)
    return {
        "neuron": "graded" if graded else "lif",
        "timesteps": plan.timesteps,
        "lowering": deployment.lowering,
        "resources": asdict(count_resources(plan)),
    }


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle after every file was held against its hash.

    Raises:
        ArtifactError: a file is missing or does not match its hash (the file is named), or the manifest is
            incomplete or of another schema.
    """
    return _opened(folder, NetworkFile(folder / NETWORK))


def _opened(folder: Path, network: NetworkFile, made: MadeBundle | None = None) -> Bundle:
    manifest = read_manifest(folder)
    check_hashes(folder, hashes_of(manifest, folder / MANIFEST, HASHED), MANIFEST)
    return Bundle(folder, manifest, read_golden(folder / GOLDEN), network, made)


def read_manifest(folder: Path) -> BundleManifest:
    """Read bundle.json alone.

    Raises:
        ArtifactError: it is missing, of another schema, or a key is missing, unknown or not allowed.
    """
    return read_document(folder / MANIFEST, KIND, SCHEMA, BundleManifest, REMEDY)


def _deployment_of(stated_plan: Mapping[str, Any], stated: Deployment) -> Deployment:
    """The lowering that gives a plan: the stated one, unless another one gives it and the stated does not."""
    others = (Deployment(stated.program, name) for name in LOWERINGS if name != stated.lowering)
    return next((one for one in (stated, *others) if _gives(stated_plan, one)), stated)


def _gives(stated_plan: Mapping[str, Any], deployment: Deployment) -> bool:
    try:
        document, _ = plan_arrays_and_json(deployment.plan)
    except ExportError:  # not every network has every lowering
        return False
    return not compare_document(PLAN, stated_plan, document).contradictions
