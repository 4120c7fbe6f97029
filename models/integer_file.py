"""`student.int.safetensors` and its sidecar: the integer network with its wiring spelled out."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from snn_tool.errors import ArtifactError
from snn_tool.models.checkpoints import read_tensors, write_tensors
from snn_tool.models.integer import IntegerNetwork, IntegerPopulation, IntegerSynapse
from snn_tool.models.topology import Population, Synapse

INTEGER_SUFFIX = ".int.safetensors"
KIND, SCHEMA, SCHEMA_ELSEWHERE = "integer-network", 1, 2
"""Students are written in schema 1; what schema 1 would lose of a network trained elsewhere makes it 2."""

_SCALARS = ("neuron", "timesteps", "levels", "signed", "decay", "input_step")
_ELSEWHERE = ("input_offset", "adds_image", "image_size")


def save_integer_network(path: Path, network: IntegerNetwork, provenance: Mapping[str, Any]) -> None:
    """Write mantissas and biases as tensors, all else as JSON; `provenance` says where it came from."""
    tensors = {}
    for synapse in network.synapses:
        tensors[f"{synapse.wiring.name}.mantissa"] = torch.from_numpy(synapse.mantissa)
        tensors[f"{synapse.wiring.name}.bias"] = torch.from_numpy(synapse.bias)
    elsewhere = _is_from_elsewhere(network)
    description = {
        **{name: getattr(network, name) for name in _SCALARS + (_ELSEWHERE if elsewhere else ())},
        "synapses": [_synapse_entry(synapse, elsewhere) for synapse in network.synapses],
        "populations": [_population_entry(p, network, elsewhere) for p in network.populations],
        "provenance": dict(provenance),
    }
    write_tensors(path, KIND, SCHEMA_ELSEWHERE if elsewhere else SCHEMA, tensors, description)


def _synapse_entry(synapse: IntegerSynapse, elsewhere: bool) -> dict[str, Any]:
    wiring = asdict(synapse.wiring)
    padding = wiring.pop("given_padding")
    return {**wiring, "exponent": synapse.exponent, **({"given_padding": padding} if elsewhere else {})}


def _population_entry(
    population: IntegerPopulation, network: IntegerNetwork, elsewhere: bool
) -> dict[str, Any]:
    return {
        **asdict(population.wiring),
        "threshold": population.threshold,
        "lsb_exponent": population.lsb_exponent,
        **({"decay": network.decay_of(population)} if elsewhere else {}),
    }


def _is_from_elsewhere(network: IntegerNetwork) -> bool:
    """Whether it has what no student has, and what schema 1 cannot say."""
    defaults = {field.name: field.default for field in fields(network)}
    return (
        any(getattr(network, name) != defaults[name] for name in _ELSEWHERE)
        or any(population.decay is not None for population in network.populations)
        or any(synapse.wiring.given_padding is not None for synapse in network.synapses)
    )


def load_integer_network(path: Path) -> tuple[IntegerNetwork, dict[str, Any]]:
    """Read an integer network and its provenance.

    Raises:
        ArtifactError: not an integer network of this schema, or damaged.
    """
    tensors, description = read_tensors(path, KIND, (SCHEMA, SCHEMA_ELSEWHERE))
    try:
        network = IntegerNetwork(
            synapses=tuple(_synapse(entry, tensors) for entry in description["synapses"]),
            populations=tuple(_population(entry) for entry in description["populations"]),
            **{name: description[name] for name in _SCALARS},
            **_from_elsewhere(description),
        )
    except (KeyError, TypeError) as error:
        raise ArtifactError(
            f"{path}: its sidecar is incomplete ({error}); quantise the student again"
        ) from error
    return network, description["provenance"]


def _from_elsewhere(description: Mapping[str, Any]) -> dict[str, Any]:
    """What schema 2 says besides; JSON has lists for tuples."""
    if description["schema"] == SCHEMA:
        return {}
    size = description["image_size"]
    return {name: description[name] for name in _ELSEWHERE} | {"image_size": tuple(size) if size else None}


def _synapse(entry: dict[str, Any], tensors: dict[str, torch.Tensor]) -> IntegerSynapse:
    wiring = Synapse(**{key: value for key, value in entry.items() if key != "exponent"})
    mantissa, bias = (tensors[f"{wiring.name}.{part}"].numpy() for part in ("mantissa", "bias"))
    return IntegerSynapse(wiring, mantissa, entry["exponent"], bias)


def _population(entry: dict[str, Any]) -> IntegerPopulation:
    wiring = Population(entry["name"], tuple(entry["inputs"]), entry["channels"], entry["downscale"])
    return IntegerPopulation(wiring, entry["threshold"], entry["lsb_exponent"], entry.get("decay"))
