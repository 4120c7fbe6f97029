"""The picture of a run: drawn from the log's figures alone, where they say, and the same bytes every time."""

import re
from pathlib import Path

import numpy as np
from snn_tool.files.ownership import is_ours
from snn_tool.training.curves import CURVES, run_svg, write_curves
from snn_tool.training.run_folder import COLUMNS

ROWS = [
    dict.fromkeys(COLUMNS, "")
    | {"step": str(step), "val_psnr_db": psnr, "lr": "0.001", "loss": loss, "loss_l1": loss, "loss_fft": "0"}
    for step, psnr, loss in ((100, "20", "0.1"), (200, "25", "0.01"), (300, "26.25", "0.001"))
]
LINE = re.compile(r'<path d="(M [^"]*)" clip-path="url\(#(\w+)\)" style="fill: none; stroke: #')


def lines(svg: str) -> list[np.ndarray]:
    """The points of every drawn line, x and y in the picture's units."""
    found = []
    for path, _ in LINE.findall(svg):
        numbers = [float(word) for word in path.split() if word not in "MLz"]
        if len(numbers) == 2 * len(ROWS):
            found.append(np.array(numbers).reshape(-1, 2))
    return found


def test_lines_run_as_the_figures_do() -> None:
    """PSNR on a linear axis, 5 and then 1.25 dB up; losses on a logarithmic one, a decade at each step."""
    svg = run_svg(ROWS)
    quality, *losses = lines(svg)
    rises = -np.diff(quality[:, 1])  # an SVG's y runs down
    np.testing.assert_allclose(rises[0] / rises[1], 4, rtol=1e-3)
    np.testing.assert_allclose(np.diff(quality[:, 0]), np.diff(quality[:, 0])[0], rtol=1e-3)
    assert len(losses) == 2, "a loss that is zero everywhere, and columns without figures, have no line"
    for loss in losses:
        falls = np.diff(loss[:, 1])
        assert falls[0] > 0
        np.testing.assert_allclose(falls[0], falls[1], rtol=1e-3)


def test_the_same_log_gives_the_same_bytes_which_are_ours(tmp_path: Path) -> None:
    log = tmp_path / "metrics.csv"
    log.write_text("\n".join(",".join(line) for line in ([*COLUMNS], *(list(row.values()) for row in ROWS))))
    first = write_curves(log).read_bytes()
    assert first == write_curves(log).read_bytes() == run_svg(ROWS).encode()
    assert is_ours(tmp_path / CURVES)


def test_a_log_of_one_line_without_losses_is_drawn() -> None:
    row = dict.fromkeys(COLUMNS, "") | {"step": "1", "val_psnr_db": "20.0"}
    assert "</svg>" in run_svg([row])
