"""Targets and backends of other packages: found by their metadata, imported only when one is asked for.

A package that is broken must not break a command that does not name it. So a list of names costs no import,
metadata that cannot be read is passed over, and whatever a package raises becomes one line.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import Any

from snn_tool.errors import BackendUnavailableError
from snn_tool.exporters.contract.targets import GROUP, RESERVED, Backend, Target

LOGGER = logging.getLogger(__name__)
SHOWN = 200
UNREADABLE = (AttributeError, LookupError, OSError, TypeError, ValueError)
"""What importlib.metadata raises on damaged metadata."""


@dataclass(frozen=True, slots=True)
class Declared:
    """An entry point of the group, not imported.

    Attributes:
        name: what `--target` and `--backend` take.
        package, version: of the distribution.
        entry: what is to be imported.
    """

    name: str
    package: str
    version: str
    entry: EntryPoint

    def __str__(self) -> str:
        return f"{self.name} of {self.package} {self.version}"


@dataclass(frozen=True, slots=True, eq=False)
class Plugin:
    """An imported entry point; at least one of `target` and `backend` is there."""

    declared: Declared
    description: str
    target: Target | None
    backend: Backend | None


def declared() -> tuple[Declared, ...]:
    """Every entry point of the group, by name, then package."""
    found: dict[tuple[str, str], Declared] = {}
    for distribution in distributions():
        for item in _entries(distribution):
            # As for imports, of two copies of a package the first on the path counts.
            found.setdefault((item.name, item.package), item)
    return tuple(found[key] for key in sorted(found))


def _entries(distribution: Distribution) -> Iterator[Declared]:
    try:
        entries = list(distribution.entry_points.select(group=GROUP))
        head = (str(distribution.name), str(distribution.version)) if entries else ("", "")
    except UNREADABLE as error:
        LOGGER.debug("metadata of a package cannot be read: %s", error)
        return
    for entry in entries:
        yield Declared(entry.name, *head, entry)


def plugin_names() -> tuple[str, ...]:
    """Names that can be asked for; one that is built in stays what it is, which a warning says."""
    found = declared()
    for item in found:
        if item.name in RESERVED:
            LOGGER.warning("%s", name_fault(item, found))
    return tuple(sorted({item.name for item in found} - RESERVED))


def name_fault(item: Declared, among: tuple[Declared, ...]) -> str:
    """Why an entry point cannot be told by its name; empty if it can."""
    if item.name in RESERVED:
        return f"{item} is not used: the name {item.name} is built in; rename the entry point"
    namesakes = [str(other) for other in among if other.name == item.name]
    if len(namesakes) > 1:
        return f"{' and '.join(namesakes)} have one name; uninstall one of the packages"
    return ""


def open_plugin(name: str) -> Plugin:
    """Import what a name stands for and look at its parts.

    Raises:
        BackendUnavailableError: no package has it, or two have; it cannot be imported, or is neither a target
            nor a backend.
    """
    found = declared()
    item = next((one for one in found if one.name == name), None)
    if item is None:
        raise BackendUnavailableError(f"{name}: no package declares it in {GROUP}; install the one that does")
    if fault := name_fault(item, found):
        raise BackendUnavailableError(fault)
    return load_plugin(item)


def load_plugin(item: Declared) -> Plugin:
    """Import an entry point.

    Raises:
        BackendUnavailableError: it cannot be imported, or is neither a target nor a backend.
    """
    try:
        found: Any = item.entry.load()
    except (Exception, SystemExit) as error:  # another package may raise anything
        reason = failure(item, error)
        raise BackendUnavailableError(
            f"{item} cannot be imported: {reason}; update or uninstall it"
        ) from error
    if isinstance(found, type):
        raise _unfit(item, f"{item.entry.value} is a class; name an object of it")
    for method in ("export", "run"):
        if hasattr(found, method) and not callable(getattr(found, method)):
            raise _unfit(item, f"its {method} cannot be called")
    description = getattr(found, "description", None)
    if not isinstance(description, str) or not description.strip():
        raise _unfit(item, "it has no description, a text of one line")
    target = found if isinstance(found, Target) else None
    backend = found if isinstance(found, Backend) else None
    if target is None and backend is None:
        raise _unfit(item, "it has neither export(network, folder) nor run(network, tiles)")
    return Plugin(item, " ".join(description.split()), target, backend)


def _unfit(item: Declared, reason: str) -> BackendUnavailableError:
    return BackendUnavailableError(f"{item} cannot be used: {reason} (docs/targets.md)")


def failure(item: Declared, error: BaseException) -> str:
    """What another package raised, in one line; -v shows where."""
    LOGGER.debug("%s", item, exc_info=error)
    text = " ".join(str(error).split())[:SHOWN]
    return f"{type(error).__name__}: {text} (-v shows where)" if text else type(error).__name__
