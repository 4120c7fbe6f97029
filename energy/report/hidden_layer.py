"""A hidden layer far from image and read-out, of any size and fan-out: the load on which spikes break even.

It has no border, no shortcut and no relay, so that three numbers say what it costs a spiking network: how
many synapses a spike reaches, how often a neuron fires, and for how many timesteps its membrane is kept.
"""

from dataclasses import dataclass

from snn_tool.energy.counts.counts import EdgeCount, ImageActivity, PopulationCount
from snn_tool.energy.counts.dense_layer import DenseLayer
from snn_tool.energy.counts.fan_out import LayerMacs
from snn_tool.energy.estimators.estimate import AnnLoad

TAPS = 9
"""Of a 3x3 convolution."""

SYNAPSE, POPULATION, READOUT = "layer", "hidden", "readout"
BINARY = "binary"


@dataclass(frozen=True, slots=True)
class Neurons:
    """How the neurons of a layer spike.

    Attributes:
        timesteps: T.
        low, high: least and largest level of a spike; 0 and 1 are binary.
        membrane: they keep a membrane, which leaks at every step and is reset by a spike; without one they
            are graded neurons of a single step.
        mean_level: mean magnitude of the spikes that are not zero.
    """

    timesteps: int
    low: int = 0
    high: int = 1
    membrane: bool = True
    mean_level: float = 1.0

    @property
    def outcomes(self) -> int:
        """What a neuron can say of one image: 0 to T spikes, or one of its levels."""
        return self.timesteps + 1 if self.membrane else self.high - self.low + 1

    @property
    def bits(self) -> int:
        """Of an activation with as many values (Yan, Bai, Tang and Wong, arXiv 2409.08290)."""
        return (self.outcomes - 1).bit_length()

    @property
    def name(self) -> str:
        """In words, e.g. `binary, T = 4`."""
        kind = BINARY if self.membrane else f"{self.low} to {self.high}".replace("-", "\N{MINUS SIGN}")
        return f"{kind}, T = {self.timesteps}"


@dataclass(frozen=True, slots=True)
class HiddenLayer:
    """A 3x3 convolution between layers of equal shape.

    Attributes:
        channels: C, in and out; a spike reaches 9 C synapses, and a neuron has as many.
        neurons: N of the layer, over all channels.
    """

    channels: int
    neurons: int

    @property
    def fan_out(self) -> int:
        """Synapses that one spike reaches."""
        return TAPS * self.channels

    @property
    def weights(self) -> int:
        """Stored values of the convolution."""
        return self.fan_out * self.channels

    @property
    def macs(self) -> int:
        """Of the dense network; padded and edge-exact counts agree where there is no border."""
        return self.neurons * self.fan_out

    def firing(self, kind: Neurons) -> ImageActivity:
        """Counts of one image in which every neuron fires at every timestep, with `kind`'s mean level.

        What grows with spikes is proportional to them, so that any other rate is a share of this.
        """
        updates = kind.timesteps * self.neurons
        levels = round(updates * kind.mean_level)
        edge = EdgeCount(
            synapse=SYNAPSE,
            source=POPULATION,
            reader=POPULATION,
            first=True,
            image_macs=0,
            outputs=self.neurons,
            synops_levels=levels * self.fan_out,
            synops_events=updates * self.fan_out,
        )
        return ImageActivity(
            height=1,
            width=self.neurons,
            timesteps=kind.timesteps,
            unit_spikes=max(-kind.low, kind.high) == 1,
            edges=(edge,),
            populations=(self._population(kind, updates, levels), _readout()),
            relays=(),
            accumulators=(),
            layers=(self._macs(),),
            skip_adds=0,
            levels=max(-kind.low, kind.high),
            signed=kind.low < 0,
        )

    def _population(self, kind: Neurons, updates: int, levels: int) -> PopulationCount:
        return PopulationCount(
            name=POPULATION,
            neurons=self.neurons,
            events=updates,
            levels=levels,
            bias_adds=updates,
            leak_multiplies=updates if kind.membrane else 0,
            compares=updates * (kind.high - kind.low).bit_length(),
            ladder_compares=updates * (kind.high - kind.low),
            resets=updates if kind.membrane else 0,
            membrane_adds=0,
            scales=0,
        )

    def _macs(self) -> LayerMacs:
        return LayerMacs(
            synapse=SYNAPSE,
            source=POPULATION,
            padded_macs=self.macs,
            exact_macs=self.macs,
            weights=self.weights,
            biases=self.channels,
            inputs=self.neurons,
            outputs=self.neurons,
        )

    def dense(self, bits: int | None = None) -> AnnLoad:
        """The same layer in a dense network: one convolution with its bias, one activation.

        Args:
            bits: of the activations; None leaves them to the precision.
        """
        convolution = DenseLayer(
            name=SYNAPSE,
            padded_macs=self.macs,
            exact_macs=self.macs,
            elementwise_ops=self.neurons,
            inputs=self.neurons,
            weights=self.weights,
            biases=self.channels,
            outputs=self.neurons,
            input_bits=bits,
            output_bits=bits,
        )
        activation = DenseLayer(
            f"{POPULATION} activation",
            0,
            0,
            self.neurons,
            self.neurons,
            0,
            0,
            self.neurons,
            None,
            bits,
        )
        return AnnLoad.of((convolution, activation))


def _readout() -> PopulationCount:
    """What the counts of every network end with, as small as it can be: one neuron that computes nothing."""
    return PopulationCount(
        name=READOUT,
        neurons=1,
        events=0,
        levels=0,
        bias_adds=0,
        leak_multiplies=0,
        compares=0,
        ladder_compares=0,
        resets=0,
        membrane_adds=0,
        scales=0,
    )
