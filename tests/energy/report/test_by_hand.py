"""A whole audit, and a network with a shortcut and a relay, small enough to be counted by hand."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from snn_tool.energy.counts.activity import count_network
from snn_tool.energy.counts.counts import AccumulatorCount, ImageActivity
from snn_tool.energy.estimators.charges import SpikeCharge
from snn_tool.energy.estimators.exact_ops import estimate as exact_ops
from snn_tool.energy.estimators.paper import estimate as paper
from snn_tool.energy.estimators.prices import packaged_pricing
from snn_tool.energy.report.audit import audit
from snn_tool.energy.report.chips import register_notes
from snn_tool.energy.report.columns import Cnn, Teacher
from snn_tool.energy.report.document import EnergyReport, ReadingEnergy
from snn_tool.energy.report.robustness import PUBLISHED, _placed, per_step, per_synapse
from snn_tool.energy.report.rows import layer_rows
from snn_tool.models.integer.network import IntegerNetwork, IntegerPopulation, IntegerSynapse
from snn_tool.models.topology import IMAGE, Population, Synapse, Topology
from torch import nn

FP32 = packaged_pricing().at("fp32")


def synapse(wiring: Synapse, weight: NDArray[np.int8]) -> IntegerSynapse:
    return IntegerSynapse(wiring, weight, 0, np.zeros(wiring.out_channels, np.int32))


# --- two layers, T = 2: image [3, 3, 3] -> head 1x1 -> cell (9 neurons) -> tail 3x3 -> read-out (27)


def two_layers() -> IntegerNetwork:
    head = Synapse("head", IMAGE, 3, 1, kernel=1, bias=False)
    tail = Synapse("tail", "cell", 1, 3, kernel=3)
    first = np.array([1, 0, 0], np.int8).reshape(1, 3, 1, 1)
    return IntegerNetwork(
        synapses=(synapse(head, first), synapse(tail, np.ones((3, 1, 3, 3), np.int8))),
        populations=(
            IntegerPopulation(Population("cell", ("head",), 1), 15, 0),
            IntegerPopulation(Population("readout", ("tail",), 3), 0, 0),
        ),
        neuron="lif",
        timesteps=2,
        levels=1,
        signed=False,
        decay=64,
        input_step=1,
    )


def pointwise() -> Topology:
    """9 MACs, 3 bias adds and 3 additions of the image at each of 9 positions."""
    tail = Synapse("tail", IMAGE, 3, 3, kernel=1)
    return Topology((tail,), (Population("readout", ("tail",), 3),), ())


@pytest.fixture(scope="module")
def report() -> EnergyReport:
    """One image fires the centre (9 readers per channel) and a corner (4) once each, the other nothing."""
    busy = np.zeros((3, 3, 3), np.int16)
    busy[0, 1, 1] = busy[0, 0, 0] = 10  # 10, then 10 (1 - 64 / 4096) + 10 = 19 > 15
    teacher = Teacher("pointwise", nn.Conv2d(3, 3, 1))  # 9 MACs and 3 bias adds per pixel
    return audit(
        two_layers(),
        [busy, np.zeros_like(busy)],
        claim=2.0,
        teacher=teacher,
        cnn=Cnn("pointwise", pointwise()),
        image_names=["busy", "quiet"],
    )


def headline(report: EnergyReport, column: str, model: str) -> ReadingEnergy:
    return next(c.headline for c in report.cells if (c.column, f"{c.model}/{c.precision}") == (column, model))


@pytest.mark.slow
def test_columns_by_hand(report: EnergyReport) -> None:
    teacher, twin, cnn, qann, student = report.columns
    assert (teacher.parameters, twin.parameters, student.parameters) == (12, 3 + 27 + 3, 3 + 27 + 3 + 1)
    assert (cnn.parameters, cnn.exact_macs.mean, cnn.padded_macs.mean) == (12, 81, 81)
    assert (qann.parameters, qann.exact_macs, qann.activation_bits) == (33, twin.exact_macs, 2)
    assert (teacher.padded_macs.mean, teacher.exact_macs.mean) == (81, 81)
    # the tail: 3 channels x 9 taps x 9 positions padded, 3 x (2 + 3 + 2)^2 with real inputs
    assert (twin.padded_macs.mean, twin.exact_macs.mean) == (27 + 243, 27 + 147)
    assert student.exact_macs.mean == 2 * 27


def test_paper_model_by_hand(report: EnergyReport) -> None:
    busy, quiet = 4.6 * 27 + 0.9 * (2 / 9) * 243, 4.6 * 27
    mean = (busy + quiet) / 2
    energy = headline(report, "student", "paper/fp32").energy_pj
    assert (energy.mean, energy.std) == pytest.approx((mean, (busy - quiet) / 2))
    assert (energy.least, energy.most) == pytest.approx((quiet, busy))
    assert energy.worst_image == "busy"
    row = next(row for row in report.ratios if row.model == "paper/fp32")
    assert row.split.teacher_over_twin == pytest.approx(81 / 270)
    assert row.split.twin_over_student == pytest.approx(4.6 * 270 / mean)
    assert row.split.teacher_over_student == pytest.approx(4.6 * 81 / mean)
    assert (row.least, row.most) == pytest.approx((4.6 * 81 / busy, 4.6 * 81 / quiet))


@pytest.mark.parametrize(
    ("precision", "mac", "ac", "leak"), [("fp32", 4.6, 0.9, 3.7), ("int8", 0.3, 0.1, 3.1)]
)
def test_exact_ops_model_by_hand(
    report: EnergyReport, precision: str, mac: float, ac: float, leak: float
) -> None:
    # T N: 2 x 27 bias adds (only the tail has one), 2 x 9 leaks and compares; 27 scales and skip adds.
    always = mac * (2 * 27 + 27) + ac * (2 * 27 + 2 * 9 + 27) + leak * 2 * 9
    spikes = ac * (3 * (9 + 4) + 2)  # 13 readers in 3 channels, 2 resets
    model = f"exact-ops/{precision}"
    energy = headline(report, "student", model).energy_pj
    assert (energy.least, energy.most) == pytest.approx((always, always + spikes))
    assert energy.mean == pytest.approx(always + spikes / 2)
    assert headline(report, "teacher", model).energy_pj.mean == pytest.approx(mac * 81 + ac * 27)
    # 27 biases, 9 ReLUs, 27 additions of the image
    assert headline(report, "twin", model).energy_pj.mean == pytest.approx(mac * 174 + ac * 63)
    # The image stays at full width; 147 MACs of the tail have 2 of 8 bits: a quarter of the product's 0.2 pJ.
    narrow = 0.2 * 2 / 8 + ac if precision == "int8" else mac
    qann = mac * 27 + narrow * 147 + ac * 63
    assert headline(report, "qann", model).energy_pj.mean == pytest.approx(qann)
    cnn = mac * 81 + ac * (27 + 27)
    assert headline(report, "cnn", model).energy_pj.mean == pytest.approx(cnn)
    split = next(row.split for row in report.ratios if row.model == model)
    student = always + spikes / 2
    assert split.twin_over_student == pytest.approx((mac * 174 + ac * 63) / student)
    assert split.twin_over_qann == pytest.approx((mac * 174 + ac * 63) / qann)
    assert split.qann_over_student == pytest.approx(qann / student)
    assert split.cnn_over_student == pytest.approx(cnn / student)
    assert split.teacher_over_twin == pytest.approx((mac * 81 + ac * 27) / (mac * 174 + ac * 63))
    assert bool(split.note) == (precision == "fp32")


@pytest.mark.slow
@pytest.mark.parametrize("lowering", ["fanout", "relay"])
@pytest.mark.parametrize("neuron", ["lif", "graded"])
def test_the_three_factors_give_the_total_in_every_cell(
    make_network: Callable[..., IntegerNetwork], neuron: str, lowering: str
) -> None:
    """Every model and precision, both neurons, both lowerings; 1 where a note says so, and only there."""
    network = make_network(neuron)
    image = np.random.default_rng(3).integers(-64, 64, (3, 16, 16)).astype(np.int16)
    teacher = Teacher("convolution", nn.Conv2d(3, 3, 3, padding=1))
    found = audit(network, [image], teacher=teacher, lowering=lowering)
    energy = {(c.column, c.row): c.headline.energy_pj.mean for c in found.cells}
    for row in found.ratios:
        split = row.split
        assert split.teacher_over_twin is not None
        product = split.teacher_over_twin * split.twin_over_qann * split.qann_over_student
        assert product == pytest.approx(energy["teacher", row.model] / energy["student", row.model])
        assert (split.twin_over_qann == 1) == bool(split.note), row.model


def test_verdict_by_hand(report: EnergyReport) -> None:
    """The claim is 2; the ratio 372.6 / 148.5 = 2.5 by the paper's model and below 1 by exact counts."""
    by_model = {row.model: row.split.teacher_over_student or 0.0 for row in report.ratios}
    assert by_model["paper/fp32"] == pytest.approx(372.6 / 148.5)
    assert by_model["exact-ops/fp32"] < 1
    assert report.verdict.outcome == "depends"
    paper_rows = [f"paper/{precision}" for precision in ("fp32", "fp16", "int8", "int8-narrow")]
    assert list(report.verdict.supporting[:4]) == paper_rows
    assert report.headline.least == min(by_model.values())
    assert report.headline.most == max(by_model.values())


