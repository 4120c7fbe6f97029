"""What a torch SNN computed, layer by layer, as exact integers."""

from dataclasses import asdict, dataclass
from typing import Any

from snn_tool.errors import ConfigError

SCHEMA = 1
NEURON, INTEGRATOR, PARAMETERS_ONLY = "spiking neuron", "integrator", "parameters"


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
class SpikeCount:
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

    def to_json(self) -> dict[str, Any]:
        """Plain data: schema, network, calls, totals, rows."""
        return {
            "schema": SCHEMA,
            "network": self.network,
            "calls": self.calls,
            "totals": {name: self.total(name) for name in TOTALS},
            "rows": [asdict(row) for row in self.rows],
        }
