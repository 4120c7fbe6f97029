"""The generated files of a network that is given one timestep at a time: snn.h, snn.c, test.c, README.md."""

from collections.abc import Iterator
from math import log2
from typing import Any

import numpy as np
from snn_tool.exporters.c.source import array, identifier, template, text_of
from snn_tool.exporters.c.steps import SPARE, StepPlan, Synapse, Turn, fraction, step_footprint
from snn_tool.exporters.contract.folder import Golden
from snn_tool.exporters.nir.interpreter import current_kept, kept_steps
from snn_tool.exporters.nir.program import IMAGE, MEMBRANE_SHIFT, LifNode, Program

RUNTIME = "snn_steps.h"


def step_network_files(plan: StepPlan, prefix: str) -> dict[str, str]:
    """Contents by file name of all that one network needs to be compiled."""
    values = step_values(plan, prefix)
    parts = [
        f"/* Made by snn-tool from network.nir; {len(plan.synapses)} convolutions, "
        f"{len(plan.turns)} populations. */\n"
        f'#include "snn.h"\n#include "{RUNTIME}"\n',
        *(_synapse(synapse) for synapse in plan.synapses),
        *(_population(turn, place) for place, turn in enumerate(plan.turns)),
        *(_turn(plan, place, prefix) for place in range(len(plan.turns))),
        template("steps.c", values),
    ]
    made = {"snn.h": template("steps.h", values), "snn.c": "\n".join(parts)}
    return made | {RUNTIME: text_of(f"runtime/{RUNTIME}")}


def step_folder_files(plan: StepPlan, prefix: str, golden: Golden) -> dict[str, str]:
    """Contents by file name of the whole folder, without network.nir and golden.npz."""
    values, made = step_values(plan, prefix), step_network_files(plan, prefix)
    made["test.c"] = template("steps_test.c", values | _golden_values(plan.program, golden))
    made["Makefile"] = template("Makefile", values | {"headers": RUNTIME})
    made["README.md"] = template("steps_README.md", values | _readme_values(plan))
    return made


def step_check_text(plan: StepPlan, prefix: str) -> str:
    """A program in C that runs integer inputs through a network and writes what it gives."""
    neurons = ", ".join(str(turn.neurons) for turn in plan.turns)
    return template(
        "steps_check.c", step_values(plan, prefix) | {"populations": len(plan.turns), "neurons": neurons}
    )


def step_values(plan: StepPlan, prefix: str) -> dict[str, Any]:
    """What the templates are filled with."""
    program, last = plan.program, plan.turns[-1].node
    return {
        "p": prefix,
        "U": prefix.upper(),
        "title": f"A spiking network of {len(plan.turns)} populations, T = {program.timesteps}.",
        "channels": program.channels,
        "height": program.height,
        "width": program.width,
        "out_channels": last.channels,
        "out_height": last.height,
        "out_width": last.width,
        "timesteps": program.timesteps,
        "over_time": int(program.over_time),
        "low": program.input_low,
        "high": program.input_high,
        "bytes": plan.total,
        "cleared": plan.total - SPARE,
        "readout_at": plan.places[f"membranes_{len(plan.turns) - 1}"],
        "null": _null_text(program),
        "steps": "\n".join(f"    turn_{place}(state, input);" for place in range(len(plan.turns))),
    }


def _null_text(program: Program) -> str:
    if program.over_time:
        return "NULL is a timestep in which nothing arrives."
    return "NULL is the input of the step before again, which costs nothing; not at the first."


def _synapse(synapse: Synapse) -> str:
    node, name = synapse.node, identifier(synapse.node.name)
    rows, columns = node.weight.shape[2:]
    numbers = (
        *(synapse.rows, synapse.columns, node.weight.shape[1], *synapse.made),
        *(rows, columns, node.stride, node.padding, node.dilation, node.upsample),
        *(1 << node.mantissa_exponent, int(synapse.wraps), int(synapse.diagonal)),
    )
    late = ", a timestep late" if node.delay else ""
    return "\n".join(
        [
            f"\n/* {node.name}: from {node.source}{late} */",
            array("int8_t", f"weight_{name}", synapse.weights),
            f"static const snn_synapse synapse_{name} = {{{', '.join(map(str, numbers))}, weight_{name}}};",
        ]
    )


def _population(turn: Turn, place: int) -> str:
    node, bias, lines = turn.node, "NULL", [f"\n/* {turn.node.name} */"]
    if turn.bias.any():
        bias = f"bias_{place}"
        lines.append(array("int32_t", bias, turn.bias))
    threshold = node.threshold << MEMBRANE_SHIFT if isinstance(node, LifNode) else 0
    numbers = (
        *(turn.neurons, node.channels, threshold, int(isinstance(node, LifNode))),
        *(*fraction(kept_steps(node)), *fraction(current_kept(node)), bias),
    )
    lines.append(f"static const snn_population population_{place} = {{{', '.join(map(str, numbers))}}};")
    return "\n".join(lines)


