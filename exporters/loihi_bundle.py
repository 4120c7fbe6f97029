"""A Loihi-style bundle: everything that a third party needs to run a network and to check what it computes.

network.nir   the exported graph, from which the plan is derived
plan.json     the processes of the deployment; see `loihi_plan`
plan.npz      their integer weights and biases
golden.npz    integer input tiles, and every spike and membrane that they must give
ranges.json   bound, limit and status of every register and parameter; see `loihi_ranges`
resources.json  neurons, synapses, axons, memory, cores and chips; see `loihi_report`
bundle.json   versions, the lowering, a summary of the resources, and the SHA-256 of all of the above
"""

import importlib.metadata
import io
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.artifacts import read_json, sha256_file, staged_folder, write_bytes, write_json
from snn_tool.errors import ArtifactError, ExportError
from snn_tool.exporters.loihi_chips import Resources, count_resources
from snn_tool.exporters.loihi_observed import observe
from snn_tool.exporters.loihi_plan import build_plan
from snn_tool.exporters.loihi_plan_file import SCHEMA as PLAN_SCHEMA
from snn_tool.exporters.loihi_plan_file import npz_bytes, plan_arrays_and_json
from snn_tool.exporters.loihi_ranges import prove_ranges
from snn_tool.exporters.loihi_ranges_file import write_ranges
from snn_tool.exporters.loihi_report import report_resources
from snn_tool.exporters.loihi_report_file import write_resources
from snn_tool.exporters.loihi_specs import GradedSpec, Plan
from snn_tool.exporters.nir_file import read_program
from snn_tool.exporters.nir_program import Program
from snn_tool.exporters.traces import Trace
from snn_tool.models.streams import FANOUT, check_lowering

