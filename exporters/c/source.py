"""The generated files: snn.h and snn.c of a plan."""

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.exporters.c.memory import (
    Memory,
    Ring,
    lay_out,
    loose_planes,
    place_of,
    source_ring,
    stream_plane,
    stream_ring,
    sum_plane,
)
from snn_tool.exporters.c.passes import pass_name
from snn_tool.exporters.c.plan import LANES, Conv, Layer, Plan
from snn_tool.exporters.c.proofs import Held, division, kept
from snn_tool.exporters.c.rows import QUAD
from snn_tool.exporters.c.schedule import delay_rows
from snn_tool.exporters.nir.program import IMAGE, MEMBRANE_SHIFT, GradedNode, LifNode

RUNTIME = ("snn_runtime.h", "snn_rows.h", "snn_vector.h", "snn_avx2.h", "snn_dsp.h")
NUMBERS_IN_LINE = 32
TAPPED, SEEN = "ring_tapped", "ring_seen"


def template(name: str, values: Mapping[str, Any]) -> str:
    """A template of this room, filled in.

    Raises:
        KeyError: a value is missing.
    """
    return Template(text_of(f"templates/{name}")).substitute(values)


def text_of(name: str) -> str:
    """A file that comes with this room."""
    return (files("snn_tool.exporters.c") / name).read_text(encoding="utf-8")


def identifier(name: str) -> str:
    """A name as C takes it."""
    return re.sub(r"\W", "_", name, flags=re.ASCII)


def header(plan: Plan, memory: Memory, prefix: str) -> str:
    """snn.h."""
    return template("snn.h", header_values(plan, memory, prefix))


def header_values(plan: Plan, memory: Memory, prefix: str) -> dict[str, Any]:
    """What the templates of snn.h and of the interface are filled with."""
    program, readout = plan.program, plan.layers[-1]
    scale = 255 * 2 ** max(plan.exponent, 0)
    same = readout.source.width == plan.unit[0] and readout.source.height == plan.unit[1]
    return {
        "p": prefix,
        "U": prefix.upper(),
        "title": f"A spiking network of {len(plan.layers)} layers, T = {program.timesteps}.",
        "channels": program.channels,
        "out_channels": readout.node.channels,
        "unit_width": plan.unit[0],
        "unit_height": plan.unit[1],
        "before_unit": plan.unit[0] - 1,
        "before_height": plan.unit[1] - 1,
        "fixed": int(plan.fixed),
        "delay": delay_rows(plan.schedule),
        "passes": program.passes,
        "events": f"{pass_name(program, prefix).upper()}_EVENTS",
        "bytes_unit": memory.total[0],
        "bytes_fixed": memory.total[1],
        "taps_unit": memory.taps[0],
        "taps_fixed": memory.taps[1],
        "nodes": len(plan.layers) + 2,
        "last": len(plan.layers),
        "out": len(plan.layers) + 1,
        "out_width": readout.source.width,
        "out_height": readout.node.height,
        "same_size": int(same),
        "adds_image": int(program.adds_image),
        "low": program.input_low,
        "high": program.input_high,
        "step": program.input_step,
        "offset": program.input_offset,
        "split": plan.sources[IMAGE].split,
        "image_zero": plan.sources[IMAGE].zero,
        "numerator": scale,
        "denominator": program.timesteps * 2 ** max(-plan.exponent, 0),
        "clears": "\n".join(_clears(plan)),
    }


def _clears(plan: Plan) -> Iterator[str]:
    """Lines of `init` that make the margins of every row zeros."""
    image, split = plan.sources[IMAGE], int(plan.sources[IMAGE].split > 0)
    spiking = [layer.source for layer in plan.layers[:-1]]
    rings = [("ring_image", image.zero, split), ("ring_nothing_image", image.zero, split)]
    rings += [(source_ring(plan, source.name), source.zero, 0) for source in spiking]
    rings += [("ring_nothing", source.zero, 0) for source in spiking if not source.share][:1]
    for ring, zero, is_split in rings:
        yield f"    snn_clear(state->memory, state->unit, &{ring}, {zero}, {is_split});"


