"""Comparisons for people: the conformance matrix as text and as one HTML page, and an imported network."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

from snn_tool.deploy.compare_floats import Comparison, SpikeDifference
from snn_tool.deploy.conformance import TITLE, Conformance, Row
from snn_tool.deploy.import_nir import ImportedNetwork
from snn_tool.deploy.recorded_outputs import expected_document, expected_lines
from snn_tool.energy.pages.html import base_style
from snn_tool.inputs.encoding import grid_text
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.integer.neurons import DECAY_STEPS
from snn_tool.tables import LONGEST_CELL, plain_table, printable, rendered

IMPORT_SCHEMA = 1
STYLE = "tr.bad{background:#fde8e8;color:inherit}tr.good{color:inherit}"
"""Rows say how they ended by their ground; their text is that of the page."""


def conformance_text(made: Conformance) -> str:
    """A table, the reasons of what did not load or run, and the populations that differ."""
    table = plain_table(
        _headline(made),
        ("backend", "membrane", "loads", "runs"),
        ("spikes differ", "of", "output", _quality(made)),
        1,
    )
    for row in made.rows:
        table.add_row(*_cells(row))
    return rendered(table, *map(printable, _remarks(made)))


def _headline(made: Conformance) -> str:
    """What was run, and how well the reference does."""
    if made.reference_psnr_db is not None:
        what = f"{made.tiles} tiles of {made.width}x{made.height} pixels, {made.images}"
        return f"{what}; integer engine {made.reference_psnr_db:.2f} dB"
    known = made.reference_accuracy
    accuracy = f"; integer engine {known:.2%}" if known is not None else ""
    return f"{made.tiles} samples, {made.images}{accuracy}"


def _quality(made: Conformance) -> str:
    return "dB" if made.reference_psnr_db is not None else "accuracy"


def _cells(row: Row) -> tuple[str, ...]:
    plain = (row.backend, row.membrane, "yes" if row.loads else "no", "yes" if row.runs else "no")
    if not row.runs:
        return (*plain, "-", "-", "-", "-")
    output = f"{row.readout_difference_levels:.3g}"
    quality = "-" if row.accuracy is None else f"{row.accuracy:.2%}"
    quality = quality if row.psnr_db is None else f"{row.psnr_db:.2f}"
    return (*plain, f"{row.differing:,}", f"{row.spikes_compared:,}", output, quality)


def _remarks(made: Conformance) -> list[str]:
    lines = [made.images_used.text()]
    restores = made.reference_psnr_db is not None
    of = "of the residual image, in grey levels of 255" if restores else "of an output"
    lines += [f"output: largest difference {of}"]
    for row in made.rows:
        if row.reason:
            lines.append(f"{row.backend} ({row.membrane}): {row.reason}")
        elif row.differing:
            layers = ", ".join(f"{name} {count:,}" for name, count in row.differing_spikes.items() if count)
            lines.append(f"{row.backend} ({row.membrane}) differs in {layers}")
    return lines


def conformance_page(made: Conformance) -> str:
    """The matrix as HTML."""
    known = ("backend", "membrane", "loads", "runs", "spikes differ", "of", "output")
    titles = (*known, _quality(made), "versions")
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = "".join(_html_row(row) for row in made.rows)
    remarks = "".join(f"<li>{_html(line)}</li>" for line in _remarks(made))
    title = f"{TITLE}{_html(made.bundle)}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{base_style()}{STYLE}</style>"
        f"<h1>{title}</h1><p>{_html(_headline(made))}; {'passed' if made.passed else 'failed'}.</p>"
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div><ul>{remarks}</ul></html>\n"
    )


def _html(foreign: str) -> str:
    return escape(printable(foreign))


def _html_row(row: Row) -> str:
    cells = _cells(row)
    texts = "".join(f"<td>{_html(cell)}</td>" for cell in cells[:4])
    numbers = "".join(f'<td class="n">{_html(cell)}</td>' for cell in cells[4:])
    versions = _html(", ".join(f"{name} {version}" for name, version in row.versions.items()))
    return f'<tr class="{"bad" if row.differs else "good"}">{texts}{numbers}<td>{versions}</td></tr>'


def import_text(imported: ImportedNetwork) -> str:
    """The network in a line, a line for each population, and what the integers change."""
    network, found = imported.network, imported.comparison
    names = {one.population: printable(one.population, LONGEST_CELL) for one in found.spikes}
    biggest = max(map(len, names.values()))
    lines = [
        f"{printable(imported.path)}: {len(network.populations) - 1} spiking populations, "
        f"{len(network.synapses)} synapses, {weights(network):,} weights of 8 bits; {_takes(network)}",
        f"{'population':{max(biggest, 10)}}  threshold  leak/4096  spikes/neuron/step  integers  differing",
    ]
    order = [population.wiring.name for population in network.populations]
    for one in found.spikes:
        at = order.index(one.population)
        parts = network.populations[at : at + one.parts]
        thresholds = _range([part.threshold for part in parts], ",")
        decays = _range([network.decay_of(part) for part in parts])
        lines.append(
            f"{names[one.population]:{max(biggest, 10)}}  {thresholds:>9}  "
            f"{decays:>9}  {one.float_spikes / one.neuron_steps:18.4f}  "
            f"{one.integer_spikes / one.neuron_steps:8.4f}  {one.differing / one.neuron_steps:9.4%}"
        )
    lines += [*_outputs(found), imported.samples.text() if imported.samples else imported.images.text()]
    lines += [_split(one) for one in found.spikes if one.parts > 1]
    lines += _registers(imported)
    if imported.classes:
        lines += imported.classes.lines()
    if imported.samples:
        lines += _rates(found, names)
    if imported.expected and imported.expected_file:
        lines += map(printable, expected_lines(imported.expected_file, *imported.expected))
    return "\n".join([*lines, *filter(None, (imported.warning, imported.note))])


def _range(values: Sequence[int], form: str = "") -> str:
    """One number, or the least and the largest."""
    ends = sorted({min(values), max(values)})
    return "-".join(format(end, form) for end in ends)


def _split(one: SpikeDifference) -> str:
    return (
        f"{printable(one.node, LONGEST_CELL)}: {one.parts} populations, one for each pair of time constants, "
        "of which a population of the chip has one"
    )


def _rates(found: Comparison, names: Mapping[str, str]) -> list[str]:
    """The first population whose rates differ, and the one where they differ most."""
    first, most = found.first_different, found.most_different
    if first is None or most is None:
        return []

    def told(one: SpikeDifference) -> str:
        spikes = f"{one.float_spikes:,} spikes, in integers {one.integer_spikes:,}"
        return f"{names[one.population]}: {spikes}"

    if first is most:
        return [f"rates differ first and most in {told(most)}"]
    return [f"rates differ first in {told(first)}; most in {told(most)}"]


def _registers(imported: ImportedNetwork) -> list[str]:
    """How inputs become integers, where they are no images."""
    if imported.network.grid is None:
        return []
    clipped = imported.comparison.clipped
    beyond = f"; {clipped:,} values lie beyond it and are clipped" if clipped else ""
    return [grid_text(imported.network.grid) + beyond]


def weights(network: IntegerNetwork) -> int:
    """Number of stored weights."""
    return sum(synapse.mantissa.size for synapse in network.synapses)


def _takes(network: IntegerNetwork) -> str:
    channels, multiple = network.topology.image_channels, network.topology.multiple
    if network.image_size:
        if network.image_size == (1, 1):
            return f"vectors of {channels} values"
        return f"images of {channels}x{network.image_size[0]}x{network.image_size[1]} alone"
    sides = f" with sides that are multiples of {multiple}" if multiple > 1 else ""
    return f"images of {channels} channels and any size{sides}"


def _outputs(found: Comparison) -> list[str]:
    lines = [
        f"output, integers less float64, on {len(found.images)} images: rms {found.rms_difference:.3g} "
        f"({found.relative_difference:.2%} of the output's), largest {found.largest:.3g}"
    ]
    if found.same_class is not None:
        lines.append(f"largest output at the same place on {found.same_class} of {len(found.images)} images")
    if psnr := found.document()["psnr_db"]["float"]:
        integer = found.document()["psnr_db"]["integer"]
        lines.append(f"against the clean images: float64 {psnr:.2f} dB, integers {integer:.2f} dB")
    return lines


def import_document(imported: ImportedNetwork) -> dict[str, Any]:
    """The same as JSON values."""
    network = imported.network
    return {
        "schema": IMPORT_SCHEMA,
        "path": str(imported.path),
        "timesteps": network.timesteps,
        "image_channels": network.topology.image_channels,
        "image_size": list(network.image_size) if network.image_size else None,
        "adds_image": network.adds_image,
        "restores": network.topology.restores,
        "weights": weights(network),
        "thresholds": {p.wiring.name: p.threshold for p in network.populations[:-1]},
        "leaks": {p.wiring.name: network.decay_of(p) / DECAY_STEPS for p in network.populations},
        **imported.comparison.document(),
        "images_used": imported.images.document(),
        "inputs": imported.samples.document() if imported.samples else None,
        "input_grid": asdict(network.grid) if network.grid else None,
        "classes": imported.classes.to_dict() if imported.classes else None,
        "warnings": [imported.warning] if imported.warning else [],
        "fitting_dt_s": imported.fitting_dt_s,
        "notes": [imported.note] if imported.note else [],
        "expected": expected_document(imported.expected_file, *imported.expected)
        if imported.expected and imported.expected_file
        else None,
    }