def test_layer_and_image_rows_by_hand(report: EnergyReport) -> None:
    head, tail = report.layers
    assert (head.readers, head.student_macs, head.twin_padded_macs, head.twin_exact_macs) == (1, 54, 27, 27)
    assert (head.synops_levels, head.spikes_per_neuron, head.spikes_per_synapse) == (0, 0, 0)
    assert (tail.synops_levels, tail.synops_events, tail.shared_synops) == (19.5, 19.5, 19.5)
    assert (tail.spikes_per_neuron, tail.spike_rate) == pytest.approx(((2 / 9) / 2, (2 / 9) / 4))
    assert tail.spikes_per_synapse == pytest.approx(19.5 / 147)
    assert (head.neuron_steps, tail.neuron_steps) == (2 * 9, 2 * 27)
    assert tail.share == pytest.approx(0.9 * 19.5 / (0.9 * 19.5 + 4.6 * 54))
    assert [image.synops_levels for image in report.images] == [39, 0]
    assert [image.first_layer_macs for image in report.images] == [54, 54]
    assert report.images[0].spikes_per_neuron == pytest.approx(2 / 9)


# --- a shortcut: head feeds a and b, a feeds b and (one relay later) the read-out; all 1x1, image [3, 2, 2]


def with_shortcut(neuron: str) -> IntegerNetwork:
    def of(name: str, source: str, channels: int, weight: int) -> IntegerSynapse:
        inputs = 3 if source == IMAGE else 1
        values = np.zeros((channels, inputs, 1, 1), np.int8)
        values[:, 0] = weight
        return synapse(Synapse(name, source, inputs, channels, kernel=1), values)

    return IntegerNetwork(
        synapses=(of("head", IMAGE, 1, 1), of("ab", "a", 1, 2), of("ao", "a", 3, 1), of("bo", "b", 3, 1)),
        populations=(
            IntegerPopulation(Population("a", ("head",), 1), 4, 0),
            IntegerPopulation(Population("b", ("head", "ab"), 1), 4, 0),
            IntegerPopulation(Population("readout", ("ao", "bo"), 3), 0, 0),
        ),
        neuron=neuron,
        timesteps=1 if neuron == "graded" else 2,
        levels=4 if neuron == "graded" else 1,
        signed=neuron == "graded",
        decay=0 if neuron == "graded" else 64,
        input_step=1,
    )


