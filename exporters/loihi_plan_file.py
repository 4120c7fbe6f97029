"""A plan as JSON and numpy arrays: what crosses the border to the interpreter that has Lava."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.exporters.loihi_specs import (
    BIAS_EXPONENT,
    CURRENT_DECAY,
    ConvSpec,
    GradedSpec,
    NeuronSpec,
    Plan,
    SourceSpec,
)

SCHEMA = 1

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
        "kind": "loihi-plan",
        "schema": SCHEMA,
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
        "du": CURRENT_DECAY,
        "dv": neuron.dv,
        "vth": neuron.vth,
        "is_relay": neuron.is_relay,
        "is_readout": neuron.is_readout,
    }