def program_text(plan: Plan, memory: Memory, prefix: str) -> str:
    """snn.c."""
    parts = [
        f"/* Made by snn-tool from network.nir; {len(plan.convs)} convolutions, "
        f"{len(plan.layers)} populations. */\n"
        '#include "snn.h"\n#include "snn_runtime.h"\n',
        *(_ring(ring) for ring in memory.rings.values()),
        *(conv_text(conv, prefix) for conv in plan.convs),
        *(_neurons(plan, layer) for layer in plan.layers),
        *(_make(plan, layer, prefix) for layer in plan.layers),
        _tables(plan, prefix),
        template("interface.c", header_values(plan, memory, prefix)),
    ]
    return "\n".join(parts)


def _ring(ring: Ring) -> str:
    place = (*ring.offset, *ring.plane, ring.planes, ring.rows, ring.left)
    numbers = (*place, ring.pixel, ring.share, ring.steps)
    text = f"static const snn_ring {ring.name} = {{{', '.join(map(str, numbers))}}};"
    return f"#ifdef SNN_TAPS\n{text}\n#endif" if ring.name in (TAPPED, SEEN) else text


def array(kind: str, name: str, values: NDArray[Any]) -> str:
    """A constant array; long ones over several lines."""
    numbers = [str(value) for value in values.ravel().tolist()]
    lines = (", ".join(numbers[at : at + NUMBERS_IN_LINE]) for at in range(0, len(numbers), NUMBERS_IN_LINE))
    body = ",\n    ".join(lines)
    return f"static const {kind} {name}[{len(numbers)}] = {{\n    {body}}};"


def portable_weights(conv: Conv) -> NDArray[np.int64]:
    """Int64 [kh, kw, Ci, lanes]."""
    missing = conv.lanes - conv.mantissa.shape[0]
    return np.pad(conv.mantissa.transpose(2, 3, 1, 0), [(0, 0)] * 3 + [(0, missing)])