@pytest.fixture(scope="module")
def activity() -> ImageActivity:
    """One pixel of 10: a emits round(10 / 4) = 3, b round((10 + 2 x 3) / 4) = 4, everything else nothing."""
    image = np.zeros((3, 2, 2), np.int16)
    image[0, 0, 1] = 10
    return count_network(with_shortcut("graded"), [image]).images[0]


def test_shortcut_counts_by_hand(activity: ImageActivity) -> None:
    edges = {(e.synapse, e.reader): (e.image_macs, e.synops_levels, e.synops_events) for e in activity.edges}
    assert edges == {
        ("head", "a"): (12, 0, 0),
        ("head", "b"): (12, 0, 0),
        ("ab", "b"): (0, 3, 1),
        ("ao", "readout"): (0, 9, 3),
        ("bo", "readout"): (0, 12, 3),
    }
    (relay,) = activity.relays
    assert (relay.population, relay.stages, relay.neurons, relay.updates) == ("a", 1, 4, 4)
    assert (relay.synops_levels, relay.synops_events, relay.resets) == (3, 1, 0)


def test_shortcut_energies_by_hand(activity: ImageActivity) -> None:
    readings = {reading.name: reading for reading in exact_ops(activity, FP32).readings}
    assert [name for name, reading in readings.items() if reading.deployed] == [
        "deployed, events as MACs",
        "deployed, levels as ACs",
    ]
    neurons = {
        "bias adds": 0.9 * (4 + 4 + 12),
        "leak multiplies": 0.0,
        "threshold compares": 0.9 * 4 * (4 + 4),  # levels -4 to 4: nine outcomes, 2^3 < 9 <= 2^4
        "resets": 0.0,
        "read-out scale": 4.6 * 12,
        "global skip": 0.9 * 12,
    }
    assert readings["deployed, levels as ACs"].items == pytest.approx(
        {
            "first layer MACs": 4.6 * 24,
            "synops": 0.9 * (3 + 9 + 12),
            "relay synops": 0.9 * 3,
            "relay neurons": 0.9 * 4,
            "relay resets": 0.0,
            **neurons,
        }
    )
    assert readings["deployed, events as MACs"].items == pytest.approx(
        {
            "first layer MACs": 4.6 * 24,
            "synops": 4.6 * 7,
            "relay synops": 4.6 * 1,
            "relay neurons": 0.9 * 4,
            "relay resets": 0.0,
            **neurons,
        }
    )
    # Shared: the head once, no relay, and one addition where two synapses meet: 4 in b, 12 in the read-out.
    assert readings["shared, levels as ACs"].items == pytest.approx(
        {"first layer MACs": 4.6 * 12, "synops": 0.9 * 24, "membrane adds": 0.9 * 16, **neurons}
    )
    # The usual model: the head once, mean level per neuron times MACs: a 3 / 4, b 4 / 4.
    usual, _ = paper(activity, FP32).readings
    assert usual.items == pytest.approx(
        {"head": 4.6 * 12, "ab": 0.9 * 0.75 * 4, "ao": 0.9 * 0.75 * 12, "bo": 0.9 * 1.0 * 12}
    )


