"""`student.int.safetensors` and its sidecar: the integer network with its wiring spelled out."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any

import msgspec
import torch
from msgspec import Meta
from snn_tool.errors import ArtifactError, ConfigError, QuantizationError
from snn_tool.files.artifacts import shown
from snn_tool.files.documents import Finite, Name, Positive, Sha256
from snn_tool.models.accounts import Degraded, Training
from snn_tool.models.checkpoints import (
    REMEDY,
    Sidecar,
    read_tensors,
    sidecar_of,
    write_tensors,
)
from snn_tool.models.integer.network import (
    INSTANT,
    CurrentDecay,
    Decay,
    Exponent,
    InputGrid,
    InputOffset,
    InputStep,
    IntegerNetwork,
    IntegerPopulation,
    IntegerSynapse,
    Levels,
    LsbExponent,
    Neuron,
    Threshold,
)
from snn_tool.models.topology import (
    MOST_PARTS,
    Channels,
    Delay,
    Downscale,
    Inputs,
    Kernel,
    Padding,
    Passes,
    Population,
    Side,
    Steps,
    Stride,
    Synapse,
    Upsample,
)

INTEGER_SUFFIX = ".int.safetensors"
INTEGER_KIND, SCHEMA, SCHEMA_ELSEWHERE, SCHEMA_TIME = "integer-network", 1, 2, 3
"""Students are written in schema 1; what it would lose of a network trained elsewhere makes it 2, and 3 what
schema 2 would: inputs that are no images or change with time, lasting currents, recurrent connections."""

_SCALARS = ("neuron", "timesteps", "levels", "signed", "decay", "input_step")
_ELSEWHERE = ("input_offset", "adds_image", "image_size")


class SynapseEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of `synapses`: a `Synapse`, and the exponent of its mantissas."""

    name: Name
    source: Name
    in_channels: Channels
    out_channels: Channels
    kernel: Kernel
    stride: Stride
    dilation: Stride
    upsample: Upsample
    zero_mean: bool
    bias: bool
    gain: Finite
    exponent: Exponent


