"""`student.int.safetensors` and its sidecar: the integer network with its wiring spelled out."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from snn_tool.errors import ArtifactError
from snn_tool.models.checkpoints import read_tensors, write_tensors
from snn_tool.models.integer import IntegerNetwork, IntegerPopulation, IntegerSynapse
from snn_tool.models.topology import Population, Synapse

KIND, SCHEMA = "integer-network", 1
_SCALARS = ("neuron", "timesteps", "levels", "signed", "decay", "input_step")


def save_integer_network(path: Path, network: IntegerNetwork, provenance: Mapping[str, Any]) -> None:
    """Write mantissas and biases as tensors, all else as JSON; `provenance` says where it came from."""
    tensors = {}
    for synapse in network.synapses:
        tensors[f"{synapse.wiring.name}.mantissa"] = torch.from_numpy(synapse.mantissa)
        tensors[f"{synapse.wiring.name}.bias"] = torch.from_numpy(synapse.bias)
    description = {
        **{name: getattr(network, name) for name in _SCALARS},
        "synapses": [{**asdict(s.wiring), "exponent": s.exponent} for s in network.synapses],
        "populations": [
            {**asdict(p.wiring), "threshold": p.threshold, "lsb_exponent": p.lsb_exponent}
            for p in network.populations
        ],
        "provenance": dict(provenance),
    }
    write_tensors(path, KIND, SCHEMA, tensors, description)


def load_integer_network(path: Path) -> tuple[IntegerNetwork, dict[str, Any]]:
    """Read an integer network and its provenance.

    Raises:
        ArtifactError: not an integer network of this schema, or damaged.
    """
    tensors, description = read_tensors(path, KIND, SCHEMA)
    try:
        network = IntegerNetwork(
            synapses=tuple(_synapse(entry, tensors) for entry in description["synapses"]),
            populations=tuple(_population(entry) for entry in description["populations"]),
            **{name: description[name] for name in _SCALARS},
        )
    except (KeyError, TypeError) as error:
        raise ArtifactError(
            f"{path}: its sidecar is incomplete ({error}); quantise the student again"
        ) from error
    return network, description["provenance"]


def _synapse(entry: dict[str, Any], tensors: dict[str, torch.Tensor]) -> IntegerSynapse:
    wiring = Synapse(**{key: value for key, value in entry.items() if key != "exponent"})
    mantissa, bias = (tensors[f"{wiring.name}.{part}"].numpy() for part in ("mantissa", "bias"))
    return IntegerSynapse(wiring, mantissa, entry["exponent"], bias)


def _population(entry: dict[str, Any]) -> IntegerPopulation:
    wiring = Population(entry["name"], tuple(entry["inputs"]), entry["channels"], entry["downscale"])
    return IntegerPopulation(wiring, entry["threshold"], entry["lsb_exponent"])