@pytest.mark.parametrize(
    ("charge", "spikes"),
    [
        (SpikeCharge.EVENTS, {"ab": 4.6 * 1, "ao": 4.6 * 3, "bo": 4.6 * 3}),
        (SpikeCharge.LEVELS, {"ab": 0.9 * 3, "ao": 0.9 * 9, "bo": 0.9 * 12}),
    ],
)
def test_layer_shares_follow_the_reading_that_is_charged(
    charge: SpikeCharge, spikes: dict[str, float]
) -> None:
    """The first layer multiplies the image for both of its readers."""
    image = np.zeros((3, 2, 2), np.int16)
    image[0, 0, 1] = 10
    energies = {"head": 4.6 * 24, **spikes}
    rows = layer_rows(count_network(with_shortcut("graded"), [image]), charge, FP32)
    assert [row.neuron_steps for row in rows] == [4 + 4, 4, 12, 12]  # the head has two readers
    assert {row.synapse: row.share for row in rows} == pytest.approx(
        {name: energy / sum(energies.values()) for name, energy in energies.items()}
    )


@pytest.mark.slow
def test_a_report_shares_by_its_dearer_reading() -> None:
    """4.6 x 7 events cost more than 0.9 x 24 levels."""
    image = np.zeros((3, 2, 2), np.int16)
    image[0, 0, 1] = 10
    report = audit(with_shortcut("graded"), [image], claim=2.0, image_names=["one"])
    shares = {row.synapse: row.share for row in report.layers}
    assert shares["bo"] == pytest.approx(4.6 * 3 / (4.6 * 24 + 4.6 * 7))


