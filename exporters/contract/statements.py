"""What an export states, held against what its network gives: nothing that can be derived is believed.

A manifest's hashes say that no file has changed since somebody wrote the manifest, not that what the files
state is so. Much of it follows from network.nir: the plan, the resources, every bound, the number of
timesteps. Each kind of export derives that again (`loihi.bundle`, `lava.netx`, `target_folder`), and this
module compares it file by file and key by key. The rest, such as the hash of the student that was exported,
no file of the export can show: it is listed as stated, not checked.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.files.artifacts import shown

LISTED = 8
"""Contradictions of one file that are kept; the others are counted."""

HELD_BY_READERS = ("kind", "schema", "files")
"""Keys of an artefact that whoever reads it has compared already."""

EVERY_ARRAY = "every array"

Keys = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """One value that an export states and that its network does not give.

    Attributes:
        file: of the export.
        key: path of the value in it, e.g. `layers[enc_in].neurons`.
        stated, derived: both values, shortened, or `nothing`.
    """

    file: str
    key: str
    stated: str
    derived: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: stated {self.stated}, derived {self.derived}"


@dataclass(frozen=True, slots=True)
class Statements:
    """Everything that some files of an export state.

    Attributes:
        derived: for each file the keys that were derived again and compared.
        unchecked: for each file the keys that are stated and not checked.
        contradictions: in the order of the files, at most `LISTED` of each.
        further: for each file the number of contradictions that are not listed.
    """

    derived: Keys
    unchecked: Keys
    contradictions: tuple[Contradiction, ...] = ()
    further: Mapping[str, int] = field(default_factory=dict)

    def contradicted(self, file: str) -> bool:
        """Whether a file states something that the network does not give."""
        return any(found.file == file for found in self.contradictions)

    def lines(self) -> list[str]:
        """Contradictions, one a line; what was derived, if that is all of it; what was not checked."""
        lines = [str(found) for found in self.contradictions]
        lines += [f"{file}: {count:,} further contradictions" for file, count in self.further.items()]
        if lines:
            lines.append("what the files state is not what network.nir gives; export the network again")
        elif self.derived:
            lines.append(f"derived from network.nir and equal: {self._named(self.derived)}")
        if self.unchecked:
            lines.append(f"stated, not checked: {self._named(self.unchecked)}")
        return lines

    def _named(self, keys: Keys) -> str:
        """Files, with their keys where a file stands in both lists."""
        split = self.derived.keys() & self.unchecked.keys()
        return ", ".join(f"{file} ({', '.join(keys[file])})" if file in split else file for file in keys)


def merged(*parts: Statements) -> Statements:
    """The statements of several files, each of another one."""
    return Statements(
        derived=dict(chain.from_iterable(part.derived.items() for part in parts)),
        unchecked=dict(chain.from_iterable(part.unchecked.items() for part in parts)),
        contradictions=tuple(chain.from_iterable(part.contradictions for part in parts)),
        further=dict(chain.from_iterable(part.further.items() for part in parts)),
    )


def compare_document(file: str, stated: Mapping[str, Any], derived: Mapping[str, Any]) -> Statements:
    """Hold a JSON document against what it should be.

    Args:
        file: name in the export.
        stated: the document; keys that are not in `derived` count as stated, not checked.
        derived: some or all of its keys, with every value that stands under them.
    """
    expected = json.loads(json.dumps(derived))
    differing = chain.from_iterable(
        [(key, "nothing", shown(value))] if key not in stated else _differences(key, stated[key], value)
        for key, value in expected.items()
    )
    rest = tuple(_name(key) for key in stated if key not in expected and key not in HELD_BY_READERS)
    return _statements(file, tuple(expected), rest, differing)


def compare_arrays(
    file: str, stated: Mapping[str, NDArray[Any]], derived: Mapping[str, NDArray[Any]]
) -> Statements:
    """Hold named arrays against what they should be: names, types, shapes and every value."""
    differing = (
        (_name(name), *texts)
        for name in dict.fromkeys([*derived, *stated])
        if (texts := _array_texts(stated.get(name), derived.get(name)))
    )
    return _statements(file, (EVERY_ARRAY,), (), differing)


def _statements(
    file: str, derived: tuple[str, ...], unchecked: tuple[str, ...], differing: Iterator[tuple[str, str, str]]
) -> Statements:
    listed = tuple(Contradiction(file, *found) for found in islice(differing, LISTED))
    further = sum(1 for _ in differing)
    return Statements(
        {file: derived} if derived else {},
        {file: unchecked} if unchecked else {},
        listed,
        {file: further} if further else {},
    )


def _differences(key: str, stated: Any, derived: Any) -> Iterator[tuple[str, str, str]]:
    """Key, stated and derived value of everything in which two JSON values differ; 1 is not 1.0 nor true."""
    if isinstance(stated, dict) and isinstance(derived, dict):
        for name in dict.fromkeys([*derived, *stated]):
            place = f"{key}.{_name(name)}"
            if name not in stated:
                yield place, "nothing", shown(derived[name])
            elif name not in derived:
                yield place, shown(stated[name]), "nothing"
            else:
                yield from _differences(place, stated[name], derived[name])
    elif isinstance(stated, list) and isinstance(derived, list):
        if len(stated) != len(derived):
            yield key, f"{len(stated):,} entries", f"{len(derived):,} entries"
            return
        for index, (one, other) in enumerate(zip(stated, derived, strict=True)):
            yield from _differences(f"{key}[{_entry(index, other)}]", one, other)
    elif type(stated) is not type(derived) or stated != derived:
        yield key, shown(stated), shown(derived)


def _entry(index: int, derived: Any) -> str:
    """What stands at a place of a list: its node and name where it has them, as layers and ranges do."""
    if not isinstance(derived, dict) or "name" not in derived:
        return str(index)
    return " ".join(str(derived[part]) for part in ("node", "name") if part in derived)


def _name(key: str) -> str:
    """A key of a file as it may be printed."""
    return key if key.isprintable() and len(key) <= 60 else shown(key, 60)


def _array_texts(stated: NDArray[Any] | None, derived: NDArray[Any] | None) -> tuple[str, str] | None:
    """Two arrays in words if they differ: their forms, or the first value that does."""
    if stated is None or derived is None:
        return _form(stated), _form(derived)
    if (stated.dtype, stated.shape) != (derived.dtype, derived.shape):
        return _form(stated), _form(derived)
    differing = stated != derived
    if not differing.any():
        return None
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(differing)), stated.shape))
    return f"{stated[index]} at {list(index)}", f"{derived[index]} ({differing.sum():,} values differ)"


def _form(array: NDArray[Any] | None) -> str:
    return "nothing" if array is None else f"{array.dtype} {list(array.shape)}"
