"""What each simulator makes of a NIR node, read in its importer's source and seen when it ran.

Versions: norse 1.1.0 (norse.torch.utils.import_nir), snntorch 1.0.0 (import_nir), spikingjelly 2.0.0
(activation_based.nir_exchange.from_nir), sinabs 3.1.3 (nir, layers.functional.lif), nirtorch 2.6
(from_nir for the two that use `load`, nir_interpreter for `nir_to_torch`). NIR's own equations: Pedersen
et al., Nature Communications 15, 8122 (2024); a LIF fires where v > v_threshold.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

GREATER, AT_LEAST = ">", ">="

UNPARSED = frozenset({"CubaLI", "Delay", "I", "LI", "Scale", "Threshold"})
"""Types of nir 1.0.8 that none of the importers built on `nirtorch.nir_to_torch` knows."""


@dataclass(frozen=True, slots=True)
class Simulator:
    """One simulator and its NIR importer.

    Attributes:
        name: of the backend on the command line, and of the Python distribution.
        version: that was read and tested.
        importer: qualified name of the function that the lowered graph is given to.
        own_maps: nirtorch's interpreter is given maps of ours onto the library's neurons, no importer is.
        comparison: `>` or `>=`, between membrane and threshold.
        multi_spike: the imported neuron emits several spikes per timestep (cleared by our maps).
        reset: `zero`, `v_reset` or `subtract`, as imported.
        dt_s: timestep in seconds that a graph must be written for; None where it is an argument.
        uses_gain: r is taken into account; False: r is ignored and the threshold must hold it.
        holds: types that are imported with NIR's meaning, within `deviates`.
        drops: types that vanish without an error.
        refuses: types that raise.
        deviates: types that are imported with another meaning, or under a condition, and which.
    """

    name: str
    version: str
    importer: str
    own_maps: bool
    comparison: str
    multi_spike: bool
    reset: str
    dt_s: float | None
    uses_gain: bool
    holds: frozenset[str]
    drops: frozenset[str] = frozenset()
    refuses: frozenset[str] = frozenset()
    deviates: Mapping[str, str] = field(default_factory=dict)


NORSE = Simulator(
    name="norse",
    version="1.1.0",
    importer="norse.torch.from_nir",
    own_maps=False,
    comparison=GREATER,
    multi_spike=False,
    reset="zero",
    dt_s=None,
    uses_gain=False,
    holds=frozenset({"Affine", "Conv2d", "CubaLIF", "Flatten", "IF", "LIF", "Linear", "SumPool2d"}),
    drops=UNPARSED | {"AvgPool2d", "Conv1d"},
    deviates={
        "IF": "r is ignored (a warning), v_reset is dropped: it resets to 0",
        "LIF": "r is ignored (a warning), v_reset is dropped: it resets to 0",
        "CubaLIF": "v_reset is dropped: it resets to 0",
        "SumPool2d": "padding is dropped (a warning)",
    },
)

SNNTORCH = Simulator(
    name="snntorch",
    version="1.0.0",
    importer="snntorch.import_nir.import_from_nir",
    own_maps=False,
    comparison=GREATER,
    multi_spike=False,
    reset="zero",
    dt_s=1e-4,
    uses_gain=True,
    holds=frozenset(
        {"Affine", "AvgPool2d", "Conv1d", "Conv2d", "CubaLIF", "Flatten", "IF", "LIF", "Linear", "SumPool2d"}
    ),
    refuses=UNPARSED,
    deviates={
        "IF": "becomes a Leaky with beta = 0.9 and subtraction, and r must be 1",
        "LIF": "v_reset is dropped: it resets to 0; one threshold per population; v_leak must be 0",
        "CubaLIF": "v_reset is dropped: it resets to 0; r must be tau_mem / 1e-4",
        "Conv1d": "nirtorch's default map takes channels from the wrong axes",
        "SumPool2d": "padding is dropped",
    },
)

SPIKINGJELLY = Simulator(
    name="spikingjelly",
    version="2.0.0",
    importer="spikingjelly.activation_based.nir_exchange.import_from_nir",
    own_maps=False,
    comparison=AT_LEAST,
    multi_spike=False,
    reset="v_reset",
    dt_s=None,
    uses_gain=True,
    holds=frozenset(
        {"Affine", "AvgPool2d", "Conv1d", "Conv2d", "CubaLIF", "Flatten", "IF", "LIF", "Linear", "SumPool2d"}
    ),
    refuses=UNPARSED,
    deviates={
        "IF": "r must be 1 / dt; one value of each parameter per population",
        "LIF": "r must be 1 or tau / dt, tau above dt, v_leak equal to v_reset; one value per population",
        "CubaLIF": "r must be tau_mem / dt, w_in tau_syn / dt, v_leak 0; one value per population",
        "Conv1d": "groups are refused",
        "Conv2d": "groups are refused",
        "SumPool2d": "padding is dropped",
    },
)

SINABS = Simulator(
    name="sinabs",
    version="3.1.3",
    importer="nirtorch.nir_to_torch",
    own_maps=True,
    comparison=AT_LEAST,
    multi_spike=True,
    reset="subtract",
    dt_s=1.0,
    uses_gain=False,
    holds=frozenset({"Affine", "Conv2d", "Flatten", "IF", "LI", "LIF", "SumPool2d"}),
    drops=frozenset({"AvgPool2d", "CubaLI", "CubaLIF", "Delay", "I", "Linear", "Scale", "Threshold"}),
    refuses=frozenset({"Conv1d"}),
    deviates={
        "IF": "several spikes per step, subtraction, r and v_reset ignored, membrane held above -v_threshold",
        "LI": "decay exp(-1 / tau) with tau in steps; fails on parameters of more than one dimension",
        "LIF": "decay exp(-1 / tau) with tau in steps, several spikes per step, subtraction, r and v_reset "
        "ignored; fails on parameters of more than one dimension",
        "SumPool2d": "padding is dropped",
    },
)

NIRTORCH = Simulator(
    name="nirtorch",
    version="2.6",
    importer="nirtorch.nir_to_torch",
    own_maps=True,
    comparison=GREATER,
    multi_spike=False,
    reset="v_reset",
    dt_s=None,
    uses_gain=True,
    holds=frozenset({"Affine", "AvgPool2d", "Conv1d", "Conv2d", "Flatten", "Linear", "SumPool2d"}),
    refuses=UNPARSED | {"CubaLIF", "IF", "LIF"},
    deviates={
        "Affine": "the default map loses the bias",
        "Conv1d": "the default map takes channels from the wrong axes",
        "Conv2d": "the default map swaps input and output channels",
        "SumPool2d": "the default map drops the padding",
        "LIF": "no default map; this tool's own holds it",
        "IF": "no default map; this tool's own holds it",
    },
)

SIMULATORS: Mapping[str, Simulator] = {s.name: s for s in (NORSE, SNNTORCH, SPIKINGJELLY, SINABS, NIRTORCH)}
