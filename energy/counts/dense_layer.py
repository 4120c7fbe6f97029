"""One operation of a dense network with the values that it moves: the unit of models that charge memory."""

from dataclasses import dataclass

from snn_tool.models.loop_nest import LoopNest


@dataclass(frozen=True, slots=True)
class DenseLayer:
    """One operation of a dense network on one image: what it computes, and which values it has to move.

    Attributes:
        name: of the layer or module.
        padded_macs, exact_macs: with padded borders, and with real inputs only; 0 for scalar operations.
        elementwise_ops: additions and comparisons outside of products.
        inputs: activations read, each once.
        weights: stored values read, each once, without biases.
        biases: likewise.
        outputs: values written.
        input_bits, output_bits: width of the activations; None where the precision decides.
        nests: loops of its products, which sum to `padded_macs`; empty for scalar operations, and for
            products that have no such form.
    """

    name: str
    padded_macs: int
    exact_macs: int
    elementwise_ops: int
    inputs: int
    weights: int
    biases: int
    outputs: int
    input_bits: int | None = None
    output_bits: int | None = None
    nests: tuple[LoopNest, ...] = ()
