"""A plan as JSON and numpy arrays: what crosses the border to the interpreter that has Lava."""

import io
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from snn_tool.exporters.contract.folder import REMEDY, GridValue, Volume
from snn_tool.exporters.loihi.specs import (
    BIAS_EXPONENT,
    ConvSpec,
    GradedSpec,
    NeuronSpec,
    Plan,
    SourceSpec,
)
from snn_tool.files.artifacts import shown
from snn_tool.files.documents import Document, Name, Positive, read_document
from snn_tool.models.topology import Channels, Padding, Steps, Stride, Upsample

PLAN_KIND, PLAN_SCHEMA = "loihi-plan", 1

Bits = Annotated[int, Meta(ge=0, le=24)]
Depth = Annotated[int, Meta(ge=0, le=1 << 16)]
Decay = Annotated[int, Meta(ge=0, le=4095)]
Register = Annotated[int, Meta(ge=0, le=1 << 23)]


class SourceEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of `sources`."""

    name: Name
    offset: Depth
    shape: Volume
    message_bits: Bits


class ConvEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of `convs`."""

    name: Name
    synapse: Name
    source: Name
    target: Name
    weight: Name
    mantissa_exponent: Annotated[int, Meta(ge=0, le=31)]
    input_shape: Volume
    output_shape: Volume
    stride: Stride
    padding: Padding
    dilation: Stride
    groups: Channels
    upsample: Upsample
    message_bits: Bits
    is_late: bool = False


class LifEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="lif"):
    """One of `neurons`: Lava's stock LIF."""

    name: Name
    shape: Volume
    depth: Depth
    first_step: Depth
    bias_mant: Name
    bias_exp: Bits
    du: Decay
    dv: Decay
    vth: Register
    is_relay: bool
    is_readout: bool


class GradedEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="graded"):
    """One of `neurons`: memoryless, with graded spikes."""

    name: Name
    shape: Volume
    depth: Depth
    first_step: Depth
    bias: Name
    threshold: Register
    levels: Register
    signed: bool
    is_relay: bool
    is_readout: bool


class PlanDocument(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The schema of plan.json. Whether it is the right plan is seen by deriving it from the network again."""

    timesteps: Steps
    depth: Depth
    steps: Depth
    input_low: GridValue
    input_high: GridValue
    input_step: Annotated[int, Meta(ge=1, le=16)]
    residual_scale: Positive
    readout: Name
    sources: Annotated[tuple[SourceEntry, ...], Meta(min_length=1)]
    convs: Annotated[tuple[ConvEntry, ...], Meta(min_length=1)]
    neurons: Annotated[tuple[LifEntry | GradedEntry, ...], Meta(min_length=1)]
    over_time: bool = False

    def __post_init__(self) -> None:
        """What a run relies on."""
        if self.readout not in {neuron.name for neuron in self.neurons}:
            raise ValueError(f"readout {shown(self.readout)} is the name of none of the neurons")
        if self.steps != self.timesteps + self.depth or self.input_low >= self.input_high:
            raise ValueError("steps must be timesteps + depth, and input_low below input_high")


def read_plan(path: Path) -> PlanDocument:
    """Read plan.json.

    Raises:
        ArtifactError: missing, of another schema, or a key is missing, unknown or not allowed.
    """
    return read_document(path, PLAN_KIND, PLAN_SCHEMA, PlanDocument, REMEDY)


Arrays = dict[str, NDArray[np.int32]]


def plan_arrays_and_json(plan: Plan) -> tuple[dict[str, Any], Arrays]:
    """Split a plan into a JSON document and arrays.

    Every field of the specs keeps its name. In place of an array stands its key in the second return value:
    `weight.<synapse>` (shared by the synapse's readers) and `bias.<neuron>`. Neurons carry `type`, `lif` or
    `graded`, and `first_step`; LIF neurons also carry `du` and `bias_exp`.
    """
    arrays = {f"weight.{conv.synapse}": conv.weight for conv in plan.convs}
    arrays |= {f"bias.{neuron.name}": _bias(neuron) for neuron in plan.neurons}
    document = {
        "kind": PLAN_KIND,
        "schema": PLAN_SCHEMA,
        "timesteps": plan.timesteps,
        "depth": plan.depth,
        "steps": plan.steps,
        "input_low": plan.input_low,
        "input_high": plan.input_high,
        "input_step": plan.input_step,
        "residual_scale": plan.residual_scale,
        "readout": plan.readout.name,
        "sources": [_source(source) for source in plan.sources],
        "convs": [_conv(conv) for conv in plan.convs],
        "neurons": [_neuron(neuron) for neuron in plan.neurons],
        **({"over_time": True} if plan.over_time else {}),
    }
    return document, arrays


def npz_bytes(arrays: Arrays) -> bytes:
    """An uncompressed .npz of the arrays in the order of their names; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{name: arrays[name] for name in sorted(arrays)})
    return buffer.getvalue()


def _bias(neuron: NeuronSpec) -> NDArray[np.int32]:
    return neuron.bias if isinstance(neuron, GradedSpec) else neuron.bias_mant


def _source(source: SourceSpec) -> dict[str, Any]:
    return {
        "name": source.name,
        "offset": source.offset,
        "shape": list(source.shape),
        "message_bits": source.message_bits,
    }


def _conv(conv: ConvSpec) -> dict[str, Any]:
    return {
        "name": conv.name,
        "synapse": conv.synapse,
        "source": conv.source,
        "target": conv.target,
        "weight": f"weight.{conv.synapse}",
        "mantissa_exponent": conv.mantissa_exponent,
        "input_shape": list(conv.input_shape),
        "output_shape": list(conv.output_shape),
        "stride": conv.stride,
        "padding": conv.padding,
        "dilation": conv.dilation,
        "groups": conv.groups,
        "upsample": conv.upsample,
        "message_bits": conv.message_bits,
        **({"is_late": True} if conv.is_late else {}),
    }


def _neuron(neuron: NeuronSpec) -> dict[str, Any]:
    head = {
        "name": neuron.name,
        "shape": list(neuron.shape),
        "depth": neuron.depth,
        "first_step": neuron.first_step,
    }
    key = f"bias.{neuron.name}"
    if isinstance(neuron, GradedSpec):
        return {
            **head,
            "type": "graded",
            "bias": key,
            "threshold": neuron.threshold,
            "levels": neuron.levels,
            "signed": neuron.signed,
            "is_relay": neuron.is_relay,
            "is_readout": False,
        }
    return {
        **head,
        "type": "lif",
        "bias_mant": key,
        "bias_exp": BIAS_EXPONENT,
        "du": neuron.du,
        "dv": neuron.dv,
        "vth": neuron.vth,
        "is_relay": neuron.is_relay,
        "is_readout": neuron.is_readout,
    }
