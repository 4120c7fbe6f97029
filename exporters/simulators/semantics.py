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
        default_dt_s: timestep in seconds where the caller of the importer names none.
        holds: types that are imported, with NIR's meaning as far as their values allow
            (`nir_foreign.neuron_effects`).
        drops: types that vanish without an error.
        refuses: types that raise.
        reasons: why a type raises, where there is more to say than that it is unknown.
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
    default_dt_s: float
    holds: frozenset[str]
    drops: frozenset[str] = frozenset()
    refuses: frozenset[str] = frozenset()
    reasons: Mapping[str, str] = field(default_factory=dict)


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
    default_dt_s=1e-3,
    holds=frozenset({"Affine", "Conv2d", "CubaLIF", "Flatten", "IF", "LIF", "Linear", "SumPool2d"}),
    drops=UNPARSED | {"AvgPool2d", "Conv1d"},
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
    default_dt_s=1e-4,
    holds=frozenset(
        {"Affine", "AvgPool2d", "Conv1d", "Conv2d", "CubaLIF", "Flatten", "IF", "LIF", "Linear", "SumPool2d"}
    ),
    refuses=UNPARSED,
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
    default_dt_s=1e-4,
    holds=frozenset(
        {"Affine", "AvgPool2d", "Conv1d", "Conv2d", "CubaLIF", "Flatten", "IF", "LIF", "Linear", "SumPool2d"}
    ),
    refuses=UNPARSED,
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
    default_dt_s=1.0,
    holds=frozenset({"Affine", "Conv2d", "Flatten", "IF", "LI", "LIF", "SumPool2d"}),
    drops=frozenset({"AvgPool2d", "CubaLI", "CubaLIF", "Delay", "I", "Linear", "Scale", "Threshold"}),
    refuses=frozenset({"Conv1d"}),
    reasons={"Conv1d": "its importer calls torch's methods on numpy arrays"},
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
    default_dt_s=1e-4,
    holds=frozenset({"Affine", "AvgPool2d", "Conv1d", "Conv2d", "Flatten", "Linear", "SumPool2d"}),
    refuses=UNPARSED | {"CubaLIF", "IF", "LIF"},
    reasons=dict.fromkeys(("IF", "LIF"), "no default map; this tool's own holds it"),
)

SIMULATORS: Mapping[str, Simulator] = {s.name: s for s in (NORSE, SNNTORCH, SPIKINGJELLY, SINABS, NIRTORCH)}
