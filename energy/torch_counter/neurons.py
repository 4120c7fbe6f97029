"""Which modules are neurons, by the class that a library gave them; no simulator is imported for it.

A module is judged by the first class of a known library among its bases, so that a user's subclass of a
library's neuron counts as that neuron. A neuron of these libraries that is not listed is refused, because
whether it emits spikes cannot be guessed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from snn_tool.energy.torch_counter.kinds import Spikes
from snn_tool.errors import UnsupportedLayerError
from torch import Tensor, nn

LIBRARIES = ("norse", "snntorch", "spikingjelly", "sinabs", "snn_tool")

_UNIT = {
    "norse": """CobaLIFCell IAFCell IAF IzhikevichCell Izhikevich IzhikevichRecurrent IzhikevichRecurrentCell
        LIF LIFAdEx LIFAdExCell LIFAdExRecurrent LIFAdExRecurrentCell LIFAdExRefracCell LIFAdExRefracRecurrent
        LIFAdExRefracRecurrentCell LIFBoxCell LIFCell LIFEx LIFExCell LIFExRecurrent
        LIFExRecurrentCell LIFMCRecurrentCell LIFMCRefracRecurrentCell LIFRecurrent LIFRecurrentCell
        LIFRefracCell LIFRefracRecurrent LIFRefracRecurrentCell LSNN LSNNCell LSNNRecurrent LSNNRecurrentCell
        ConstantCurrentLIFEncoder PoissonEncoder PoissonEncoderStep SpikeLatencyEncoder
        SpikeLatencyLIFEncoder""",
    "snntorch": "Alpha Lapicque Leaky RLeaky RSynaptic SConv2dLSTM SLSTM Synaptic",
    "spikingjelly": """ComplementaryLIFNode CUBALIFNode EIFNode GatedLIFNode IFNode IzhikevichNode KLIFNode
        LIFNode MaskedPSN MPBNLIFNode ParametricLIFNode PSN QIFNode RAFNode SimpleIFNode SimpleLIFNode
        SlidingPSN LatencyEncoder PoissonEncoder""",
    "sinabs": """ALIF ALIFRecurrent ALIFSqueeze IAF IAFRecurrent IAFSqueeze LIF LIFRecurrent LIFSqueeze
        SpikingMaxPooling2dLayer""",
    "snn_tool": "LifNeuron GradedNeuron",
}
_SIGNED = {
    "norse": "SignedPoissonEncoder SignedPoissonEncoderStep",
    "spikingjelly": "TernaryIFNode TernaryLIFNode",
}
_INTEGRATORS = {
    "norse": "LI LIBoxCell LICell LILinearCell",
    "spikingjelly": "NonSpikingIFNode NonSpikingLIFNode",
    "sinabs": "ExpLeak ExpLeakSqueeze",
}
_LAYERS = {"snntorch": "RecurrentOneToOne"}
"""Modules in the packages of neurons that are none: recurrent weights, one for each neuron."""

_NEURON_BASES = ("SNN", "SNNCell", "SNNRecurrent", "SNNRecurrentCell", "StatefulLayer")
_NEURON_PACKAGES = (
    "snntorch._neurons",
    "spikingjelly.activation_based.neuron",
    "sinabs.layers.neuromorphic_relu",
    "sinabs.layers.to_spike",
)


@dataclass(frozen=True, slots=True)
class NeuronRole:
    """What a neuron module emits.

    Attributes:
        spiking: False for an integrator, whose output is its membrane.
        spikes: what its output carries; meaningless for an integrator.
    """

    spiking: bool
    spikes: Spikes = Spikes()


def role_of(
    module: nn.Module, spiking: Mapping[type, Spikes], integrators: Iterable[type], path: str
) -> NeuronRole | None:
    """The role of a module; None if it is no neuron.

    Args:
        module: any.
        spiking: the user's own neuron classes and what they emit.
        integrators: the user's own classes of neurons that emit their membrane.
        path: of the module, for the error.

    Raises:
        UnsupportedLayerError: a neuron of a known library whose output is not known to be spikes.
    """
    for own, spikes in spiking.items():
        if isinstance(module, own):
            return NeuronRole(True, spikes)
    if isinstance(module, tuple(integrators)):
        return NeuronRole(False)
    for known in type(module).__mro__:
        library = known.__module__.partition(".")[0]
        if library in LIBRARIES and issubclass(known, nn.Module):
            return _role_in(library, known, module, path)
    return None


def _role_in(library: str, known: type, module: nn.Module, path: str) -> NeuronRole | None:
    name = known.__name__
    if name in _UNIT[library].split():
        return _emitted(library, module)
    if name in _SIGNED.get(library, "").split():
        return NeuronRole(True, Spikes(signed=True))
    if name in _INTEGRATORS.get(library, "").split():
        return NeuronRole(False)
    if name in _LAYERS.get(library, "").split():
        return None
    if known.__module__.startswith(_NEURON_PACKAGES) or any(
        base.__name__ in _NEURON_BASES
        for base in known.__mro__
        if base.__module__.startswith(("norse.", "sinabs."))
    ):
        raise UnsupportedLayerError(
            f"{path}: {library}'s {name} is not known to emit spikes; name it in "
            "count_spikes(spiking=...) or (integrators=...), or use another neuron"
        )
    return None


def _emitted(library: str, module: Any) -> NeuronRole:
    """Unit spikes unless the module says otherwise: levels, several spikes per step, a graded factor."""
    if type(module).__name__ == "GradedNeuron":
        return NeuronRole(True, Spikes(float(module.amplitude), module.levels == 1, module.low < 0))
    if library == "sinabs" and hasattr(module, "spike_fn"):
        several = getattr(module.spike_fn, "__name__", "") != "SingleSpike"
        return NeuronRole(module.spike_fn is not None, Spikes(unit=not several))
    factor: Any = getattr(module, "graded_spikes_factor", 1.0)
    if isinstance(factor, Tensor) and factor.numel() != 1:
        return NeuronRole(True, Spikes(None, True, bool((factor < 0).any())))
    return NeuronRole(True, Spikes(abs(float(factor)), signed=float(factor) < 0))