def test_spikes_per_synapse_and_per_neuron_by_hand(activity: ImageActivity) -> None:
    """Levels 3 and 4 of twice four neurons in one step; 3 + 9 + 12 deliveries, 4 + 12 + 12 connections."""
    assert per_synapse(activity) == pytest.approx((3 + 9 + 12) / (4 + 12 + 12))
    assert per_step(activity) == pytest.approx((3 + 4) / (1 * (4 + 4)))


def test_a_spike_rate_is_per_timestep(report: EnergyReport) -> None:
    """Two spikes of nine neurons in two steps on one image, none on the other; 39 and 0 of 147 synapses."""
    figures = {bound.quantity: bound.figure for bound in report.thresholds}
    assert figures == pytest.approx(
        {
            "spikes per neuron and timestep": 2 / (2 * 9) / 2,
            "spikes per neuron per inference": 2 / 9 / 2,
            "spikes per synapse per inference": 39 / 147 / 2,
        }
    )


def test_chips_stand_beside_joules_by_hand(report: EnergyReport) -> None:
    """Two cores: 54 operations on the image, 39 deliveries in one image of two, 72 updates, two barriers."""
    rows = {(row.model, row.reading): row for row in report.chips}
    assert rows.keys() == {
        (f"{model}/int8", "binary spikes") for model in ("loihi1-davies", "loihi1-sanafe", "loihi2")
    }
    first, second = rows["loihi1-davies/int8", "binary spikes"], rows["loihi2/int8", "binary spikes"]
    deliveries = 39 / 2
    loihi1_ns = ((54 + deliveries) * 3.5 + 72 * 8.4) / 2 + 2 * 113
    loihi2_ns = ((54 + deliveries) * 0.66 + 72 * 4.0) / 2 + 2 * 10_000
    for row, chip, watts, time_ns in (
        (first, "Loihi 1", 0.104, loihi1_ns),
        (second, "Loihi 2", 0.232078, loihi2_ns),
    ):
        assert (row.chip, row.cores, row.chips, row.steps) == (chip, 2, 1, 2)
        assert (row.static_w, row.time_ms) == pytest.approx((watts, time_ns / 1e6))
        assert row.frames_per_s == pytest.approx(1e9 / time_ns)
        energy_pj = headline(report, "student", row.model).energy_pj.mean
        assert row.energy_mj == pytest.approx(energy_pj / 1e9)
        assert row.static_share == pytest.approx(1000 * watts * time_ns / energy_pj)
        assert row.deployed and row.lacks == ()
    assert [row.model for row in report.calibration] == ["loihi1-davies", "loihi1-sanafe", "loihi2"]


def test_registers_that_a_simulation_exceeds_by_hand(report: EnergyReport) -> None:
    """Weights of 1 fit eight bits; shifted by 7 they are 128. No register of 17 bits holds 2^18."""
    (readout,) = report.registers
    assert (readout.where, readout.quantity, readout.value, readout.limit) == (
        "readout",
        "threshold",
        262_144,
        131_071,
    )
    head, tail = two_layers().synapses
    shifted = replace(two_layers(), synapses=(replace(head, exponent=6), replace(tail, exponent=7)))
    weight, threshold = register_notes(shifted)
    assert (weight.where, weight.quantity, weight.value, weight.limit) == ("tail", "weight", 128, 127)
    assert threshold == readout


