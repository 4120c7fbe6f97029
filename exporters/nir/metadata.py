"""The integer constants that accompany a graph, under one key of the graph's metadata.

NIR says that no backend may rely on metadata, so the nodes carry the dequantised values and are the truth;
these integers say on which grid the values lie, and are checked against the nodes when a file is read. HDF5
gives scalars back as numpy's; every value is therefore read through `_integer` or compared as text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from snn_tool.errors import ArtifactError
from snn_tool.exporters.nir.program import DECAY_STEPS, INPUT_KINDS, MEMBRANE_SHIFT, InputForm
from snn_tool.files.artifacts import shown

KEY = "snn_tool"
SCHEMA, SCHEMA_TIME = 1, 2
"""What schema 1 would lose makes it 2: inputs that are no images, lasting currents, recurrent connections."""

PIXEL_SHUFFLE = "pixel_shuffle"
ADDS_IMAGE = "adds_image"
"""Written where it is false, which is so of networks trained elsewhere only."""
PASSES, MOST_PASSES = "passes", 3
"""Written where it is more than one: how often the host runs the graph on one image."""

GREY, BLACK = 128, 0
"""Input offsets: grey levels subtracted from the image before it is divided by the input step."""

CONVENTIONS = {"comparison": ">", "reset": "to_zero", "graded_rounding": "half_away_from_zero"}
KINDS = ("lif", "graded", "readout")
REMEDY = "the file is damaged or was edited, export it again"


@dataclass(frozen=True, slots=True)
class PopulationConstants:
    """Integers of one population; what its kind does not have is 0, 1 level or False.

    Attributes:
        kind: `lif`, `graded` or `readout`.
        fan_in: number of convolutions that it sums.
        lsb_exponent: one LSB is 2^lsb_exponent of the graph's units.
        threshold: in LSB.
        decay: in 4096ths per timestep; of a read-out 0, unless the network was trained elsewhere.
        current_decay: of a synaptic current that lasts, in 4096ths per timestep; 4096 where none does.
    """

    kind: str
    fan_in: int
    lsb_exponent: int
    threshold: int = 0
    decay: int = 0
    levels: int = 1
    signed: bool = False
    current_decay: int = DECAY_STEPS


@dataclass(frozen=True, slots=True)
class Constants:
    """Integers of a whole graph.

    Attributes:
        dt_s: duration of a timestep in seconds that the time constants assume.
        populations: by node name.
        mantissa_exponents: for each convolution, the left shift contained in its weights.
        shuffles: for each convolution whose output the host shuffles, the factor.
        input_offset: grey levels subtracted from the image first.
        adds_image: the read-out is a residual, which the host adds to the image on the input grid.
        form: of inputs that are no images, or None.
        delays: for each recurrent convolution the timesteps by which it is late, 1.
        passes: how often the host runs the graph on one image; from two on the input is the image and the
            result of the pass before.
    """

    timesteps: int
    dt_s: float
    input_low: int
    input_high: int
    input_step: int
    populations: Mapping[str, PopulationConstants]
    mantissa_exponents: Mapping[str, int]
    shuffles: Mapping[str, int]
    input_offset: int = GREY
    adds_image: bool = True
    form: InputForm | None = None
    delays: Mapping[str, int] = field(default_factory=dict)
    passes: int = 1

    @property
    def schema(self) -> int:
        """The first that says all of it."""
        lasting = any(p.current_decay < DECAY_STEPS for p in self.populations.values())
        return SCHEMA_TIME if self.form or self.delays or lasting else SCHEMA

    @property
    def readout(self) -> str:
        """Name of the read-out."""
        return next(name for name, p in self.populations.items() if p.kind == "readout")

    @property
    def residual_exponent(self) -> int:
        """The residual image is the read-out's membrane (64ths of its LSB) times 2^residual_exponent / T."""
        return self.populations[self.readout].lsb_exponent - MEMBRANE_SHIFT


