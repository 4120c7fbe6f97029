"""What a torch SNN computed, layer by layer, as exact integers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from snn_tool.energy.estimators.prices import Pricing, packaged_pricing
from snn_tool.errors import ConfigError
from snn_tool.results import Result, dataframe

SCHEMA = 1
NEURON, INTEGRATOR, PARAMETERS_ONLY = "spiking neuron", "integrator", "parameters"
_TRAFFIC = "needs each layer's geometry and memory traffic, which a count of operations does not hold"
_CHIP = "needs idle neurons, packets and a placement on cores, which a count of operations does not hold"
LEFT_OUT: Mapping[str, str] = {
    "paper": "needs the population that a layer reads, for its rate; the exact synops are counted instead",
    "memory-no-reuse": _TRAFFIC,
    "memory-full-reuse": _TRAFFIC,
    "loihi1-davies": _CHIP,
    "loihi1-sanafe": _CHIP,
    "loihi2": _CHIP,
    "data-movement": "needs the fan-in of each neuron and a quantised rival, which a NIR file does not have",
}
"""Models of `estimators.registry` that counts alone cannot feed without assumptions, and why."""


@dataclass(frozen=True, slots=True)
class SpikeRow:
    """What one module computed of one kind in all its calls, for the whole batch; submodules have own rows.

    Attributes:
        name: the module's path; the class name for the network itself.
        kind: `convolution`, `transposed convolution`, `matrix product`, `interpolation`, `elementwise`,
            `spiking neuron`, `integrator`, or `parameters` for one whose parameters others use.
        source: what its products read, `spikes`, `real`, or `both` if calls differ; empty without products.
        calls: how often an operation of this row, or this neuron, ran.
        synops_levels: accumulates on spikes if a spike of level n is n unit spikes.
        synops_events: deliveries of nonzero spikes, whatever their level; equal for unit spikes.
        padded_macs: multiply-accumulates on real values, zeros of the padding included.
        exact_macs: the same without the padding ("edge-exact").
        dense_padded_macs, dense_exact_macs: what the row's products cost a network without spikes.
        elementwise_ops: scalar operations outside of products and neurons, bias additions included.
        neuron_updates: neurons times timesteps.
        spikes: nonzero values that a neuron emitted.
        spike_levels: their magnitudes in unit spikes.
        parameters: the module's own, on its first row; shared ones count once.
        weight_bytes: of these parameters.
        state_bytes: what a neuron keeps between timesteps, for the batch.
    """

    name: str
    kind: str
    source: str = ""
    calls: int = 0
    synops_levels: int = 0
    synops_events: int = 0
    padded_macs: int = 0
    exact_macs: int = 0
    dense_padded_macs: int = 0
    dense_exact_macs: int = 0
    elementwise_ops: int = 0
    neuron_updates: int = 0
    spikes: int = 0
    spike_levels: int = 0
    parameters: int = 0
    weight_bytes: int = 0
    state_bytes: int = 0


TOTALS = tuple(
    name for name in SpikeRow.__dataclass_fields__ if name not in ("name", "kind", "source", "calls")
)


@dataclass(frozen=True, slots=True)
class SpikeCount(Result):
    """Rows in the order in which modules first computed.

    Attributes:
        network: class of the module.
        calls: how often the network itself ran: T in single-step use, 1 in multi-step use.
        rows: of all modules that computed or hold parameters.
    """

    network: str
    calls: int
    rows: tuple[SpikeRow, ...]

    def total(self, quantity: str) -> int:
        """Sum of a quantity over the rows, one of `TOTALS`, e.g. `synops_events`.

        Raises:
            ConfigError: no such quantity.
        """
        if quantity not in TOTALS:
            raise ConfigError(f"'{quantity}' is not counted; use one of {', '.join(TOTALS)}")
        return sum(getattr(row, quantity) for row in self.rows)

    @property
    def synops(self) -> int:
        """Accumulates on spikes, every level a unit spike."""
        return self.total("synops_levels")

    @property
    def macs(self) -> int:
        """Edge-exact multiply-accumulates on real values."""
        return self.total("exact_macs")

    def of(self, name: str, kind: str | None = None) -> SpikeRow:
        """The first row of a module.

        Raises:
            ConfigError: no such row; the names are listed.
        """
        for row in self.rows:
            if row.name == name and kind in (None, row.kind):
                return row
        raise ConfigError(f"no row '{name}'; there are {', '.join(dict.fromkeys(r.name for r in self.rows))}")

    def to_dataframe(self) -> Any:
        """A pandas table with a line for each row of `rows`.

        Raises:
            BackendUnavailableError: pandas is not installed.
        """
        return dataframe(asdict(row) for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """JSON values: schema, network, calls, totals, rows."""
        return {
            "schema": SCHEMA,
            "network": self.network,
            "calls": self.calls,
            "totals": {name: self.total(name) for name in TOTALS},
            "rows": [asdict(row) for row in self.rows],
        }


@dataclass(frozen=True, slots=True)
class NeuronWork:
    """Arithmetic of one update of a neuron, beyond adding its synops.

    Attributes:
        multiplies: by a decay.
        adds: of a current, or of a rest potential that is not 0.
    """

    multiplies: int
    adds: int


def exact_ops_pj(
    count: SpikeCount, work: Mapping[str, NeuronWork], precision: str, pricing: Pricing | None = None
) -> dict[str, float]:
    """Picojoules by item, as `estimators.exact_ops.estimate` charges a deployed student with unit spikes.

        E = e_MAC MAC + e_AC (synops + elementwise + adds + compares + resets) + e_leak multiplies

    One compare per update of a spiking neuron, one reset per spike. Levels, which pools make of spikes, are
    charged as that many accumulates. Memory, network traffic, static power and control are not in it.

    Args:
        count: of `count_spikes`, for its whole batch and all its calls.
        work: for every row with neurons, by its name.
        precision: name of a number format, e.g. `int8`.
        pricing: constants and precisions; the packaged ones by default.

    Raises:
        ConfigError: unknown precision, or a neuron without an entry in `work`.
    """
    pricing = pricing or packaged_pricing()
    prices = pricing.at(precision)
    spiking = [row for row in count.rows if row.kind == NEURON]
    neurons = [row for row in count.rows if row.kind in (NEURON, INTEGRATOR)]
    for row in neurons:
        if row.name not in work:
            raise ConfigError(f"{row.name}: say what an update of this neuron computes, in `work`")
    adds = sum(work[row.name].adds * row.neuron_updates for row in neurons)
    leaks = sum(work[row.name].multiplies * row.neuron_updates for row in neurons)
    return {
        "MACs": prices.mac_pj * count.macs,
        "synops": prices.ac_pj * count.synops,
        "elementwise": prices.ac_pj * count.total("elementwise_ops"),
        "neuron adds": prices.ac_pj * adds,
        "leak multiplies": prices.leak_pj * leaks,
        "threshold compares": prices.ac_pj * sum(row.neuron_updates for row in spiking),
        "resets": prices.ac_pj * sum(row.spikes for row in spiking),
    }