class ElsewhereSynapse(SynapseEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same in schema 2."""

    given_padding: Padding | None


class TimeSynapse(ElsewhereSynapse, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same in schema 3."""

    delay: Delay


class PopulationEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of `populations`: a `Population`, and its integers."""

    name: Name
    inputs: Inputs
    channels: Channels
    downscale: Downscale
    threshold: Threshold
    lsb_exponent: LsbExponent


class ElsewherePopulation(PopulationEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same in schema 2."""

    decay: Decay | None


class TimePopulation(ElsewherePopulation, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same in schema 3."""

    current_decay: CurrentDecay


class Provenance(msgspec.Struct, frozen=True):
    """What is read of where a network came from; it may say more."""

    noise: Degraded = Degraded()
    training: Training = Training()
    student_sha256: Sha256 | None = None
    dt_s: Positive | None = None


class StudentSidecar(Sidecar, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Schema 1; `passes` stands where it is more than one."""

    neuron: Neuron
    timesteps: Steps
    levels: Levels
    signed: bool
    decay: Decay
    input_step: InputStep
    synapses: Annotated[tuple[SynapseEntry, ...], Meta(min_length=1, max_length=MOST_PARTS)]
    populations: Annotated[tuple[PopulationEntry, ...], Meta(min_length=1, max_length=MOST_PARTS)]
    provenance: Provenance
    passes: Passes = 1


class ElsewhereSidecar(StudentSidecar, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Schema 2, which says besides what students do not have."""

    input_offset: InputOffset
    adds_image: bool
    image_size: tuple[Side, Side] | None
    synapses: Annotated[tuple[ElsewhereSynapse, ...], Meta(min_length=1, max_length=MOST_PARTS)]
    populations: Annotated[tuple[ElsewherePopulation, ...], Meta(min_length=1, max_length=MOST_PARTS)]


class TimeSidecar(ElsewhereSidecar, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Schema 3, which says besides what its input is."""

    grid: InputGrid | None
    synapses: Annotated[tuple[TimeSynapse, ...], Meta(min_length=1, max_length=MOST_PARTS)]
    populations: Annotated[tuple[TimePopulation, ...], Meta(min_length=1, max_length=MOST_PARTS)]


SCHEMAS: dict[int, type[StudentSidecar]] = {
    SCHEMA: StudentSidecar,
    SCHEMA_ELSEWHERE: ElsewhereSidecar,
    SCHEMA_TIME: TimeSidecar,
}


def save_integer_network(path: Path, network: IntegerNetwork, provenance: Mapping[str, Any]) -> None:
    """Write mantissas and biases as tensors, all else as JSON; `provenance` says where it came from."""
    tensors = {}
    for synapse in network.synapses:
        tensors[f"{synapse.wiring.name}.mantissa"] = torch.from_numpy(synapse.mantissa)
        tensors[f"{synapse.wiring.name}.bias"] = torch.from_numpy(synapse.bias)
    schema = _schema_of(network)
    description = {
        **{name: getattr(network, name) for name in _SCALARS + (_ELSEWHERE if schema > SCHEMA else ())},
        **({"grid": network.grid and asdict(network.grid)} if schema == SCHEMA_TIME else {}),
        **({"passes": network.passes} if network.passes > 1 else {}),
        "synapses": [_synapse_entry(synapse, schema) for synapse in network.synapses],
        "populations": [_population_entry(p, network, schema) for p in network.populations],
    }
    write_tensors(path, INTEGER_KIND, schema, tensors, description, {"provenance": dict(provenance)})


def _synapse_entry(synapse: IntegerSynapse, schema: int) -> dict[str, Any]:
    wiring = asdict(synapse.wiring)
    later = {"given_padding": SCHEMA_ELSEWHERE, "delay": SCHEMA_TIME}
    known = {key: value for key, value in wiring.items() if schema >= later.get(key, SCHEMA)}
    return {**known, "exponent": synapse.exponent}


def _population_entry(population: IntegerPopulation, network: IntegerNetwork, schema: int) -> dict[str, Any]:
    return {
        **asdict(population.wiring),
        "threshold": population.threshold,
        "lsb_exponent": population.lsb_exponent,
        **({"decay": network.decay_of(population)} if schema >= SCHEMA_ELSEWHERE else {}),
        **({"current_decay": population.current_decay} if schema >= SCHEMA_TIME else {}),
    }


def _schema_of(network: IntegerNetwork) -> int:
    """The first schema that can say all of it."""
    defaults = {field.name: field.default for field in fields(network)}
    if (
        network.grid
        or any(population.current_decay != INSTANT for population in network.populations)
        or any(synapse.wiring.delay for synapse in network.synapses)
    ):
        return SCHEMA_TIME
    elsewhere = (
        any(getattr(network, name) != defaults[name] for name in _ELSEWHERE)
        or any(population.decay is not None for population in network.populations)
        or any(synapse.wiring.given_padding is not None for synapse in network.synapses)
    )
    return SCHEMA_ELSEWHERE if elsewhere else SCHEMA


def load_integer_network(path: Path) -> tuple[IntegerNetwork, dict[str, Any]]:
    """Read an integer network and its provenance.

    Raises:
        ArtifactError: not an integer network of this schema, or damaged; a number lies outside its range, or
            parts do not fit each other.
    """
    pair = read_tensors(path, INTEGER_KIND, SCHEMAS, "provenance")
    sidecar = pair.sidecar
    expected = {f"{entry.name}.{part}" for entry in sidecar.synapses for part in ("mantissa", "bias")}
    if odd := sorted(expected ^ pair.tensors.keys()):
        raise ArtifactError(
            f"{path}: tensor {shown(odd[0])} stands either here or in {sidecar_of(path).name}, not in both; "
            f"{REMEDY}"
        )
    try:
        network = IntegerNetwork(
            synapses=tuple(_synapse(entry, pair.tensors) for entry in sidecar.synapses),
            populations=tuple(_population(entry) for entry in sidecar.populations),
            **{name: getattr(sidecar, name) for name in _SCALARS},
            **({name: getattr(sidecar, name) for name in _ELSEWHERE} if sidecar.schema != SCHEMA else {}),
            grid=getattr(sidecar, "grid", None),
            passes=sidecar.passes,
        )
    except (ConfigError, QuantizationError) as error:
        raise ArtifactError(f"{sidecar_of(path)}: {error}; {REMEDY}") from error
    return network, pair.document["provenance"]


def _synapse(entry: SynapseEntry, tensors: Mapping[str, torch.Tensor]) -> IntegerSynapse:
    values = msgspec.structs.asdict(entry)
    exponent = values.pop("exponent")
    mantissa, bias = (tensors[f"{entry.name}.{part}"] for part in ("mantissa", "bias"))
    if (mantissa.dtype, bias.dtype) != (torch.int8, torch.int32):
        raise QuantizationError(
            f"synapse {entry.name}: its tensors are {mantissa.dtype} and {bias.dtype}; mantissas are int8, "
            "biases int32"
        )
    return IntegerSynapse(Synapse(**values), mantissa.numpy(), exponent, bias.numpy())


def _population(entry: PopulationEntry) -> IntegerPopulation:
    wiring = Population(entry.name, entry.inputs, entry.channels, entry.downscale)
    decay, current = getattr(entry, "decay", None), getattr(entry, "current_decay", INSTANT)
    return IntegerPopulation(wiring, entry.threshold, entry.lsb_exponent, decay, current)