def to_metadata(constants: Constants) -> dict[str, Any]:
    """The document stored under `KEY`."""
    return {
        "schema": constants.schema,
        "timesteps": constants.timesteps,
        "dt_s": constants.dt_s,
        "input_low": constants.input_low,
        "input_high": constants.input_high,
        "input_step": constants.input_step,
        "input_offset": constants.input_offset,
        "membrane_shift": MEMBRANE_SHIFT,
        "residual_exponent": constants.residual_exponent,
        **({} if constants.adds_image else {ADDS_IMAGE: 0}),
        **({"input": _form_document(constants.form)} if constants.form else {}),
        **({PASSES: constants.passes} if constants.passes > 1 else {}),
        **CONVENTIONS,
        "extensions": {PIXEL_SHUFFLE: dict(constants.shuffles)} if constants.shuffles else {},
        "populations": {
            name: {
                "kind": p.kind,
                "fan_in": p.fan_in,
                "lsb_exponent": p.lsb_exponent,
                "threshold": p.threshold,
                "decay": p.decay,
                "levels": p.levels,
                "signed": int(p.signed),
                **({"current_decay": p.current_decay} if p.current_decay < DECAY_STEPS else {}),
            }
            for name, p in constants.populations.items()
        },
        "synapses": {
            name: {
                "mantissa_exponent": e,
                **({"delay": constants.delays[name]} if name in constants.delays else {}),
            }
            for name, e in constants.mantissa_exponents.items()
        },
    }


def _form_document(form: InputForm) -> dict[str, Any]:
    return {"kind": form.kind, "exponent": form.exponent, "over_time": int(form.over_time)}


def from_metadata(metadata: Mapping[str, Any], file: str) -> Constants:
    """Read and check the document of a graph's metadata.

    Raises:
        ArtifactError: the graph was not written by this tool, by a newer one, or a value is missing or wrong.
    """
    document = metadata.get(KEY)
    if not isinstance(document, Mapping):
        raise ArtifactError(foreign(file))
    check_schema(_integer(document, "schema", (1, 1 << 30), file), file)
    for key, expected in {**CONVENTIONS, "membrane_shift": MEMBRANE_SHIFT}.items():
        if str(document.get(key)) != str(expected):
            raise ArtifactError(
                f"{file}: metadata '{key}' is {_said(document.get(key))}, this tool knows {expected} only"
            )
    constants = Constants(
        timesteps=_integer(document, "timesteps", (1, 1 << 12), file),
        dt_s=_seconds(document, file),
        input_low=_integer(document, "input_low", (-(1 << 15), 0), file),
        input_high=_integer(document, "input_high", (0, (1 << 15) - 1), file),
        input_step=_integer(document, "input_step", (1, 256), file),
        populations={n: _population(n, p, file) for n, p in _table(document, "populations", file).items()},
        mantissa_exponents={
            n: _integer(s, "mantissa_exponent", (0, 30), f"{file}: {n}")
            for n, s in _table(document, "synapses", file).items()
        },
        shuffles=_shuffles(document, file),
        input_offset=_integer(document, "input_offset", (BLACK, GREY), file),
        adds_image=bool(_integer({ADDS_IMAGE: 1, **document}, ADDS_IMAGE, (0, 1), file)),
        form=_form(document, file),
        delays={
            n: _integer(s, "delay", (1, 1), f"{file}: {n}")
            for n, s in _table(document, "synapses", file).items()
            if isinstance(s, Mapping) and "delay" in s
        },
        passes=_integer({PASSES: 1, **document}, PASSES, (1, MOST_PASSES), file),
    )
    if constants.schema > int(document["schema"]):
        raise ArtifactError(
            f"{file}: metadata of schema {int(document['schema'])} with keys of {constants.schema}; {REMEDY}"
        )
    if constants.input_offset not in (BLACK, GREY):
        raise ArtifactError(
            f"{file}: metadata 'input_offset' is {constants.input_offset}, not {BLACK} or {GREY}; {REMEDY}"
        )
    if [p.kind for p in constants.populations.values()].count("readout") != 1:
        raise ArtifactError(f"{file}: metadata must name exactly one read-out; {REMEDY}")
    if constants.residual_exponent != _integer(document, "residual_exponent", (-200, 200), file):
        raise ArtifactError(f"{file}: metadata 'residual_exponent' contradicts the read-out's LSB; {REMEDY}")
    return constants


def foreign(file: str) -> str:
    """What is said of a NIR file without this tool's constants."""
    return (
        f"{file}: NIR, but not made by snn-tool; take it in with 'snn-tool import {file} --images DIR "
        "--out NAME.int.safetensors' and pass that file"
    )


