"""An audit of parameters and MACs as text for a terminal."""

from snn_tool.energy.counts.profilers import ParameterAudit
from snn_tool.tables import plain_table, rendered


def audit_text(name: str, audit: ParameterAudit, rows: int) -> str:
    """Totals, reasons, and the modules that differ most."""
    height, width = audit.image_shape[2:]
    totals = plain_table(
        f"{name}, one image of {width}x{height}", ("",), ("real", "thop-like", "reported / real"), 2
    )
    for title, real, said in (
        ("parameters", audit.parameters, audit.reported_parameters),
        ("MACs", audit.macs, audit.reported_macs),
    ):
        totals.add_row(title, f"{real:,}", f"{said:,}", f"{said / real:.4g}" if real else "–")
    totals.add_row("MACs without padding", f"{audit.exact_macs:,}", "", "")
    parts = [totals]
    if audit.reasons:
        why = plain_table("Why", ("",), ("modules", "parameters missing", "MACs missing"), 1)
        for reason, (modules, parameters, macs) in audit.reasons.items():
            why.add_row(reason, f"{modules:,}", f"{parameters:,}", f"{macs:,}")
        why.columns[0].no_wrap = False
        parts.append(why)
    differing = sorted(
        (row for row in audit.rows if row.reason),
        key=lambda row: (
            -abs(row.parameters - row.reported_parameters),
            -abs(row.macs - row.reported_macs),
        ),
    )[:rows]
    if differing:
        table = plain_table(
            "Modules that differ most (real / reported)", ("module",), ("parameters", "MACs"), 1
        )
        for row in differing:
            table.add_row(
                f"{row.path} ({row.class_name})",
                f"{row.parameters:,} / {row.reported_parameters:,}",
                f"{row.macs:,} / {row.reported_macs:,}",
            )
        table.columns[0].no_wrap = False
        parts.append(table)
    return rendered(*parts)
