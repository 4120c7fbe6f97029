"""`snn-tool backend list`: every target and backend by name, of this tool and of other packages."""

from collections.abc import Iterator
from dataclasses import dataclass

from snn_tool import __version__
from snn_tool.errors import BackendUnavailableError
from snn_tool.exporters.contract.targets import (
    BUILT_IN_BACKENDS,
    BUILT_IN_TARGETS,
    Declared,
    declared,
    load_plugin,
    name_fault,
)
from snn_tool.tables import plain_table, printable, rendered

OURS = "snn-tool"
TARGET, BACKEND = "target", "backend"


@dataclass(frozen=True, slots=True)
class Listed:
    """One name.

    Attributes:
        name: what `--target` and `--backend` take.
        roles: `target`, `backend` or both; empty if it cannot be used.
        package, version: where it is from.
        description: what it is.
        fault: why it cannot be used.
    """

    name: str
    roles: tuple[str, ...]
    package: str
    version: str
    description: str
    fault: str = ""


def list_all() -> tuple[Listed, ...]:
    """What is built in, then what other packages declare; theirs are imported for it."""
    return (*_built_in(), *list_plugins())


def list_plugins() -> tuple[Listed, ...]:
    """What other packages declare, each imported once; a fault is told, never raised."""
    found = declared()
    return tuple(_listed(item, name_fault(item, found)) for item in found)


def _built_in() -> Iterator[Listed]:
    for name in dict.fromkeys((*BUILT_IN_TARGETS, *BUILT_IN_BACKENDS)):
        backend = BUILT_IN_BACKENDS.get(name)
        texts = {TARGET: BUILT_IN_TARGETS.get(name), BACKEND: backend.description if backend else ""}
        roles = tuple(role for role, text in texts.items() if text)
        described = "; ".join(text for text in texts.values() if text)
        yield Listed(name, roles, OURS, __version__, described)


def _listed(item: Declared, fault: str) -> Listed:
    head = (item.package, item.version)
    if fault:
        return Listed(item.name, (), *head, "", fault)
    try:
        plugin = load_plugin(item)
    except BackendUnavailableError as error:
        return Listed(item.name, (), *head, "", str(error))
    parts = {TARGET: plugin.target, BACKEND: plugin.backend}
    return Listed(item.name, tuple(role for role, part in parts.items() if part), *head, plugin.description)


def list_text(items: tuple[Listed, ...]) -> str:
    """A table, and a line for each that cannot be used."""
    table = plain_table("Targets (export) and backends (verify)", ("name", "role", "package"), (), 1)
    table.add_column("what it is")
    for item in items:
        roles = "both" if len(item.roles) > 1 else (*item.roles, "BROKEN")[0]
        origin = "built in" if item.package == OURS else f"{item.package} {item.version}"
        table.add_row(item.name, roles, origin, item.description or "see below")
    return rendered(table, *(f"BROKEN: {printable(item.fault)}" for item in items if item.fault))
