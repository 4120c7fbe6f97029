"""The audit as a whole: JSON, terminal page, HTML page."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console
from snn_tool.energy.counts.fan_out import conv_synops
from snn_tool.energy.estimators.estimate import COLUMNS
from snn_tool.energy.pages import numbers as figures
from snn_tool.energy.pages.html import render
from snn_tool.energy.pages.terminal import most_sensitive, print_report
from snn_tool.energy.report.audit import audit
from snn_tool.energy.report.columns import Cnn, Teacher
from snn_tool.energy.report.document import KIND, SCHEMA, EnergyReport, Range
from snn_tool.energy.report.networks import Quality
from snn_tool.errors import ConfigError, DataError
from snn_tool.files.artifacts import read_json, write_json
from snn_tool.models.bodies import unet
from snn_tool.models.config import default_config
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.student import build_twin
from snn_tool.models.topology import IMAGE

Make = Callable[..., IntegerNetwork]


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return Teacher("unet <teacher>", build_twin(replace(default_config("graded"), width=16)))


@pytest.fixture(scope="module")
def network(make_network: Make) -> IntegerNetwork:
    return make_network("lif")


@pytest.fixture(scope="module")
def images(network: IntegerNetwork, photograph: NDArray[np.float32]) -> list[NDArray[np.int16]]:
    return [quantize_image(photograph[:, :h, :w], network) for h, w in ((32, 32), (16, 24))]


@pytest.fixture(scope="module")
def report(network: IntegerNetwork, images: list[NDArray[np.int16]], teacher: Teacher) -> EnergyReport:
    return audit(
        network,
        images,
        teacher=teacher,
        cnn=Cnn("int8 <CNN>", unet(2)),
        quality={"student": Quality(28.125, 0.8), "teacher": Quality(psnr_db=30.5)},
        hashes={"student <int>": "ab" * 32},
        image_names=["large", "small & wide"],
    )


@pytest.mark.slow
def test_columns_models_and_precisions_form_the_grid_that_makes_sense(report: EnergyReport) -> None:
    precisions = ("fp32", "fp16", "int8", "int8-narrow")
    every = ("paper", "exact-ops", "memory-no-reuse", "memory-full-reuse")
    int8_only = ("loihi1-davies", "loihi1-sanafe", "loihi2", "data-movement")
    rows = [f"{model}/{p}" for model in every for p in precisions] + [f"{model}/int8" for model in int8_only]
    assert [row.model for row in report.ratios] == rows
    cells = [(f"{cell.model}/{cell.precision}", cell.column) for cell in report.cells]
    assert len(set(cells)) == len(cells)
    assert set(cells) == {(row, column) for row in rows for column in COLUMNS}
    assert [column.name for column in report.columns] == list(COLUMNS)
    # At int8 the twin of T = 4 steps has 3 of 8 bits; paper and the rival of both chips know no width.
    narrower = {f"{m}/{p}" for m in every[1:] for p in precisions[2:]} | {"data-movement/int8"}
    assert {row.model for row in report.ratios if not row.split.note} == narrower
    assert all((row.split.twin_over_qann == 1) == bool(row.split.note) for row in report.ratios)


def test_ratios_are_those_of_the_mean_energies(report: EnergyReport) -> None:
    energy = {(c.column, f"{c.model}/{c.precision}"): c.headline.energy_pj.mean for c in report.cells}
    for row in report.ratios:
        expected = energy["teacher", row.model] / energy["student", row.model]
        assert row.split.teacher_over_student == pytest.approx(expected)
        assert row.split.teacher_over_twin is not None
        product = row.split.teacher_over_twin * row.split.twin_over_qann * row.split.qann_over_student
        assert product == pytest.approx(expected)
        assert row.split.cnn_over_student == pytest.approx(
            energy["cnn", row.model] / energy["student", row.model]
        )
        assert row.least is not None and row.most is not None and row.ratio is not None
        assert row.least <= expected <= row.most
        assert row.ratio == pytest.approx(expected)
        assert any(by_column["teacher"] == pytest.approx(expected) for by_column in row.by_reading.values())
    ratios = [row.split.teacher_over_student or 0.0 for row in report.ratios]
    assert (report.headline.least, report.headline.most) == (min(ratios), max(ratios))


def test_items_sum_to_the_energy_and_layer_shares_to_one(report: EnergyReport) -> None:
    for cell in report.cells:
        for reading in (cell.headline, *cell.alternatives):
            assert sum(reading.items_pj.values()) == pytest.approx(reading.energy_pj.mean)
            assert reading.energy_pj.least <= reading.energy_pj.mean <= reading.energy_pj.most
    assert sum(row.share for row in report.layers) == pytest.approx(1)
    synops = sum(row.synops_levels for row in report.layers)
    assert synops == pytest.approx(np.mean([image.synops_levels for image in report.images]))


def test_the_larger_image_is_the_worst(report: EnergyReport) -> None:
    student = [cell for cell in report.cells if cell.column == "student"]
    assert {cell.headline.energy_pj.worst_image for cell in student} == {"large"}


@pytest.mark.slow
@pytest.mark.parametrize("neuron", ["lif", "graded"])
def test_the_headline_is_the_dearest_deployed_reading(
    make_network: Make, photograph: NDArray[np.float32], neuron: str
) -> None:
    network = make_network(neuron)
    report = audit(network, [quantize_image(photograph[:, :16, :16], network)])
    for cell in report.cells:
        deployed = [r for r in cell.alternatives if r.deployed]
        assert cell.headline.deployed
        assert all(r.energy_pj.mean <= cell.headline.energy_pj.mean for r in deployed)


@pytest.mark.slow
def test_the_order_of_images_changes_no_number(
    network: IntegerNetwork, images: list[NDArray[np.int16]], teacher: Teacher
) -> None:
    forward = audit(network, images, teacher=teacher, image_names=["a", "b"])
    backward = audit(network, images[::-1], teacher=teacher, image_names=["b", "a"])
    assert replace(forward, images=()) == replace(backward, images=())
    assert forward.images == backward.images[::-1]


@pytest.mark.slow
def test_accumulators_are_shown_where_there_are_some(
    network: IntegerNetwork, images: list[NDArray[np.int16]], report: EnergyReport
) -> None:
    relayed = audit(network, images, lowering="relay")
    assert (report.lowering, relayed.lowering) == ("fanout", "relay")
    assert report.accumulators == () and relayed.relays == ()
    names = ["enc_in_stream", "down_in_stream", "mid_in_stream", "dec_in_stream"]
    assert [row.name for row in relayed.accumulators] == names
    # 32 x 32 and 16 x 24 pixels; one accumulator and two relays of four channels.
    assert relayed.accumulators[0].neurons == (1 + 2) * 4 * (32 * 32 + 16 * 24) / 2
    for shown, present in ((relayed, True), (report, False)):
        stream = io.StringIO()
        print_report(shown, Console(file=stream, width=200))
        assert ("enc_in_stream" in stream.getvalue()) == present
        assert ("enc_in_stream" in render(shown)) == present
        assert f"lowered by {shown.lowering}" in render(shown)
    assert all(row.readers == 1 for row in relayed.layers)


@pytest.mark.slow
def test_without_a_teacher_the_quantised_twin_is_the_reference(
    network: IntegerNetwork, images: list[NDArray[np.int16]]
) -> None:
    report = audit(network, images, claim=0.001)
    assert report.reference == "qann"
    assert (report.verdict, report.headline) == (report.qann_verdict, report.qann_headline)
    assert report.verdict.outcome == "holds"
    assert all(row.split.teacher_over_student is None for row in report.ratios)
    assert all(row.split.cnn_over_student is None for row in report.ratios)
    assert "quantised ANN twin / student" in render(report)


def test_json_is_finite_and_survives_the_disk(report: EnergyReport, tmp_path: Path) -> None:
    body = report.to_dict()
    json.dumps(body, allow_nan=False)
    write_json(tmp_path / "energy.json", KIND, SCHEMA, body)
    assert {k: v for k, v in read_json(tmp_path / "energy.json", KIND, SCHEMA).items() if k in body} == body
    assert "estimate" in body["note"]
    assert body["columns"][4]["quality"] == {"psnr_db": 28.125, "ssim": 0.8}
    assert body["columns"][1]["quality"] is None
    assert body["constants"]["mul-fp32"]["grade"] == "simulated"


@pytest.mark.slow
def test_a_black_image_can_be_audited(network: IntegerNetwork, teacher: Teacher) -> None:
    report = audit(network, [np.zeros((3, 16, 16), np.int16)], teacher=teacher)
    student = next(column for column in report.columns if column.name == "student")
    assert student.exact_macs.mean > 0
    render(report)
    report.to_dict()


@pytest.mark.slow
def test_the_page_asks_for_nothing_and_escapes_what_it_is_given(report: EnergyReport) -> None:
    page = render(report)
    assert page == render(report)
    assert not re.search(r"<script|<link|@import|url\(|https?://", page)
    assert re.findall(r"(?:src|href)=\"(?!data:image/png;base64,|#)", page) == []
    assert "unet &lt;teacher&gt;" in page and "<teacher>" not in page
    assert "student &lt;int&gt;" in page and "small &amp; wide" in page
    assert figures.span(report.headline) in page
    assert "estimate" in page
    for row in report.layers:
        assert row.synapse in page
    for left_out in report.excluded:
        assert left_out.term in page


def test_the_terminal_page_says_the_same(report: EnergyReport) -> None:
    stream = io.StringIO()
    print_report(report, Console(file=stream, width=160))
    text = stream.getvalue()
    assert figures.span(report.headline) in text
    assert "unet <teacher>" in text
    assert "28.12" in text and "0.8000" in text
    assert all(row.model in text for row in report.ratios)


def test_the_terminal_page_fits_80_columns(report: EnergyReport) -> None:
    stream = io.StringIO()
    print_report(report, Console(file=stream, width=80))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if "…" in line] == [], "nothing is cut off"
    grid = next(i for i, line in enumerate(lines) if line.startswith("Estimated ratio teacher / student"))
    rows = {line.split()[0]: line.split()[1:] for line in lines[grid + 4 : grid + 4 + len(report.models)]}
    assert rows.keys() == {model.name for model in report.models}
    ratios = {row.model: row.ratio for row in report.ratios}
    assert rows["paper"] == [figures.factor(ratios[f"paper/{p.name}"]) for p in report.precisions]
    assert rows["data-movement"] == ["–", "–", figures.factor(ratios["data-movement/int8"]), "–"]


def test_the_terminal_names_the_constants_that_matter_most(report: EnergyReport) -> None:
    swings = {
        row.constant: max(
            abs(np.log(value / other.base))
            for other in report.sensitivity
            if other.constant == row.constant
            for value in (other.low, other.high)
        )
        for row in report.sensitivity
    }
    named = [row.constant for row in most_sensitive(report)]
    assert len(named) == 3
    assert [swings[name] for name in named] == sorted(swings.values(), reverse=True)[:3]


def test_published_thresholds_stand_beside_the_networks_own_figures(
    network: IntegerNetwork, images: list[NDArray[np.int16]], report: EnergyReport
) -> None:
    """Spikes over neurons and steps, and deliveries over connections, recomputed from the engine's trace."""
    rates, deliveries = [], []
    for image in images:
        trace = IntegerEngine(network).run(image[None], [p.name for p in network.topology.spiking])
        fired = {name: np.abs(z[:, 0].astype(int)).sum(axis=0) for name, z in trace.spikes.items()}
        sizes = sum(spikes.size for spikes in fired.values())
        rates.append(sum(int(s.sum()) for s in fired.values()) / (network.timesteps * sizes))
        delivered = connected = 0
        for population in network.topology.populations:
            for name in population.inputs:
                wiring = network.by_name[name].wiring
                if wiring.source != IMAGE:
                    geometry = (
                        wiring.out_channels,
                        wiring.kernel,
                        wiring.stride,
                        wiring.padding,
                        wiring.dilation,
                    )
                    delivered += conv_synops(fired[wiring.source].astype(np.int64), *geometry)
                    connected += conv_synops(np.ones_like(fired[wiring.source], np.int64), *geometry)
        deliveries.append(delivered / connected)
    figure = {
        "spikes per neuron and timestep": np.mean(rates),
        "spikes per neuron per inference": network.timesteps * np.mean(rates),
        "spikes per synapse per inference": np.mean(deliveries),
    }
    assert len(report.thresholds) == 4
    for row in report.thresholds:
        assert row.figure == pytest.approx(figure[row.quantity])
        assert (row.figure < row.low) == (row.position == "below")
        assert (row.figure > row.high) == (row.position == "above")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"claim": 0.0}, "claim = 0.0"),
        ({"claim": float("nan")}, "claim = nan"),
        ({"quality": {"pupil": Quality()}}, "quality of 'pupil'"),
        ({"quality": {"student": Quality(psnr_db=float("inf"))}}, "quality.student.psnr_db = inf"),
        ({"against": "pupil"}, "--against pupil is unknown"),
        ({"against": "teacher"}, "no teacher was given"),
        ({"against": "cnn"}, "--against cnn: no int8 CNN"),
        ({"image_names": ["only one"]}, "1 image names were given for 2 images"),
    ],
)
def test_wrong_options_are_refused(
    network: IntegerNetwork, images: list[NDArray[np.int16]], options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        audit(network, images, **options)  # type: ignore[arg-type]


def test_no_image_is_refused(network: IntegerNetwork) -> None:
    with pytest.raises(DataError, match="none was given"):
        audit(network, [])


def test_numbers_as_people_read_them() -> None:
    values = [figures.energy(v) for v in (0.0, 12.34, 4600.0, 1.53e9, 2.5e12)]
    assert values == ["0 pJ", "12.3 pJ", "4.60 nJ", "1.53 mJ", "2.50 J"]
    assert [figures.count(v) for v in (0, 999, 1234567, 0.5)] == ["0", "999", "1.23 M", "0.500"]
    assert figures.span(Range(0.5051, 1484.0)) == "0.505× to 1 484×"
    assert figures.factor(None) == "–"