KIND, SCHEMA = "loihi-bundle", 1
NETWORK, PLAN, PLAN_ARRAYS, GOLDEN, RANGES, RESOURCES, MANIFEST = (
    "network.nir",
    "plan.json",
    "plan.npz",
    "golden.npz",
    "ranges.json",
    "resources.json",
    "bundle.json",
)
HASHED = (NETWORK, PLAN, PLAN_ARRAYS, GOLDEN, RANGES, RESOURCES)


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """Input tiles and the integers that they must give; fits `Trace`.

    Attributes:
        tiles: int16 [N, 3, H, W] on the integer input grid.
        readout: int32 [N, 3, H, W].
        spikes: for each population int8 [T, N, C, H, W].
        membranes: for each population int32 [T, N, C, H, W].
    """

    tiles: NDArray[np.int16]
    readout: NDArray[np.int32]
    spikes: dict[str, NDArray[np.int8]]
    membranes: dict[str, NDArray[np.int32]]


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
    """

    folder: Path
    neuron: str
    timesteps: int
    lowering: str
    resources: Resources
    student_sha256: str
    golden: Golden


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
    arrays = _golden_arrays(program, tiles, reference)
    proof = prove_ranges(program, observe(program, tiles, reference))
    plan = build_plan(program, lowering)
    with staged_folder(out, overwrite, MANIFEST) as stage:
        _write_plan(stage, plan)
        shutil.copyfile(nir_path, stage / NETWORK)
        write_bytes(stage / GOLDEN, _compressed(arrays))
        write_ranges(stage / RANGES, proof)
        write_resources(stage / RESOURCES, report_resources(program, lowering))
        write_manifest(stage, plan, lowering, student_sha256, origin or {})
    return read_bundle(out)


def _write_plan(folder: Path, plan: Plan) -> None:
    document, arrays = plan_arrays_and_json(plan)
    write_json(folder / PLAN, document.pop("kind"), document.pop("schema"), document)
    write_bytes(folder / PLAN_ARRAYS, npz_bytes(arrays))


def write_manifest(
    folder: Path, plan: Plan, lowering: str, student_sha256: str, origin: Mapping[str, Any]
) -> None:
    """Write bundle.json for the files that lie in `folder`."""
    graded = any(isinstance(neuron, GradedSpec) and not neuron.is_relay for neuron in plan.neurons)
    body = {
        "neuron": "graded" if graded else "lif",
        "timesteps": plan.timesteps,
        "lowering": lowering,
        "resources": asdict(count_resources(plan)),
        "student_sha256": student_sha256,
        "golden": dict(origin),
        "versions": {name: importlib.metadata.version(name) for name in ("nir", "numpy")},
        "files": {name: sha256_file(folder / name) for name in HASHED},
    }
    write_json(folder / MANIFEST, KIND, SCHEMA, body)


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle after every file was held against its hash.

    Raises:
        ArtifactError: a file is missing or does not match its hash (the file is named), or the manifest is
            incomplete or of another schema.
    """
    manifest = read_json(folder / MANIFEST, KIND, SCHEMA)
    try:
        hashes = {name: str(manifest["files"][name]) for name in HASHED}
        lowering, resources = _lowering(manifest), Resources(**manifest["resources"])
        head = (str(manifest["neuron"]), int(manifest["timesteps"]), lowering, resources)
        student = str(manifest["student_sha256"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{folder / MANIFEST}: incomplete ({error!r}); export the network again"
        ) from error
    for name, expected in hashes.items():
        if not (folder / name).is_file():
            raise ArtifactError(f"{folder / name}: no such file; export the network again")
        if sha256_file(folder / name) != expected:
            raise ArtifactError(
                f"{folder / name}: does not match its hash in {MANIFEST}; export the network again"
            )
    return Bundle(folder, *head, student, _read_golden(folder / GOLDEN))


def plan_follows_network(folder: Path) -> bool:
    """Whether a plan is, value for value, the one that network.nir gives by the recorded lowering."""
    lowering = _lowering(read_json(folder / MANIFEST, KIND, SCHEMA))
    document, arrays = plan_arrays_and_json(build_plan(read_program(folder / NETWORK), lowering))
    stored = read_json(folder / PLAN, "loihi-plan", PLAN_SCHEMA)
    stored.pop("tool_version")
    return stored == document and _holds(folder / PLAN_ARRAYS, arrays)


def _lowering(manifest: Mapping[str, Any]) -> str:
    """The recorded lowering; a KeyError or ValueError where there is no known one."""
    lowering = str(manifest["lowering"])
    check_lowering(lowering)
    return lowering


def _golden_arrays(program: Program, tiles: NDArray[np.int16], reference: Trace) -> dict[str, NDArray[Any]]:
    count = len(tiles)
    arrays: dict[str, NDArray[Any]] = {
        "tiles": _fitting("tiles", tiles, (count, 3, program.height, program.width), np.int16),
        "readout": _fitting(
            "readout", reference.readout, (count, 3, program.height, program.width), np.int32
        ),
    }
    for node in program.populations:
        shape = (program.timesteps, count, node.channels, node.height, node.width)
        for kind, values, narrow in (
            ("spikes", reference.spikes, np.int8),
            ("membranes", reference.membranes, np.int32),
        ):
            if node.name not in values:
                raise ExportError(
                    f"the reference trace has no {kind} of {node.name}; record every population"
                )
            arrays[f"{kind}.{node.name}"] = _fitting(
                f"{kind} of {node.name}", values[node.name], shape, narrow
            )
    return arrays


def _fitting(
    name: str, values: NDArray[Any], shape: tuple[int, ...], narrow: type[np.integer]
) -> NDArray[Any]:
    """The values in a narrower type, if they have the shape and lose nothing."""
    converted = values.astype(narrow)
    if values.shape != shape or not values.size or not np.array_equal(converted, values):
        raise ExportError(
            f"{name}: {values.dtype} {list(values.shape)} does not fit the network's "
            f"{narrow.__name__} {list(shape)}"
        )
    return converted


def _compressed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{name: arrays[name] for name in sorted(arrays)})
    return buffer.getvalue()


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{path}: not readable ({error}); export the network again") from error


def _holds(path: Path, arrays: Mapping[str, NDArray[Any]]) -> bool:
    stored = _load(path)
    return stored.keys() == arrays.keys() and all(
        np.array_equal(stored[name], arrays[name]) for name in arrays
    )


def _read_golden(path: Path) -> Golden:
    arrays = _load(path)
    if not {"tiles", "readout"} <= arrays.keys():
        raise ArtifactError(f"{path}: has no tiles or no readout; export the network again")
    kinds: dict[str, dict[str, NDArray[Any]]] = {"spikes": {}, "membranes": {}}
    for key, values in arrays.items():
        kind, _, population = key.partition(".")
        if kind in kinds:
            kinds[kind][population] = values
    return Golden(arrays["tiles"], arrays["readout"], kinds["spikes"], kinds["membranes"])