@pytest.mark.slow
def test_a_graded_students_chips_by_hand() -> None:
    """One image [3, 2, 2], four levels with signs: sign pairs in four steps run, and graded events."""
    image = np.zeros((3, 2, 2), np.int16)
    image[0, 0, 1] = 10
    graded = audit(with_shortcut("graded"), [image], claim=2.0)
    deployed = {row.model: row for row in graded.chips if row.deployed}
    assert {model: row.reading for model, row in deployed.items()} == {
        "loihi1-davies/int8": "sign pairs, a step for each level",
        "loihi1-sanafe/int8": "sign pairs, a step for each level",
        "loihi2/int8": "one event per graded spike",
    }
    assert [row.steps for row in deployed.values()] == [4, 4, 1]
    assert all(row.lacks == () for row in deployed.values())
    others = [row for row in graded.chips if not row.deployed and row.chip == "Loihi 1"]
    assert len(others) == 4 and all(row.lacks for row in others)


def test_the_report_says_what_unsourced_constants_decide(report: EnergyReport) -> None:
    """One hop instead of none: half and half again of 3.0 pJ on 39 deliveries in one image of two.

    At T = 2 an image costs the teacher 81 MACs by `data-movement`; the row must be the one of `sensitivity`.
    """
    found = {row.constant: row for row in report.unsourced}
    assert {"yan-add", "yan-sparse-hop", "yan-dense-hop", "yan-hops", "edge-utilisation"} <= found.keys()
    assert {report.constants[key].reading for key in found} == {"not found"}
    for key, row in found.items():
        of_key = [s for s in report.sensitivity if s.constant == key]
        assert row.strongest in of_key
        assert set(row.models) == {s.model for s in of_key}
        assert set(row.flips) == {s.model for s in of_key if s.flips}
        assert set(row.reverses) == {
            s.model for s in of_key if min(s.low, s.base, s.high) <= 1 < max(s.low, s.base, s.high)
        }
    # A dense network on an edge accelerator costs MAC e / utilisation: twice as much at half the utilisation.
    edge = found["edge-utilisation"].strongest
    assert (edge.low, edge.high) == pytest.approx((2 * edge.base, edge.base / 1.5))


@pytest.mark.parametrize(
    ("figure", "position"),
    [(0.0999, "below"), (0.10, "between"), (0.12, "between"), (0.15, "between"), (0.1501, "above")],
)
def test_a_figure_at_a_published_bound_is_neither_below_nor_above(figure: float, position: str) -> None:
    bound = next(one for one in PUBLISHED if (one.low, one.high) == (0.10, 0.15))
    assert _placed(bound, figure).position == position


def test_a_relayed_shortcut_by_hand() -> None:
    """a_stream 1, a 2, b 3, read-out 4: a_stream waits one step for b, and a one for the read-out.

    The accumulator holds 10 at one pixel of four: one event to a, one to b, and one into its own relay.
    """
    image = np.zeros((3, 2, 2), np.int16)
    image[0, 0, 1] = 10
    relayed = count_network(with_shortcut("graded"), [image], lowering="relay").images[0]
    edges = {(e.synapse, e.reader): (e.image_macs, e.synops_levels, e.first) for e in relayed.edges}
    assert edges == {
        ("head", "a_stream"): (12, 0, True),
        ("ab", "b"): (0, 3, True),
        ("ao", "readout"): (0, 9, True),
        ("bo", "readout"): (0, 12, True),
    }
    assert relayed.accumulators == (AccumulatorCount("a_stream", 4, 1, 2, 4 * 2, 1, 3),)
    assert [(relay.population, relay.stages) for relay in relayed.relays] == [("a", 1)]
    readings = {reading.name: reading.items for reading in exact_ops(relayed, FP32).readings}
    for name in ("deployed, levels as ACs", "deployed, events as MACs"):
        assert readings[name]["first layer MACs"] == pytest.approx(4.6 * 12)
        assert readings[name]["accumulator synops"] == pytest.approx(4.6 * 3)
        assert readings[name]["accumulator neurons"] == pytest.approx(0.9 * 8)
    assert "accumulator synops" not in readings["shared, levels as ACs"]


