"""Nests in real ZigZag against counts by hand and a chip's published mapping; programs that fail."""

from pathlib import Path

import pytest
from snn_tool.errors import BackendUnavailableError, VerificationError
from snn_tool.exporters.zigzag import mapping
from snn_tool.exporters.zigzag.edge import NAME, unrolled
from snn_tool.exporters.zigzag.environment import ZigzagEnvironment, provision_zigzag
from snn_tool.exporters.zigzag.mapping import Mapped, Request, Unrolled, map_nests
from snn_tool.exporters.zigzag.report import read_mapping
from snn_tool.models.loop_nest import LoopNest

RECORDED = Path(__file__).parents[2] / "data" / "mapping.json"
EYERISS = "eyeriss_like"
BATCH, MEGAHERTZ = 4, 200
ROWS: Unrolled = {"D1": ["OY, 13"], "D2": ["FY, 3", "K, 4"]}
ALEXNET: dict[str, tuple[LoopNest, Unrolled, int, float]] = {
    "CONV1": (LoopNest(1, 96, 3, 55, 55, 11, 11, 4), {"D1": ["OY, 7", "K, 2"], "D2": ["FY, 11"]}, 154, 16.5),
    "CONV2": (
        LoopNest(2, 128, 48, 27, 27, 5, 5, padding=2),
        {"D1": ["OY, 14"], "D2": ["FY, 5", "K, 2"]},
        135,
        39.2,
    ),
    "CONV3": (LoopNest(1, 384, 256, 13, 13, 3, 3, padding=1), ROWS, 156, 21.8),
    "CONV4": (LoopNest(2, 192, 192, 13, 13, 3, 3, padding=1), ROWS, 156, 16.0),
    "CONV5": (LoopNest(2, 128, 192, 13, 13, 3, 3, padding=1), ROWS, 156, 10.0),
}
"""Layers, row-stationary loops, active multipliers of 168, and milliseconds of processing for a batch of 4.

Chen et al., Eyeriss, IEEE JSSC 52(1), 2017, Table V, transcribed by way of another simulator's notes on its
validation; the MACs of the layers agree with the table's (0.42, 0.90, 0.60, 0.45, 0.30 G).
"""

LOW, HIGH = -0.16, 0.0
"""The chip is slower than a mapping without ramp-up, which the paper names as the cause of the difference."""


@pytest.fixture(scope="module")
def zigzag() -> ZigzagEnvironment:
    try:
        return provision_zigzag(print)
    except BackendUnavailableError as error:
        pytest.skip(str(error))


@pytest.mark.slow
@pytest.mark.parametrize("layer", ALEXNET)
def test_the_published_mapping_of_eyeriss_is_reproduced(layer: str, zigzag: ZigzagEnvironment) -> None:
    nest, loops, active, published_ms = ALEXNET[layer]
    accelerator, (found,) = map_nests(Request(EYERISS, (nest,), (loops,), "latency"), zigzag)
    assert isinstance(found, Mapped) and accelerator.units == 168
    assert found.spatial_utilisation * 168 == pytest.approx(active, rel=0.02)
    milliseconds = BATCH * found.computing_cycles / MEGAHERTZ / 1e3
    assert milliseconds == pytest.approx(BATCH * nest.macs / active / MEGAHERTZ / 1e3, rel=0.04)
    print(f"{layer}: {milliseconds:.2f} ms, published {published_ms}: {milliseconds / published_ms - 1:+.1%}")
    assert LOW < milliseconds / published_ms - 1 < HIGH


@pytest.mark.slow
def test_a_recorded_layer_is_mapped_again_alike(zigzag: ZigzagEnvironment) -> None:
    """The cheapest recorded nest, a product of matrices and a depthwise layer, whose traffic is known."""
    recorded = read_mapping(RECORDED)
    known = next(each for each in recorded.nests if each.nest.kernel_rows == 1)
    depthwise, attention = LoopNest(16, 1, 1, 16, 16, 3, 3, padding=1), LoopNest(2, 8, 16, 4, 4)
    nests = (known.nest, depthwise, attention)
    said: list[str] = []
    request = Request(NAME, nests, [unrolled(nest) for nest in nests])
    accelerator, found = map_nests(request, zigzag, said.append)
    assert accelerator == recorded.accelerator and zigzag.version == recorded.versions["zigzag-dse"]
    assert found[0] == known.mapped
    for nest, each in zip(nests, found, strict=True):
        assert isinstance(each, Mapped) and each.macs == nest.macs
        dram = each.accesses["dram"]
        assert (dram.reads, dram.writes) == ((nest.inputs + nest.weights) / 8, nest.outputs / 8)
    assert isinstance(found[1], Mapped) and found[1].spatial_utilisation == 1 / 8
    assert [line for line in said if line.startswith("zigzag: step")] == [
        f"zigzag: step {number} of 3" for number in (1, 2, 3)
    ]


def fake(folder: Path, body: str) -> ZigzagEnvironment:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return ZigzagEnvironment(path, "3.9.1", "3.11.0", "test")


OTHER = (
    '{"accelerator": {"name": "a", "sha256": "%s", "units": 1, "mac_pj": 1.0, "memories": []}, "nests": []}'
    % ("0" * 64)
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "error", "complaint"),
    [
        ("echo out of luck >&2; exit 9", BackendUnavailableError, "exit code 9: out of luck"),
        ("sleep 60", BackendUnavailableError, "did not finish within 2 s"),
        ("exit 0", BackendUnavailableError, "no usable result"),
        (f"echo '{OTHER}' > \"$3/result.json\"", BackendUnavailableError, "0 nests of 1"),
        ('echo "[]" > "$3/result.json"', BackendUnavailableError, "no usable result"),
        ("echo no such file >&2; exit 4", VerificationError, "refuses the network: no such file"),
    ],
)
def test_a_program_that_fails_is_told_in_a_line(
    body: str,
    error: type[Exception],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mapping, "NEST_S", 1.0)
    nest = LoopNest(1, 8, 8, 4, 4)
    with pytest.raises(error, match=complaint) as caught:
        map_nests(Request(NAME, (nest,), (unrolled(nest),)), fake(tmp_path, body))
    assert "\n" not in str(caught.value)
