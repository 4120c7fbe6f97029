"""Break-even and sensitivity, each against a computation of its own: scaled counts, and audits at other
prices."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from snn_tool.energy.counts.activity import count_network
from snn_tool.energy.counts.counts import ImageActivity
from snn_tool.energy.counts.dense_layer import DenseLayer
from snn_tool.energy.estimators.constants import Constant
from snn_tool.energy.estimators.estimate import AnnLoad, EnergyModel, Load
from snn_tool.energy.estimators.prices import Prices, Pricing, packaged_pricing
from snn_tool.energy.estimators.registry import MODELS
from snn_tool.energy.report.audit import audit
from snn_tool.energy.report.columns import Teacher, loaded_columns
from snn_tool.energy.report.document import EnergyReport
from snn_tool.energy.report.pricing import PricedRow, price
from snn_tool.energy.report.robustness import break_even
from snn_tool.errors import ConfigError
from snn_tool.models.config import default_config
from snn_tool.models.integer.engine import quantize_image
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.student import build_twin

Make = Callable[..., IntegerNetwork]
PRICING = packaged_pricing()
GRID = [(m, p) for m in MODELS.values() for p in PRICING.precisions.values() if m.takes(p)]
NAMES = [f"{model.name}/{precision.name}" for model, precision in GRID]
KINDS = [("lif", "fanout"), ("lif", "relay"), ("graded", "fanout"), ("graded", "relay")]


@pytest.fixture(scope="module")
def counted(make_network: Make, photograph: NDArray[np.float32]) -> dict[tuple[str, str], ImageActivity]:
    found = {}
    for neuron, lowering in KINDS:
        network = make_network(neuron)
        image = quantize_image(photograph[:, :16, :24], network)
        found[neuron, lowering] = count_network(network, [image], lowering=lowering).images[0]
    return found


@pytest.fixture(scope="module")
def network(make_network: Make) -> IntegerNetwork:
    return make_network("lif")


@pytest.fixture(scope="module")
def images(network: IntegerNetwork, photograph: NDArray[np.float32]) -> list[NDArray[np.int16]]:
    return [quantize_image(photograph[:, y : y + 16, :16], network) for y in (0, 32)]


@pytest.fixture(scope="module")
def report(network: IntegerNetwork, images: list[NDArray[np.int16]]) -> EnergyReport:
    return audit(network, images, claim=1.0)


def with_spikes(load: ImageActivity, factor: float) -> ImageActivity:
    """The same network with `factor` times as many spikes everywhere; counts become real numbers."""

    def scaled(part: object, *fields: str) -> object:
        return replace(part, **{name: getattr(part, name) * factor for name in fields})  # type: ignore[type-var]

    return replace(
        load,
        edges=tuple(scaled(e, "synops_levels", "synops_events") for e in load.edges),
        populations=tuple(scaled(p, "events", "levels", "resets") for p in load.populations),
        relays=tuple(scaled(r, "synops_levels", "synops_events", "resets") for r in load.relays),
    )


def twice_as_long(load: ImageActivity) -> ImageActivity:
    """The same activity again: every step does what it did."""

    def doubled(part: object, *fields: str) -> object:
        return replace(part, **{name: getattr(part, name) * 2 for name in fields})  # type: ignore[type-var]

    compares = ("compares", "ladder_compares")
    neuron = ("events", "levels", "bias_adds", "leak_multiplies", *compares, "resets", "membrane_adds")
    return replace(
        load,
        timesteps=2 * load.timesteps,
        edges=tuple(doubled(e, "synops_levels", "synops_events") for e in load.edges),
        populations=tuple(doubled(p, *neuron) for p in load.populations),
        relays=tuple(doubled(r, "updates", "synops_levels", "synops_events", "resets") for r in load.relays),
        accumulators=tuple(doubled(a, "updates", "events", "synops_events") for a in load.accumulators),
    )


def totals(model: EnergyModel, load: Load, prices: Prices) -> dict[str, float]:
    return {reading.name: reading.total_pj for reading in model.estimate(load, prices).readings}


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(("model", "precision"), GRID, ids=NAMES)
def test_what_is_called_spike_driven_grows_with_spikes_and_nothing_else_does(
    counted: dict[tuple[str, str], ImageActivity],
    kind: tuple[str, str],
    model: EnergyModel,
    precision: object,
) -> None:
    prices = PRICING.at(precision.name)  # type: ignore[attr-defined]
    load = counted[kind]
    more = totals(model, with_spikes(load, 3), prices)
    for reading in model.estimate(load, prices).readings:
        driven = sum(reading.items[item] for item in reading.spike_driven)
        assert driven > 0
        assert more[reading.name] == pytest.approx(reading.total_pj + 2 * driven)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(("model", "precision"), GRID, ids=NAMES)
def test_what_is_called_once_is_all_that_does_not_grow_with_time(
    counted: dict[tuple[str, str], ImageActivity],
    kind: tuple[str, str],
    model: EnergyModel,
    precision: object,
) -> None:
    prices = PRICING.at(precision.name)  # type: ignore[attr-defined]
    load = counted[kind]
    longer = totals(model, twice_as_long(load), prices)
    for reading in model.estimate(load, prices).readings:
        if reading.name.startswith("first layer cached"):
            continue  # not deployed, so that no break-even is derived from it
        once = sum(reading.items[item] for item in reading.once)
        assert longer[reading.name] == pytest.approx(2 * reading.total_pj - once)


@pytest.mark.slow
def test_with_the_break_even_factor_the_student_needs_what_the_reference_needs(
    network: IntegerNetwork, images: list[NDArray[np.int16]]
) -> None:
    wide = Teacher("wide", build_twin(replace(default_config("lif"), width=32)))
    report = audit(network, images, teacher=wide)
    found = 0
    energies = {(c.column, f"{c.model}/{c.precision}"): c.headline for c in report.cells}
    activity = count_network(network, images)
    spikes = sum(image.spikes_per_neuron for image in activity.images) / 2
    for row in report.break_even:
        model, precision = row.model.split("/")
        if row.factor is None:
            continue
        headline = energies["student", row.model].name
        scaled = [
            totals(MODELS[model], with_spikes(image, row.factor), PRICING.at(precision))[headline]
            for image in activity.images
        ]
        assert sum(scaled) / 2 == pytest.approx(energies["teacher", row.model].energy_pj.mean)
        assert row.spikes_per_neuron == pytest.approx(row.factor * spikes)
        # more spikes than now if and only if the student is the cheaper one now
        ratio = next(r.ratio for r in report.ratios if r.model == row.model)
        assert ratio is not None and (row.factor > 1) == (ratio > 1)
        found += 1
    assert found >= 12


@pytest.mark.slow
def test_a_student_that_loses_even_in_silence_has_no_break_even(report: EnergyReport) -> None:
    by_model = {row.model: row for row in report.break_even}
    silent = by_model["memory-full-reuse/int8"]
    assert (silent.factor, silent.spikes_per_neuron) == (None, None)
    assert "even without a spike" in silent.note
    assert silent.timesteps is not None and 0 < silent.timesteps < report.timesteps
    assert by_model["paper/fp32"].note == ""


def test_break_even_timesteps_solve_the_equation(report: EnergyReport) -> None:
    cells = {(c.column, f"{c.model}/{c.precision}"): c.headline for c in report.cells}
    for row in report.break_even:
        student, rival = cells["student", row.model], cells[report.reference, row.model]
        once = sum(student.items_pj[item] for item in student.once)
        assert row.timesteps is not None
        per_step = (student.energy_pj.mean - once) / report.timesteps
        assert once + row.timesteps * per_step == pytest.approx(rival.energy_pj.mean)


def test_without_a_spike_there_is_nothing_to_scale(network: IntegerNetwork) -> None:
    black = count_network(network, [np.zeros((3, 16, 16), np.int16)])
    silent = replace(black, images=tuple(with_spikes(image, 0) for image in black.images))
    columns = loaded_columns(network, silent, None)
    model, prices = MODELS["exact-ops"], PRICING.at("fp32")
    row = PricedRow(model, prices, {n: price(c, model, prices, ["black"]) for n, c in columns.items()})
    assert break_even(row, "twin", 0.0, 4).note.startswith("no spike was fired")


# --- sensitivity


def repriced(key: str, factor: float) -> Pricing:
    constant = PRICING.constants[key]
    changed = replace(constant, value=constant.value * factor)
    return Pricing({**PRICING.constants, key: changed}, PRICING.precisions)


@pytest.mark.slow
@pytest.mark.parametrize(
    "key", ["add-fp32", "mul-int8", "dram", "loihi1-static", "sanafe-packet", "edge-mac", "yan-sparse-hop"]
)
def test_sensitivity_is_an_audit_at_other_prices(
    network: IntegerNetwork, images: list[NDArray[np.int16]], report: EnergyReport, key: str
) -> None:
    rows = {row.model: row for row in report.sensitivity if row.constant == key}
    users = {row.model for row in report.ratios if key in used(row.model)}
    assert rows.keys() == users and rows
    for factor, name in ((0.5, "low"), (1.5, "high")):
        audited = audit(network, images, claim=1.0, pricing=repriced(key, factor))
        for row in audited.ratios:
            if row.model in rows:
                assert getattr(rows[row.model], name) == pytest.approx(row.ratio)
            else:
                assert row.ratio == next(r.ratio for r in report.ratios if r.model == row.model)


def used(row: str) -> tuple[str, ...]:
    model, precision = row.split("/")
    return MODELS[model].constants_at(PRICING.precisions[precision])


@pytest.mark.slow
def test_a_verdict_flips_where_a_constant_carries_it_over_the_claim(
    network: IntegerNetwork, images: list[NDArray[np.int16]], report: EnergyReport
) -> None:
    row = next(r for r in report.sensitivity if (r.model, r.constant) == ("paper/fp32", "mul-fp32"))
    assert row.low < row.base < row.high, "dearer products favour spikes"
    between = audit(network, images, claim=(row.base + row.high) / 2)
    flipped = {(r.model, r.constant): r.flips for r in between.sensitivity}
    assert flipped["paper/fp32", "mul-fp32"]
    beyond = audit(network, images, claim=2 * row.high)
    assert not {(r.model, r.constant): r.flips for r in beyond.sensitivity}["paper/fp32", "mul-fp32"]
    assert all(r.flips == (len({v >= 1.0 for v in (r.low, r.base, r.high)}) > 1) for r in report.sensitivity)


def test_within_a_model_the_constants_that_matter_most_come_first(report: EnergyReport) -> None:
    for model in {row.model for row in report.sensitivity}:
        rows = [row for row in report.sensitivity if row.model == model]
        swings = [max(abs(np.log(r.low / r.base)), abs(np.log(r.high / r.base))) for r in rows]
        assert swings == sorted(swings, reverse=True)


class Recorded(dict[str, Constant]):
    """A table that remembers what was asked of it."""

    def __init__(self, table: dict[str, Constant]) -> None:
        super().__init__(table)
        self.asked: set[str] = set()

    def __getitem__(self, key: str) -> Constant:
        self.asked.add(key)
        return super().__getitem__(key)


@pytest.mark.parametrize(("model", "precision"), GRID, ids=NAMES)
def test_a_model_uses_the_constants_that_it_names(
    counted: dict[tuple[str, str], ImageActivity],
    network: IntegerNetwork,
    model: EnergyModel,
    precision: object,
) -> None:
    table = Recorded(dict(PRICING.constants))
    prices = Prices(precision, table)  # type: ignore[arg-type]
    columns = loaded_columns(network, count_network(network, [np.zeros((3, 16, 16), np.int16)]), None)
    sizes = (20_000, 200_000, 3_000_000)  # a memory of every tier, whatever the width
    large = AnnLoad.of(DenseLayer(f"{n} values", n, n, 0, n, n, 0, n) for n in sizes)
    for load in (*counted.values(), columns["twin"].loads[0], columns["qann"].loads[0], large):
        model.estimate(load, prices)
    assert table.asked == set(model.constants_at(prices.precision))


def test_constants_that_make_a_network_free_are_refused(
    network: IntegerNetwork, images: list[NDArray[np.int16]]
) -> None:
    free = {key: replace(c, value=0.0) for key, c in PRICING.constants.items() if key.endswith("fp32")}
    with pytest.raises(ConfigError, match="paper/fp32: twin would need no energy"):
        audit(network, images, pricing=Pricing({**PRICING.constants, **free}, PRICING.precisions))