def test_an_accumulator_of_three_readers_and_two_delays_by_hand() -> None:
    """a, b and c read the head, one step after the other: the value goes to each and through two relays."""

    def of(name: str, source: str, channels: int) -> IntegerSynapse:
        values = np.zeros((channels, 3 if source == IMAGE else 1, 1, 1), np.int8)
        values[:, 0] = 1
        return synapse(Synapse(name, source, values.shape[1], channels, kernel=1), values)

    populations = {"a": ("head",), "b": ("head", "ab"), "c": ("head", "bc")}
    network = replace(
        with_shortcut("graded"),
        synapses=(of("head", IMAGE, 1), of("ab", "a", 1), of("bc", "b", 1), of("co", "c", 3)),
        populations=(
            *(IntegerPopulation(Population(name, read, 1), 4, 0) for name, read in populations.items()),
            IntegerPopulation(Population("readout", ("co",), 3), 0, 0),
        ),
    )
    image = np.zeros((3, 2, 2), np.int16)
    image[0, 0, 1] = 10
    (held,) = count_network(network, [image], lowering="relay").images[0].accumulators
    assert held == AccumulatorCount("a_stream", 4, 2, 3, 4 * (1 + 2), 1, 3 + 2)


def test_an_accumulator_of_a_lif_student_counts_every_timestep() -> None:
    """The image stays for two steps, and so does its current; the value is graded, the spikes are binary."""
    image = np.zeros((3, 2, 2), np.int16)
    image[0, 1, 1] = 10
    relayed = count_network(with_shortcut("lif"), [image], lowering="relay").images[0]
    assert relayed.accumulators == (AccumulatorCount("a_stream", 4, 1, 2, 2 * 4 * 2, 2, 6),)
    (deployed,) = (r for r in exact_ops(relayed, FP32).readings if r.deployed)
    assert deployed.items["accumulator synops"] == pytest.approx(4.6 * 6)


def test_a_relay_of_binary_spikes_resets_by_hand() -> None:
    """10 exceeds a's threshold of 4 at both steps: two spikes, which the relay takes up and resets after."""
    image = np.zeros((3, 2, 2), np.int16)
    image[0, 1, 1] = 10
    activity = count_network(with_shortcut("lif"), [image]).images[0]
    (relay,) = activity.relays
    assert (relay.stages, relay.updates, relay.synops_levels, relay.resets) == (1, 2 * 4, 2, 2)
    deployed = next(r for r in exact_ops(activity, FP32).readings if r.name == "deployed, spikes as ACs")
    assert deployed.items["relay synops"] == pytest.approx(0.9 * 2)
    assert deployed.items["relay neurons"] == pytest.approx(0.9 * 8)
    assert deployed.items["relay resets"] == pytest.approx(0.9 * 2)
    assert deployed.items["first layer MACs"] == pytest.approx(4.6 * 2 * 24)


def test_a_flat_student_is_audited_on_odd_images_beside_a_teacher_that_needs_even_ones() -> None:
    class Halving(nn.Module):
        """Cannot read odd sides: its two paths would differ in size."""

        multiple = 2

        def __init__(self) -> None:
            super().__init__()
            self.down = nn.Conv2d(3, 12, 2, stride=2, bias=False)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image + nn.functional.pixel_shuffle(self.down(image), 2)

    image = np.zeros((3, 3, 5), np.int16)
    report = audit(two_layers(), [image], teacher=Teacher("halving", Halving()))
    # Extended to 4 x 6 pixels: 2 x 3 positions of 12 outputs from 3 x 2 x 2 inputs.
    assert report.columns[0].padded_macs.mean == 6 * 12 * 12
