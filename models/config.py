"""What a student is and what it learns from, as plain values: its configuration, the weights of the losses.

Nothing here needs torch. Fields with a `Flag` are options of `snn-tool distill`, and all can stand in its
config file.
"""

from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any

from msgspec import Meta
from snn_tool.errors import ConfigError
from snn_tool.files.documents import LATER, Fraction, Name, NotNegative, as_written, check_fields, one_of
from snn_tool.flags import Flag, grouped
from snn_tool.models.topology import COLOUR, GREY, MOST_PASSES, Timesteps, check_channels

NEURONS = ("graded", "lif")
WIDTHS = {"unet": 24, "flat": 28, "chain": 40}
"""Channels at full resolution by body; every one keeps the student under 87,000 parameters."""
BODIES = tuple(WIDTHS)
LIF_TIMESTEPS, LIF_INPUT_STEP = 4, 4
"""What `lif` neurons have instead of the fields' defaults."""
LEAK_STEPS = 4096
"""Loihi's decay is a 12-bit fraction; a leak is a whole number of 4096ths, so that nothing is lost later."""
MEMBRANE, SPIKES = "membrane", "spikes"
FEATURES = (MEMBRANE, SPIKES)
"""What of a population can be compared with a teacher's feature."""
LINEAR, NO_ADAPTER = "linear", "none"
ADAPTERS = (LINEAR, NO_ADAPTER)


@grouped("Student")
@dataclass(frozen=True, slots=True)
class StudentConfig:
    """What defines a student's function, apart from its weights.

    Attributes:
        body: `unet` (encoder-decoder with pixel-shuffle), `flat` (one resolution, dilated, residual) or
            `chain` (one resolution, dilated, no skip).
        neuron: `graded` (integer levels, one step) or `lif` (binary, T steps).
        width: channels at full resolution.
        timesteps: T of `lif`; `graded` has one step.
        levels: largest magnitude of a graded spike.
        signed: graded spikes may be negative.
        leak: 4096ths of the membrane that `lif` loses per timestep.
        input_step: grey levels (of 255) per integer input unit; `lif` needs a coarse grid, because Lava's
            stock LIF leaves 17 bits for a current and the first layer multiplies the image by 8-bit weights.
        channels: of the image, in and out: 3 of colour, 1 of grey. Files of older students do not say it.
        passes: how often it runs on one image: from two on with the same weights on the image and, behind it,
            the result of the pass before. Files of older students do not say it.
    """

    body: Annotated[str, one_of(*BODIES), Flag("Body of the student.")] = "unet"
    neuron: Annotated[str, one_of(*NEURONS), Flag("Neurons.")] = "graded"
    width: Annotated[
        int,
        Meta(ge=4, le=256),
        Flag("Channels at full resolution.", shown=", ".join(f"{w} ({body})" for body, w in WIDTHS.items())),
    ] = WIDTHS["unet"]
    timesteps: Annotated[Timesteps, Flag("T of lif neurons.", shown=str(LIF_TIMESTEPS))] = 1
    levels: Annotated[int, Meta(ge=1, le=127), Flag("Levels of graded neurons.")] = 4
    signed: Annotated[bool, Flag("Sign of graded spikes.", ("--signed/--unsigned",), shown="signed")] = True
    leak: Annotated[int, Meta(ge=1, lt=LEAK_STEPS)] = 64
    input_step: Annotated[int, Meta(ge=1, le=16)] = 1
    channels: Annotated[
        int,
        LATER,
        Meta(ge=GREY, le=COLOUR, extra={"allowed": "3 for colour or 1 for grey"}),
        Flag("Channels of the images."),
    ] = COLOUR
    passes: Annotated[
        int,
        LATER,
        Meta(ge=1, le=MOST_PASSES),
        Flag("Runs on one image; from 2 on each reads the image and the last result."),
    ] = 1

    def __post_init__(self) -> None:
        """Refuse what no student can be.

        Raises:
            ConfigError: names the key, its value and what is allowed.
        """
        check_fields(self, "", prefix=("student",))
        if self.neuron == "graded" and self.timesteps != 1:
            raise ConfigError(
                f"student.timesteps = {self.timesteps} is not allowed; use 1 with graded neurons"
            )
        check_channels("student", self.channels)

    def describe(self) -> dict[str, Any]:
        """JSON values, as they stand in files."""
        return as_written(self)


def default_config(neuron: str, body: str = "unet") -> StudentConfig:
    """The defaults of a neuron kind and a body.

    Raises:
        ConfigError: there is no such neuron or body.
    """
    width = WIDTHS.get(body, WIDTHS["unet"])
    if neuron == "lif":
        return StudentConfig(body, neuron, width, timesteps=LIF_TIMESTEPS, input_step=LIF_INPUT_STEP)
    return StudentConfig(body, neuron, width)


@grouped("Loss")
@dataclass(frozen=True, slots=True)
class LossWeights:
    """Weights of the five terms of `losses`, and what the hints compare.

    Attributes:
        l1, mse, fft: of the difference between output and clean image.
        output: of the difference between the outputs of student and teacher.
        hints: of the difference between their features.
        hint_decay_from: fraction of the steps from which on the hints' weight falls linearly to zero.
        hint_sites: the student's populations that are compared, in this order; empty takes the body's own.
        hint_targets: the teacher's feature for each of them; empty chooses by resolution.
        hint_feature: `membrane` or `spikes` of the student, the mean over time.
        hint_adapter: `linear`, a trained 1x1 convolution, or `none`.
    """

    l1: Annotated[NotNegative, Flag("Weight of L1.", ("--loss-l1",))] = 1.0
    fft: Annotated[NotNegative, Flag("Weight of the FFT loss.", ("--loss-fft",))] = 0.02
    output: Annotated[NotNegative, Flag("Weight of the teacher's output.", ("--loss-output",))] = 0.5
    hints: Annotated[NotNegative, Flag("Weight of hints.", ("--loss-hints",))] = 0.005
    hint_decay_from: Fraction = 0.5
    hint_sites: tuple[Name, ...] = ()
    hint_targets: tuple[Name, ...] = ()
    hint_feature: Annotated[str, one_of(*FEATURES)] = MEMBRANE
    hint_adapter: Annotated[str, one_of(*ADAPTERS)] = LINEAR
    mse: Annotated[NotNegative, Flag("Weight of MSE.", ("--loss-mse",))] = 0.0

    def __post_init__(self) -> None:
        """Refuse negative weights, a decay that starts outside the training, and unknown choices.

        Raises:
            ConfigError: names the key and what is allowed.
        """
        check_fields(self, "", prefix=("loss",))
        if len(set(self.hint_sites)) < len(self.hint_sites):
            raise ConfigError(
                f"loss.hint_sites = {list(self.hint_sites)} is not allowed; name each site once"
            )

    def describe(self) -> dict[str, Any]:
        """JSON values; what the hints compare is left out where it is the default, as older runs lack it."""
        older = ("l1", "fft", "output", "hints", "hint_decay_from")
        default = {field.name: field.default for field in fields(self)}
        return {key: value for key, value in asdict(self).items() if key in older or value != default[key]}

    def hints_at(self, progress: float) -> float:
        """The hints' weight after the fraction `progress` of all steps."""
        if progress <= self.hint_decay_from:
            return self.hints
        return self.hints * (1 - progress) / (1 - self.hint_decay_from)
