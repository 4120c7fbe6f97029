"""The conformance matrix on the terminal, as JSON and as one HTML page that needs nothing beside it."""

from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

from snn_tool.files.artifacts import write_json, write_text
from snn_tool.deploy.conformance import KIND, SCHEMA, Conformance, Row
from snn_tool.files.ownership import claim, is_kind, owned_path, refuse_existing_file
from snn_tool.tables import plain_table, printable, rendered

JSON, PAGE = "conformance.json", "conformance.html"
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}th,td{padding:.3rem .6rem;border-bottom:1px solid #ccc;"
    "text-align:left}td.n{text-align:right;font-variant-numeric:tabular-nums}tr.bad{background:#fde8e8}"
)


def conformance_document(made: Conformance) -> dict[str, Any]:
    """The matrix as JSON values."""
    rows = [{**asdict(row), "differing": row.differing, "differs": row.differs} for row in made.rows]
    return {"passed": made.passed, **asdict(made), "rows": rows}


def claim_conformance(folder: Path, overwrite: bool) -> None:
    """Refuse what stands where conformance.json and conformance.html will be written.

    Raises:
        ConfigError: one exists, and `overwrite` is false or it is not ours.
    """
    refuse_existing_file(folder / JSON, overwrite)
    refuse_existing_file(folder / PAGE, overwrite)
    claim([folder / JSON, folder / PAGE], _is_ours)


def _is_ours(path: Path) -> bool:
    """Whether a file without a ledger beside it is one of ours, as older versions wrote them."""
    return is_kind(path, KIND) if path.name == JSON else STYLE.encode() in path.read_bytes()


def write_conformance(folder: Path, made: Conformance) -> None:
    """Write conformance.json and conformance.html.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    write_json(folder / JSON, KIND, SCHEMA, conformance_document(made), owned_path)
    write_text(folder / PAGE, conformance_page(made), owned_path)


def conformance_text(made: Conformance) -> str:
    """A table, the reasons of what did not load or run, and the populations that differ."""
    table = plain_table(
        f"{made.tiles} tiles of {made.width}x{made.height} pixels, {made.images}; "
        f"integer engine {made.reference_psnr_db:.2f} dB",
        ("backend", "membrane", "loads", "runs"),
        ("spikes differ", "of", "output", "dB"),
        1,
    )
    for row in made.rows:
        table.add_row(*_cells(row))
    return rendered(table, *map(printable, _remarks(made)))


def _cells(row: Row) -> tuple[str, ...]:
    plain = (row.backend, row.membrane, "yes" if row.loads else "no", "yes" if row.runs else "no")
    if not row.runs or row.psnr_db is None:
        return (*plain, "-", "-", "-", "-")
    output = f"{row.readout_difference_levels:.3g}"
    return (*plain, f"{row.differing:,}", f"{row.spikes_compared:,}", output, f"{row.psnr_db:.2f}")


def _remarks(made: Conformance) -> list[str]:
    lines = [made.images_used.text()]
    lines += ["output: largest difference of the residual image, in grey levels of 255"]
    for row in made.rows:
        if row.reason:
            lines.append(f"{row.backend} ({row.membrane}): {row.reason}")
        elif row.differing:
            layers = ", ".join(f"{name} {count:,}" for name, count in row.differing_spikes.items() if count)
            lines.append(f"{row.backend} ({row.membrane}) differs in {layers}")
    return lines


def conformance_page(made: Conformance) -> str:
    """The matrix as HTML."""
    titles = ("backend", "membrane", "loads", "runs", "spikes differ", "of", "output", "dB", "versions")
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = "".join(_html_row(row) for row in made.rows)
    remarks = "".join(f"<li>{_html(line)}</li>" for line in _remarks(made))
    title = f"Conformance of {_html(made.bundle)}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"<h1>{title}</h1><p>{made.tiles} tiles of {made.width}x{made.height} pixels, {_html(made.images)}; "
        f"integer engine {made.reference_psnr_db:.2f} dB; {'passed' if made.passed else 'failed'}.</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><ul>{remarks}</ul></html>\n"
    )


def _html(foreign: str) -> str:
    return escape(printable(foreign))


def _html_row(row: Row) -> str:
    cells = _cells(row)
    texts = "".join(f"<td>{_html(cell)}</td>" for cell in cells[:4])
    numbers = "".join(f'<td class="n">{_html(cell)}</td>' for cell in cells[4:])
    versions = _html(", ".join(f"{name} {version}" for name, version in row.versions.items()))
    return f'<tr class="{"bad" if row.differs else "good"}">{texts}{numbers}<td>{versions}</td></tr>'
