"""A network on SANA-FE's Loihi: built once, run tile by tile.

Written against SANA-FE 2.2.9. `sim` advances all neurons of the chip by a step; biases are set between steps,
so that every population starts and ends with its own window. Integers stay Python integers on their way in,
because SANA-FE takes floating-point attributes in single precision; k / 4096 is exact in that as well.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import sanafe
from numpy.typing import NDArray

Document = Mapping[str, Any]
COUNTS = {
    "synaptic_events": "spikes",
    "packets": "packets_sent",
    "neuron_updates": "neurons_updated",
    "neurons_fired": "neurons_fired",
}
"""Our names for SANA-FE's; its `spikes` are connections that a spike was processed at."""

SYNAPSE, DENDRITE, SOMA = "loihi_conv_synapse", "loihi_dendrites", "loihi_lif"
CONSTANTS = {
    SYNAPSE: ("energy_process_spike",),
    DENDRITE: ("energy_update",),
    SOMA: ("energy_access_neuron", "energy_update_neuron", "energy_spike_out"),
}
LEAK_ONE = 4096


class LoihiChip:
    """One loaded chip.

    Args:
        network: the document of network.json.
        arrays: `sources.<i>`, `targets.<i>`, `weights.<i>` of connection set i, int64 [E], and
            `drive.<group>`, int64 [tiles, neurons].
    """

    def __init__(self, network: Document, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._network, self._arrays = network, arrays
        self._architecture = sanafe.load_loihi()
        net = sanafe.Network()
        groups = {spec["name"]: self._group(net, spec) for spec in network["groups"]}
        self.neurons = sum(spec["neurons"] for spec in network["groups"])
        self.connections = sum(
            self._connect(index, groups[spec["source"]], groups[spec["target"]])
            for index, spec in enumerate(network["connections"])
        )
        self._chip = sanafe.SpikingChip(self._architecture)
        self._chip.load(net)
        self._mapped = self._chip.mapped_neuron_groups

    def _group(self, net: Any, spec: Document) -> Any:
        group = net.create_neuron_group(
            spec["name"],
            spec["neurons"],
            model_attributes={"threshold": spec["threshold"], "leak_decay": spec["leak"] / LEAK_ONE},
            default_synapse_hw_name=SYNAPSE,
            default_dendrite_hw_name=DENDRITE,
            soma_hw_name=SOMA,
            log_potential=spec["record"],
            log_spikes=spec["record"],
        )
        cores, size = self._architecture.cores(), self._network["neurons_per_core"]
        for number in range(spec["neurons"]):
            group[number].map_to_core(cores[spec["first_core"] + number // size])
        return group

    def _connect(self, index: int, source: Any, target: Any) -> int:
        sources, targets, weights = (
            self._arrays[f"{part}.{index}"].tolist() for part in ("sources", "targets", "weights")
        )
        source.connect_neurons_sparse(target, {"w": weights}, list(zip(sources, targets, strict=True)))
        return len(weights)

    def constants(self) -> dict[str, float]:
        """Energies in joules of the units in use, as the architecture file states them."""
        core = self._architecture.cores()[0]
        units = {unit.name: unit.model_info.model_attributes for unit in core.pipeline_hw}
        stated = {name: float(units[unit][name]) for unit, names in CONSTANTS.items() for name in names}
        return {**stated, "energy_message_out": float(core.axon_out[0].metrics.energy_message_out)}

    def run_tile(self, tile: int) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Run one tile from rest.

        Returns:
            Of the recorded groups in their own windows `spikes.<group>` bool and `membranes.<group>` float64
            in LSB, both [T, neurons]; and counts, joules and the chip's seconds, summed over all steps.
        """
        timesteps = self._network["timesteps"]
        record = self._empty(timesteps)
        totals: dict[str, Any] = {**dict.fromkeys(COUNTS, 0), "hops": 0, "time_s": 0.0, "energy_j": {}}
        self._chip.reset()
        for step in range(1, self._network["steps"] + 1):
            self._open_and_close(step, tile)
            result = self._chip.sim(
                1, processing_threads=1, spike_trace=True, potential_trace=True, perf_trace=True
            )
            _add(totals, result)
            self._record(record, step, result)
        return record, totals

    def _empty(self, timesteps: int) -> dict[str, NDArray[Any]]:
        record: dict[str, NDArray[Any]] = {}
        for spec in self._network["groups"]:
            if spec["record"]:
                record[f"spikes.{spec['name']}"] = np.zeros((timesteps, spec["neurons"]), dtype=bool)
                record[f"membranes.{spec['name']}"] = np.zeros((timesteps, spec["neurons"]))
        return record

    def _open_and_close(self, step: int, tile: int) -> None:
        """Set the biases of groups whose window begins with this step, and clear those whose has ended.

        The first step clears all others: the run of the tile before may have ended inside a window.
        """
        for spec in self._network["groups"]:
            drive = self._arrays[f"drive.{spec['name']}"][tile]
            if step == spec["depth"]:
                self._set_biases(spec["name"], drive.tolist())
            elif step in (1, spec["depth"] + self._network["timesteps"]):
                self._set_biases(spec["name"], [0] * len(drive))

    def _set_biases(self, group: str, values: list[int]) -> None:
        for neuron, bias in zip(self._mapped[group], values, strict=True):
            neuron.set_attributes(model_attributes={"bias": bias})

    def _record(self, record: Mapping[str, NDArray[Any]], step: int, result: Document) -> None:
        """Sort one step's spikes and potentials into the groups' windows."""
        fired: dict[str, list[int]] = {}
        for address in result["spike_trace"][0]:
            fired.setdefault(address.group_name, []).append(address.neuron_offset)
        potentials = np.asarray(result["potential_trace"][0])
        start = 0
        # Potentials come in the order of a C++ map: by name.
        for spec in sorted((s for s in self._network["groups"] if s["record"]), key=lambda s: s["name"]):
            t = step - spec["depth"]
            if 0 <= t < self._network["timesteps"]:
                record[f"membranes.{spec['name']}"][t] = potentials[start : start + spec["neurons"]]
                record[f"spikes.{spec['name']}"][t, fired.get(spec["name"], [])] = True
            start += spec["neurons"]
        if start != len(potentials):
            raise ValueError(f"{len(potentials)} potentials of {start} recorded neurons")


def _add(totals: dict[str, Any], result: Document) -> None:
    for name, theirs in COUNTS.items():
        totals[name] += result[theirs]
    totals["hops"] += result["perf_trace"]["hops"][0]
    totals["time_s"] += result["sim_time"]
    for part, joules in result["energy"].items():
        totals["energy_j"][part] = totals["energy_j"].get(part, 0.0) + joules