def _turn(plan: StepPlan, place: int, prefix: str) -> str:
    """The function that runs one population for one timestep."""
    turn, last = plan.turns[place], place == len(plan.turns) - 1
    lasting = _words(plan, f"currents_{place}") if current_kept(turn.node) else "NULL"
    spikes = "NULL" if last else _bytes(plan, f"spikes_{place}")
    copied = f"before_{place}" in plan.places
    lines = [
        f"\n/* {turn.node.name}: {' + '.join(turn.node.inputs)} */",
        f"static void turn_{place}({prefix}_state *state, const int16_t *input)",
        "{",
        "    uint8_t *memory = state->memory;",
        f"    int32_t *totals = {_words(plan, 'totals')}, *currents = {lasting};",
        f"    int32_t *membranes = {_words(plan, f'membranes_{place}')};",
        f"    int8_t *spikes = {spikes};",
        *_arrivals(plan, turn, place),
        *([f"    memcpy({_bytes(plan, f'before_{place}')}, spikes, {turn.neurons});"] if copied else []),
        f"    snn_advance(&population_{place}, totals, currents, membranes, spikes);",
        "#ifdef SNN_TAPS",
        "    if (state->tap)",
        f"        state->tap(state->user, {place}, state->time, membranes, spikes);",
        "#endif",
        "}",
    ]
    return "\n".join(lines)


def _words(plan: StepPlan, area: str) -> str:
    return f"snn_words(memory, {plan.places[area]})"


def _bytes(plan: StepPlan, area: str) -> str:
    return f"snn_bytes(memory, {plan.places[area]})"


def _arrivals(plan: StepPlan, turn: Turn, place: int) -> Iterator[str]:
    """Lines that make the sum of what arrives."""
    bytes_ = turn.neurons * 4
    of_input = [s for s in turn.synapses if s.node.source == IMAGE]
    if f"shown_{place}" in plan.places:
        yield f"    int32_t *shown = {_words(plan, f'shown_{place}')};"
        yield "    if (input) {"
        yield f"        memset(shown, 0, {bytes_});"
        yield from (f"    {line}" for s in of_input for line in _arrival(plan, s, turn, "shown"))
        yield "    }"
        yield f"    memcpy(totals, shown, {bytes_});"
    else:
        yield f"    memset(totals, 0, {bytes_});"
        if of_input:
            yield "    if (input) {"
            yield from (f"    {line}" for s in of_input for line in _arrival(plan, s, turn, "totals"))
            yield "    }"
    if not of_input:
        yield "    (void)input;"
    for synapse in turn.synapses:
        if synapse not in of_input:
            yield from _arrival(plan, synapse, turn, "totals")


def _arrival(plan: StepPlan, synapse: Synapse, turn: Turn, target: str) -> Iterator[str]:
    node = synapse.node
    sums = "NULL" if synapse.direct else _words(plan, "sums")
    if node.source == IMAGE:
        source = "input, NULL"
    else:
        place = [one.node.name for one in plan.turns].index(node.source)
        area = f"{'before' if node.name in turn.late else 'spikes'}_{place}"
        source = f"NULL, {_bytes(plan, area)}"
    yield f"    snn_arrive(&synapse_{identifier(node.name)}, {source}, {sums}, {target});"


def _golden_values(program: Program, golden: Golden) -> dict[str, Any]:
    """The first golden input as arrays in C, and the read-out after each of its timesteps."""
    tile, membranes = golden.tiles[0], golden.membranes[program.readout.name][:, 0]
    return {
        "tile": array("int16_t", "given", np.moveaxis(tile, -3, -1)),
        "expected": array("int32_t", "expected", np.moveaxis(membranes, -3, -1)),
    }


def _readme_values(plan: StepPlan) -> dict[str, Any]:
    taken, program = step_footprint(plan), plan.program
    what = "one for each timestep" if program.over_time else "the same at every timestep"
    form = program.form
    if form and form.kind == "spikes":
        grid = f"whole numbers of spikes, {program.input_low} to {program.input_high}"
    elif form:
        grid = (
            f"floor(value / 2^{form.exponent} + 1/2), clipped to {program.input_low} .. {program.input_high}"
        )
    else:
        grid = (
            f"floor((grey - {program.input_offset}) / {program.input_step} + 1/2), clipped to "
            f"{program.input_low} .. {program.input_high}, of grey levels 0 to 255"
        )
    added = "; it is added to the input's image" if program.adds_image else ""
    return {
        "constants": f"{taken.constants:,}",
        "ram": f"{taken.ram:,}",
        "what": what,
        "grid": grid,
        "scale": f"2^{round(log2(program.residual_scale * program.timesteps))}{added}",
        "example": _example(program),
        "layers": "\n".join(_layer_row(synapse) for synapse in plan.synapses),
    }


def _example(program: Program) -> str:
    return "next_input(input)" if program.over_time else "time ? NULL : input"


def _layer_row(synapse: Synapse) -> str:
    rows, columns = synapse.node.weight.shape[2:]
    late = ", a timestep late" if synapse.node.delay else ""
    shape = f"{synapse.node.weight.shape[1]} to {synapse.node.weight.shape[0]}, {rows}x{columns}"
    alone = ", each to itself" if synapse.diagonal else ""
    return (
        f"| {synapse.node.name} | {synapse.node.source}{late} | {shape}{alone} | {synapse.weights.size:,} |"
    )
