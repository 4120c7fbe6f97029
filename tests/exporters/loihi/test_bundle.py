"""Bundles: what is written, what is counted, and what is refused when read."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from snn_tool.errors import ArtifactError, ConfigError, ExportError
from snn_tool.exporters.loihi.bundle import Bundle, export_bundle, read_bundle
from snn_tool.exporters.nir.file import write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.files.artifacts import sha256_file
from snn_tool.models.integer.engine import IntegerEngine, IntegerTrace, quantize_image
from snn_tool.models.integer.network import IntegerNetwork
from torch.nn import functional

MakeNetwork = Callable[..., IntegerNetwork]
Image = NDArray[np.float32]
STUDENT = "5" * 64
FILES = ("network.nir", "plan.json", "plan.npz", "golden.npz", "ranges.json", "resources.json")


@pytest.fixture(scope="module")
def network(make_network: MakeNetwork) -> IntegerNetwork:
    return make_network("lif")


@pytest.fixture(scope="module")
def tiles(network: IntegerNetwork, photograph: Image) -> NDArray[np.int16]:
    return quantize_image(np.stack([photograph[:, :16, :24], photograph[:, 40:56, 8:32]]), network)


@pytest.fixture(scope="module")
def trace(network: IntegerNetwork, tiles: NDArray[np.int16]) -> IntegerTrace:
    return IntegerEngine(network).run(tiles, [p.wiring.name for p in network.populations])


@pytest.fixture
def nir_path(network: IntegerNetwork, tmp_path: Path) -> Path:
    path = tmp_path / "student.nir"
    write_nir(path, to_nir(network, 16, 24))
    return path


@pytest.fixture
def bundle(nir_path: Path, tiles: NDArray[np.int16], trace: IntegerTrace, tmp_path: Path) -> Bundle:
    return export_bundle(nir_path, tmp_path / "bundle", tiles, trace, student_sha256=STUDENT)


@pytest.mark.slow
def test_a_bundle_holds_what_was_given(
    bundle: Bundle, tiles: NDArray[np.int16], trace: IntegerTrace, nir_path: Path
) -> None:
    assert (bundle.neuron, bundle.timesteps, bundle.student_sha256) == ("lif", 4, STUDENT)
    np.testing.assert_array_equal(bundle.golden.tiles, tiles)
    np.testing.assert_array_equal(bundle.golden.readout, trace.readout)
    assert bundle.golden.spikes.keys() == bundle.golden.membranes.keys() == trace.spikes.keys()
    for name, spikes in trace.spikes.items():
        np.testing.assert_array_equal(bundle.golden.spikes[name], spikes)
        np.testing.assert_array_equal(bundle.golden.membranes[name], trace.membranes[name])
    assert (bundle.folder / "network.nir").read_bytes() == nir_path.read_bytes()
    assert not bundle.statements().contradictions
    # A bundle of an older version says nothing of registers, and contradicts nothing.
    resources = json.loads((bundle.folder / "resources.json").read_text())
    assert resources.pop("beyond_registers")
    older = json.dumps(resources)
    written = (bundle.folder / "resources.json").read_text()
    (bundle.folder / "resources.json").write_text(older)
    assert not bundle.statements().contradictions
    (bundle.folder / "resources.json").write_text(written)
    manifest = json.loads((bundle.folder / "bundle.json").read_text())
    assert (manifest["kind"], manifest["schema"], manifest["lowering"]) == ("loihi-bundle", 1, "fanout")
    assert manifest["files"] == {name: sha256_file(bundle.folder / name) for name in FILES}
    assert sorted(path.name for path in bundle.folder.iterdir()) == sorted((*FILES, "bundle.json"))


@pytest.mark.slow
def test_a_relayed_lif_student_is_still_one_of_lif_neurons(
    nir_path: Path, tiles: NDArray[np.int16], trace: IntegerTrace, tmp_path: Path
) -> None:
    """Its accumulators are graded neurons, which are no populations of the network."""
    relayed = export_bundle(
        nir_path, tmp_path / "relayed", tiles, trace, student_sha256=STUDENT, lowering="relay"
    )
    assert (relayed.neuron, relayed.lowering) == ("lif", "relay")
    assert relayed.resources.accumulator_neurons == 3 * 16 * 24 * 4 + 8 * 12 * 8
    assert not relayed.statements().contradictions
    with pytest.raises(ConfigError, match="--lowering copy is unknown"):
        export_bundle(nir_path, tmp_path / "no", tiles, trace, student_sha256=STUDENT, lowering="copy")


@pytest.mark.slow
def test_a_rerun_gives_equal_bytes(
    bundle: Bundle, nir_path: Path, tiles: NDArray[np.int16], trace: IntegerTrace, tmp_path: Path
) -> None:
    again = export_bundle(nir_path, tmp_path / "again", tiles, trace, student_sha256=STUDENT)
    for name in (*FILES, "bundle.json"):
        assert (again.folder / name).read_bytes() == (bundle.folder / name).read_bytes(), name


@pytest.mark.slow
def test_counts_equal_counts_by_convolution(bundle: Bundle, network: IntegerNetwork) -> None:
    """A convolution of ones with ones counts the connections of each output, borders excluded."""
    pixels = 16 * 24
    downscale = {"image": 1} | {p.wiring.name: p.wiring.downscale for p in network.populations}
    connections = 0
    for wiring in network.topology.synapses:
        scale = downscale[wiring.source]
        ones = torch.ones(1, wiring.in_channels, 16 // scale, 24 // scale)
        kernel = torch.ones(wiring.out_channels, wiring.in_channels, wiring.kernel, wiring.kernel)
        taps = functional.conv2d(ones, kernel, None, wiring.stride, wiring.padding, wiring.dilation).sum()
        connections += int(taps) * sum(wiring.name in p.wiring.inputs for p in network.populations)
    # To reach tail_in, enc_mid waits 6 steps and up_in 2; to reach up_in, down_in waits 2.
    relays = pixels * 4 * (6 + 2) + pixels // 4 * 8 * 2
    assert bundle.resources.relay_neurons == relays
    assert bundle.resources.expanded_synapses == connections + relays
    neurons = sum(p.wiring.channels * pixels // p.wiring.downscale**2 for p in network.populations)
    assert bundle.resources.neurons == neurons + relays


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_changed_and_missing_files_are_named(bundle: Bundle, name: str) -> None:
    path = bundle.folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{name}: does not match its hash"):
        read_bundle(bundle.folder)
    path.unlink()
    with pytest.raises(ArtifactError, match=f"{name}: no such file"):
        read_bundle(bundle.folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("schema", 2, "schema 2, but snn-tool"),
        ("kind", "verification", "expected a file of kind 'loihi-bundle'"),
        ("files", {}, "files.network.nir is missing; export"),
        ("resources", {"neurons": 1}, "resources.relay_neurons is missing; it is a whole number"),
        ("timesteps", None, "timesteps = null is not allowed; use a whole number from 1 to 4096; export"),
        ("lowering", "copy", "lowering = 'copy' is not allowed; use one of fanout, relay; export"),
    ],
)
def test_other_manifests_are_refused(bundle: Bundle, key: str, value: object, complaint: str) -> None:
    path = bundle.folder / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(ArtifactError, match=complaint):
        read_bundle(bundle.folder)


def test_no_manifest_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"bundle\.json: no such file"):
        read_bundle(tmp_path)


@pytest.mark.slow
def test_an_occupied_folder_is_kept(
    bundle: Bundle, nir_path: Path, tiles: NDArray[np.int16], trace: IntegerTrace
) -> None:
    with pytest.raises(ConfigError, match="--overwrite"):
        export_bundle(nir_path, bundle.folder, tiles, trace, student_sha256="6" * 64)
    assert read_bundle(bundle.folder).student_sha256 == STUDENT
    replaced = export_bundle(nir_path, bundle.folder, tiles, trace, student_sha256="6" * 64, overwrite=True)
    assert replaced.student_sha256 == "6" * 64


@pytest.mark.slow
def test_a_reference_of_something_else_is_refused(
    nir_path: Path, tiles: NDArray[np.int16], trace: IntegerTrace, tmp_path: Path
) -> None:
    """Nothing is left behind."""
    out = tmp_path / "bundle"
    without = replace(trace, spikes={name: s for name, s in trace.spikes.items() if name != "dec_mid"})
    with pytest.raises(ExportError, match="no spikes of dec_mid"):
        export_bundle(nir_path, out, tiles, without, student_sha256=STUDENT)
    with pytest.raises(ExportError, match="readout: int64"):
        export_bundle(nir_path, out, tiles[:1], trace, student_sha256=STUDENT)
    with pytest.raises(ExportError, match="tiles: int16"):
        export_bundle(nir_path, out, tiles[:, :, :8], trace, student_sha256=STUDENT)
    too_large = replace(trace, spikes={**trace.spikes, "enc_in": trace.spikes["enc_in"] + 200})
    with pytest.raises(ExportError, match="spikes of enc_in"):
        export_bundle(nir_path, out, tiles, too_large, student_sha256=STUDENT)
    empty = IntegerTrace(
        trace.readout[:0],
        {name: values[:, :0] for name, values in trace.spikes.items()},
        {name: values[:, :0] for name, values in trace.membranes.items()},
    )
    with pytest.raises(ExportError, match="tiles"):
        export_bundle(nir_path, out, tiles[:0], empty, student_sha256=STUDENT)
    assert [path.name for path in tmp_path.iterdir()] == ["student.nir"]