def byte_weights(conv: Conv) -> NDArray[np.int64]:
    """Int64 [kh, kw, Ci / 4, lanes, 4], as AVX2 and DSP take them."""
    wide = portable_weights(conv)
    rows, columns, inputs, lanes = wide.shape
    quads = -(-inputs // QUAD)
    wide = np.pad(wide, [(0, 0), (0, 0), (0, quads * QUAD - inputs), (0, 0)])
    return wide.reshape(rows, columns, quads, QUAD, lanes).transpose(0, 1, 2, 4, 3)


def conv_text(conv: Conv, prefix: str) -> str:
    """Weights and description of a convolution."""
    name, node = identifier(conv.name), conv.node
    events = f"{prefix.upper()}_EVENTS_{name.upper()}"
    rows, columns = conv.mantissa.shape[2:]
    sums = np.pad(conv.mantissa.sum(axis=(1, 2, 3)), (0, -conv.mantissa.shape[0] % LANES))
    numbers = (
        *(conv.inputs, conv.mantissa.shape[0], conv.lanes, rows, columns, node.stride, node.padding),
        *(node.dilation, node.upsample, 1 << node.mantissa_exponent, int(conv.wraps), conv.taps, conv.split),
        *(conv.fast_taps, conv.fast_split, conv.event_rows, conv.segment),
    )
    fields = ", ".join(map(str, numbers))
    lines = [
        f"\n/* {conv.name}: of 1000 values that it reads {conv.density} were not 0 on the golden tiles. */",
        f"#ifndef {events}\n#define {events} ({conv.density} < SNN_EVENTS_BELOW)\n#endif",
    ]
    portable = array("int8_t", f"weight_{name}", portable_weights(conv))
    described = f"static const snn_conv conv_{name} = {{{fields}, {events}, "
    fast = "SNN_KERNEL == SNN_AVX2 || SNN_KERNEL == SNN_DSP" if conv.fast_taps else "SNN_KERNEL == SNN_DSP"
    return "\n".join(
        [
            *lines,
            f"#if ({fast}) && !{events}",
            array("int8_t", f"weight_{name}", byte_weights(conv)),
            "#if SNN_KERNEL == SNN_AVX2",
            array("int32_t", f"sums_{name}", sums),
            "#endif",
            f"{described}NULL, weight_{name}, SNN_SUMS(sums_{name})}};",
            "#else",
            portable,
            f"{described}weight_{name}, NULL, NULL}};",
            "#endif",
        ]
    )


def _neurons(plan: Plan, layer: Layer) -> str:
    place, node = place_of(plan, layer.name), layer.node
    bias = array("int32_t", f"bias_{place}", layer.bias)
    head = f"/* {layer.name} */\n{bias}\n"
    if isinstance(node, GradedNode):
        multiplier, shift = division(node.threshold, node.levels)
        numbers = (node.channels, node.threshold, node.levels, int(node.signed), int(layer.clips))
        body = f"{', '.join(map(str, numbers))}, {multiplier}u, {shift}, bias_{place}"
        return f"{head}static const snn_graded neurons_{place} = {{{body}}};"
    part, whole, wide = kept(node)
    fires = isinstance(node, LifNode)
    threshold = node.threshold << MEMBRANE_SHIFT if isinstance(node, LifNode) else 0
    head_numbers = (node.channels, threshold, int(fires), part, whole)
    body = ", ".join(map(str, (*head_numbers, int(wide), int(layer.wraps), int(layer.clips))))
    return f"{head}static const snn_lif neurons_{place} = {{{body}, bias_{place}}};"


def _make(plan: Plan, layer: Layer, prefix: str) -> str:
    """The function that makes the next rows of a population."""
    place, steps = place_of(plan, layer.name), plan.program.timesteps
    body = [*_copied(plan, layer)]
    body += [line for index, conv in enumerate(layer.convs) for line in _synapse(plan, layer, conv, index)]
    body += _respond(plan, layer)
    if layer.stepwise:
        body = [f"    for (step = 0; step < {steps}; step++) {{", *_deeper(body), "    }"]
    lines = [
        f"\n/* {layer.name}: {' + '.join(layer.node.inputs)} */",
        f"static void make_{place}({prefix}_state *state)",
        "{",
        "    uint8_t *memory = state->memory;",
        "    const uint32_t unit = state->unit;",
        f"    const int32_t row = state->made[{place}], width = (int32_t)unit * {layer.source.width};",
        f"    const int32_t count = width * {layer.node.channels};",
        f"    snn_sums sums[{layer.group}];",
        "    int32_t *products = snn_integers(memory, unit, &ring_products, 0);",
        "    int32_t at, step;",
        f"    for (at = 0; at < {layer.group}; at++)",
        f"        sums[at] = {_sum_row(plan, layer)};",
        *body,
        f"    state->made[{place}] += {layer.group};",
        "}",
    ]
    return "\n".join(lines)


def _deeper(lines: Iterable[str]) -> Iterator[str]:
    return (line if line.startswith("#") else f"    {line}" for line in lines)


def _sum_row(plan: Plan, layer: Layer) -> str:
    """The first plane of row `at` of a layer's sums."""
    if layer.stream:
        stream = plan.streams[layer.stream]
        return _held(f"snn_row(memory, unit, &{stream_ring(plan, stream.name)}, row + at)", stream.held)
    row = f"(size_t)unit * {loose_planes(layer) * sum_plane(layer)} * (size_t)at"
    return _held(f"snn_row(memory, unit, &ring_sums, 0) + {row}", layer.held)


def _held(row: str, held: Held) -> str:
    """A plane of sums."""
    return f"snn_plane_of({row}, count, {held.size}, {held.shift})"


def _apart(plan: Plan, layer: Layer) -> str:
    """Bytes from a timestep's plane of sums to the next one's."""
    if layer.stepwise or layer.planes == 1:
        return "0"
    plane = stream_plane(plan.streams[layer.stream]) if layer.stream else sum_plane(layer)
    return f"(size_t)unit * {plane}"


def _plane(plan: Plan, layer: Layer) -> str:
    """The plane of a layer's sums for `step` and row `at`."""
    apart = _apart(plan, layer)
    if apart == "0":
        return "sums[at]"
    held = plan.streams[layer.stream].held if layer.stream else layer.held
    return _held(f"sums[at].row + {apart} * (size_t)step", held)


def _other_plane(plan: Plan, population: str) -> str:
    """The plane that holds another population's sum for `step` and row `at`."""
    stream = plan.stream_of(population)
    row = f"snn_row(memory, unit, &{stream_ring(plan, stream.name)}, row + at)"
    if stream.planes > 1:
        row += f" + (size_t)unit * {stream_plane(stream)} * (size_t)step"
    return _held(row, stream.held)


def _copied(plan: Plan, layer: Layer) -> Iterator[str]:
    """What begins a sum that another ring holds the beginning of."""
    if not layer.continues or plan.stream_of(layer.continues).name == layer.stream:
        return
    yield f"    for (at = 0; at < {layer.group}; at++)"
    if not layer.stepwise:
        yield f"        for (step = 0; step < {layer.planes}; step++)"
    yield f"            snn_copy({_other_plane(plan, layer.continues)},"
    yield f"                     {_plane(plan, layer)});"


def _synapse(plan: Plan, layer: Layer, conv: Conv, index: int) -> Iterator[str]:
    """The rows of one convolution, added to the sum."""
    source, factor = conv.source, conv.node.upsample
    nothing = "NULL" if source.share else "&ring_nothing_image" if source.name == IMAGE else "&ring_nothing"
    high = 1 << source.split if source.split else 0
    made = f"state->made[{place_of(plan, source.name)}]"
    about = f"{{&{source_ring(plan, source.name)}, {nothing}, {made}, {source.zero}, {high}}}"
    adds = int(index > 0 or bool(layer.continues))
    copies = layer.planes if conv.planes == 1 else 1
    yield "    {"
    yield f"        const snn_source source = {about};"
    yield f"        for (at = 0; at < {layer.group // factor}; at++)"
    if not layer.stepwise:
        yield f"            for (step = 0; step < {conv.planes}; step++)"
    yield f"                snn_synapse(memory, unit, &conv_{identifier(conv.name)}, &source,"
    yield f"                            row / {factor} + at, width / {factor}, step, products, {adds},"
    yield f"                            {copies}, {_apart(plan, layer)}, sums + at * {factor});"
    yield "    }"


def _respond(plan: Plan, layer: Layer) -> Iterator[str]:
    """What the neurons make of the sum."""
    place, source, graded = place_of(plan, layer.name), layer.source, isinstance(layer.node, GradedNode)
    beside = _other_plane(plan, layer.beside) if layer.beside else "snn_plane_of(NULL, 0, 0, 0)"
    yield f"    for (at = 0; at < {layer.group}; at++)"
    steps = f"for (step = 0; step < {plan.program.timesteps}; step++) "
    yield f"        {'' if layer.stepwise else steps}{{"
    yield f"            const snn_sums currents = {_plane(plan, layer)};"
    yield f"            const snn_sums beside = {beside};"
    yield from _graded_rows(plan, layer) if graded else _lif_rows(plan, layer)
    given = f"&neurons_{place}, &currents, &beside, width"
    if graded:
        yield f"            snn_grade({given}, {source.pixel}, SNN_ZERO({source.zero}), spikes, membranes);"
    else:
        ring = source_ring(plan, layer.name)
        yield f"            snn_fire({given}, step, &{ring}, spikes, seen, membranes);"
    yield "#ifdef SNN_TAPS"
    yield "            if (state->tap)"
    yield f"                state->tap(state->user, {place - 1}, step, row + at, membranes,"
    seen = "spikes" if graded else "seen"
    yield f"                           {seen}, {source.pixel}, SNN_ZERO({source.zero}));"
    yield "#endif"
    yield "        }"


def _graded_rows(plan: Plan, layer: Layer) -> Iterator[str]:
    """Where spikes go, one byte each, and with taps membranes."""
    ring, source = source_ring(plan, layer.name), layer.source
    yield f"            uint8_t *spikes = snn_row(memory, unit, &{ring}, row + at)"
    yield f"                              + snn_plane_bytes(&{ring}, unit) * (size_t)step"
    yield f"                              + {source.left * source.pixel};"
    yield "#ifdef SNN_TAPS"
    yield f"            int32_t *membranes = snn_integers(memory, unit, &{TAPPED}, 0);"
    yield "#else"
    yield "            int32_t *membranes = NULL;"
    yield "#endif"


def _lif_rows(plan: Plan, layer: Layer) -> Iterator[str]:
    """Where membranes stand, and the row and plane of bits that spikes go to; with taps bytes as well."""
    ring, seen = source_ring(plan, layer.name), "            uint8_t *seen = NULL;"
    if layer is plan.layers[-1]:
        yield "            uint8_t *spikes = NULL;"
        yield seen
        yield f"            int32_t *membranes = snn_integers(memory, unit, &{ring}, row + at);"
        return
    yield f"            uint8_t *spikes = snn_row(memory, unit, &{ring}, row + at)"
    yield f"                              + snn_plane_bytes(&{ring}, unit) * (size_t)(step / 8);"
    yield "            int32_t *membranes = snn_integers(memory, unit, &ring_membranes, 0)"
    yield f"                                 + {'at * count' if layer.stepwise else '0'};"
    yield "#ifdef SNN_TAPS"
    yield f"            uint8_t *seen = snn_row(memory, unit, &{SEEN}, 0);"
    yield "#else"
    yield seen
    yield "#endif"


def _tables(plan: Plan, prefix: str) -> str:
    """What decides which population's turn it is."""
    schedule = plan.schedule
    nodes, count = len(schedule.groups), len(schedule.buffers)
    needs = ",\n    ".join(
        f"{{{n.reader}, {n.buffer}, {n.after}, {n.stride}, {n.upsample}, {n.back}, {n.ahead}}}"
        for n in schedule.needs
    )
    rows = [plan.rows[name] for name in schedule.buffers]
    creators = [schedule.creator(index) for index in range(count)]
    makers = ", ".join(["NULL", *(f"make_{place}" for place in range(1, nodes))])
    return "\n".join(
        [
            f"\nstatic const snn_need needs[{len(schedule.needs)}] = {{\n    {needs}}};",
            array("int32_t", "groups", np.array(schedule.groups)),
            array("int32_t", "heights", np.array(schedule.heights)),
            array("int32_t", "ring_rows", np.array(rows)),
            array("int32_t", "creators", np.array(creators)),
            f"static const snn_tables tables = {{{nodes}, {len(schedule.needs)}, {count},",
            "                                  needs, groups, heights, ring_rows, creators};",
            f"static void (*const make[{nodes}])({prefix}_state *) = {{{makers}}};",
            f"static int mirror({prefix}_state *state);\n",
        ]
    )


def network_files(plan: Plan, prefix: str) -> dict[str, str]:
    """Contents by file name of all that one network needs to be compiled."""
    memory, one = lay_out(plan), pass_name(plan.program, prefix)
    made = {"snn.h": header(plan, memory, one), "snn.c": program_text(plan, memory, one)}
    if plan.program.passes > 1:
        values = image_values(plan, memory, prefix)
        made["snn_pass.h"] = made["snn.h"]
        made["snn.h"] = template("passes.h", values)
        made["snn.c"] += template("passes.c", values)
    return made | {name: text_of(f"runtime/{name}") for name in RUNTIME}


def image_values(plan: Plan, memory: Memory, prefix: str) -> dict[str, Any]:
    """The same as `header_values`, of all passes: what comes in is the image alone."""
    program = plan.program
    own = {"channels": program.image_channels, "delay": delay_rows(plan.schedule, program.passes)}
    return header_values(plan, memory, prefix) | own