def check_schema(schema: int, file: str) -> None:
    """Refuse files of another schema.

    Raises:
        ArtifactError: both versions are named.
    """
    if schema not in (SCHEMA, SCHEMA_TIME):
        raise ArtifactError(
            f"{file}: NIR metadata of schema {schema}, this version reads schemas {SCHEMA} and "
            f"{SCHEMA_TIME}; "
            "export it again with this version, or update snn-tool"
        )


def _said(value: object) -> str:
    """A value of the file, in one line of bounded length; what is not there as None."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {list(value.shape)}"
    return str(value) if value is None or isinstance(value, np.generic) else shown(value)


def _integer(document: object, key: str, allowed: tuple[int, int], where: str) -> int:
    value = document.get(key) if isinstance(document, Mapping) else None
    if not isinstance(value, int | np.integer) or not allowed[0] <= int(value) <= allowed[1]:
        raise ArtifactError(
            f"{where}: metadata '{key}' is {_said(value)}, not one of {allowed[0]}..{allowed[1]}; {REMEDY}"
        )
    return int(value)


def _seconds(document: Mapping[str, Any], file: str) -> float:
    value = document.get("dt_s")
    if not isinstance(value, float | np.floating) or not 0 < float(value) < 1:
        raise ArtifactError(
            f"{file}: metadata 'dt_s' is {_said(value)}, not a duration below one second; {REMEDY}"
        )
    return float(value)


def _table(document: Mapping[str, Any], key: str, file: str) -> Mapping[str, Any]:
    value = document.get(key)
    if not isinstance(value, Mapping) or not value:
        raise ArtifactError(f"{file}: metadata '{key}' is missing; {REMEDY}")
    return value


def _form(document: Mapping[str, Any], file: str) -> InputForm | None:
    if "input" not in document:
        return None
    given, where = _table(document, "input", file), f"{file}: input"
    kind = given.get("kind")
    if not isinstance(kind, str) or kind not in INPUT_KINDS:
        raise ArtifactError(
            f"{where}: metadata 'kind' is {_said(kind)}, not one of {', '.join(INPUT_KINDS)}; {REMEDY}"
        )
    exponent = _integer(given, "exponent", (-256, 256), where)
    return InputForm(str(kind), exponent, bool(_integer(given, "over_time", (0, 1), where)))


def _population(name: str, document: object, file: str) -> PopulationConstants:
    where = f"{file}: {name}"
    table: Mapping[str, Any] = document if isinstance(document, Mapping) else {}
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ArtifactError(
            f"{where}: metadata 'kind' is {_said(kind)}, not one of {', '.join(KINDS)}; {REMEDY}"
        )
    with_decay: Mapping[str, Any] = {"current_decay": DECAY_STEPS, **table}
    return PopulationConstants(
        kind=str(kind),
        fan_in=_integer(document, "fan_in", (1, 1 << 16), where),
        lsb_exponent=_integer(document, "lsb_exponent", (-140, 120), where),
        threshold=_integer(document, "threshold", (0 if kind == "readout" else 1, (1 << 31) - 1), where),
        decay=_integer(document, "decay", (0, 4095), where),
        levels=_integer(document, "levels", (1, 127), where),
        signed=bool(_integer(document, "signed", (0, 1), where)),
        current_decay=_integer(with_decay, "current_decay", (1, DECAY_STEPS), where),
    )


def _shuffles(document: Mapping[str, Any], file: str) -> dict[str, int]:
    extensions = document.get("extensions")
    if not isinstance(extensions, Mapping) or not set(extensions) <= {PIXEL_SHUFFLE}:
        raise ArtifactError(
            f"{file}: metadata 'extensions' is {_said(extensions)}, known is {PIXEL_SHUFFLE} only"
        )
    factors = extensions.get(PIXEL_SHUFFLE, {})
    if not isinstance(factors, Mapping):
        raise ArtifactError(f"{file}: metadata '{PIXEL_SHUFFLE}' is {_said(factors)}, no table; {REMEDY}")
    return {str(name): _integer(factors, name, (2, 16), f"{file}: {name}") for name in factors}
