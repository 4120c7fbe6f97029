"""`snn-tool degrade`: degraded copies of photographs, to look at or to keep."""

from pathlib import Path
from typing import Annotated

import typer
from snn_tool.cli.options import Strength, Task
from snn_tool.tables import printable
from snn_tool.terminal import terminal_of


def degrade(
    context: typer.Context,
    images: Annotated[Path, typer.Option("--images", help="Folder of clean images.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the copies (PNG) and contact-sheet.png.")],
    task: Task = "denoise",
    strength: Strength = None,
    seed: Annotated[int, typer.Option("--seed", help="With an image's name, its draw.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Degrade photographs as a training would, rounded to 8 bits, with a sheet that shows both.

    OUT/degraded and OUT/clean are pairs, ready for --pairs OUT.
    """
    from snn_tool.degradations.tasks import degradation_from_options, task_text
    from snn_tool.networks.degrading import degrade_folder

    terminal = terminal_of(context)
    degradation = degradation_from_options(task or "denoise", strength)
    written = degrade_folder(images, out, degradation, seed, overwrite, terminal.track)
    document = {
        "degradation": degradation.describe(),
        "seed": seed,
        "images": {str(source): str(target) for source, target in written.copies.items()},
        "contact_sheet": str(written.sheet),
    }
    text = f"{len(written.copies)} images, {task_text(degradation.describe())}, seed {seed}"
    terminal.result(f"{text}\n{printable(written.sheet)}", document)
