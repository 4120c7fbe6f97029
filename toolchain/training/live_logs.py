"""Logs that are looked at while a network trains: TensorBoard by its name, any Lightning logger from Python.

`metrics.csv` is written in any case; it is what a resumed run goes on with, and what the curves are drawn of.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from lightning.pytorch.loggers import Logger, TensorBoardLogger
from snn_tool.errors import BackendUnavailableError, ConfigError
from snn_tool.files.ownership import claim, disown, holding
from snn_tool.training.options import CSV, LOGGERS, TENSORBOARD

Chosen = Annotated[str | Logger, "a name of `LOGGERS`, or a logger of Lightning"]

PACKAGES = ("tensorboard", "tensorboardX")
"""Either writes TensorBoard's files."""
REMEDY = "pip install tensorboard"
EVERY_STEPS = 10
"""Losses go to a live log so often; validation figures whenever there are some."""

is_event_file = holding(b"brain.Event:")
"""TensorBoard's files begin with a record that names their version."""


def logger_of(chosen: Chosen, folder: Path, resume: bool) -> Logger | None:
    """The logger that a run was asked for; None if `metrics.csv` is all.

    Events of TensorBoard lie in `tensorboard/` of the run folder. A run that starts over removes those of the
    run before, which TensorBoard would draw into the same curves; one that goes on adds to them.

    Args:
        chosen: `csv`, `tensorboard`, or a logger of Lightning, which is returned as it is.
        folder: of the run.
        resume: whether the run goes on.

    Raises:
        ConfigError: another name, or a file that is none of TensorBoard's bears the name of one.
        BackendUnavailableError: TensorBoard is not installed.
    """
    check_logger(chosen)
    if isinstance(chosen, Logger):
        return chosen
    if chosen == CSV:
        return None
    if not resume:
        old = sorted((folder / TENSORBOARD).glob("events.out.tfevents.*"))
        claim(old, is_event_file)
        disown(old)
    return TensorBoardLogger(folder, name=TENSORBOARD, version="")


def check_logger(chosen: Chosen) -> None:
    """Refuse what cannot log, before anything is trained.

    Raises:
        ConfigError: no logger has this name.
        BackendUnavailableError: TensorBoard is not installed.
    """
    if isinstance(chosen, Logger):
        return
    if chosen not in LOGGERS:
        names = " or ".join(LOGGERS)
        raise ConfigError(f"--logger {chosen}: use {names}; from Python also a logger of Lightning")
    if chosen == TENSORBOARD and not any(map(find_spec, PACKAGES)):
        raise BackendUnavailableError(f"--logger {TENSORBOARD}: it is not installed; run `{REMEDY}`")
