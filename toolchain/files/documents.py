"""Documents by schema: JSON artefacts and TOML files that become typed values, or one line that says why not.

A schema is a `msgspec.Struct` or a frozen dataclass that stands beside what it describes. Its annotations say
which keys there are and what they may hold; its `__post_init__` says what no single key can. Whatever is
refused is named by file, key, value and what is allowed. A leaf: it knows no schema.
"""

import re
import tomllib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta, inspect
from snn_tool.errors import ArtifactError, ConfigError, SnnToolError, first_line
from snn_tool.files.artifacts import check_values, key_path, read_json, shown

T = TypeVar("T")
Segments = tuple[str | int, ...]

LARGEST_TOML = 1 << 20
"""Bytes of a settings file; the packaged ones have some ten thousand."""

Text = Annotated[str, Meta(max_length=100_000)]
Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$",
        extra={"allowed": "a printable name of 1 to 200 characters"},
    ),
]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", extra={"allowed": "64 hexadecimal digits"})]
Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Finite = Annotated[float, Meta(ge=-1e300, le=1e300, extra={"allowed": "a finite number"})]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[float, Meta(gt=0, le=1e300)]
NotNegative = Annotated[float, Meta(ge=0, le=1e300)]
LATER = Meta(extra={"later": True})
"""Of a field that files of earlier versions lack: its default stands for it, and is not written."""
_PLACE = re.compile(r"^(?P<what>.*) - at (?P<key>`key` in )?`\$(?P<path>[^`]*)`$", re.DOTALL)
_SEGMENT = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_FIELD = re.compile(r"^Object (missing required|contains unknown) field `(.*)`$", re.DOTALL)
_EXPECTED = (
    "Expected ",
    "Invalid enum value",
    "Invalid value",
    "Number out of range",
    "Integer value out of range",
)
_WORDS = {
    inspect.BoolType: "true or false",
    inspect.NoneType: "null",
    inspect.DictType: "a table",
    inspect.StructType: "a table",
    inspect.DataclassType: "a table",
}
_PLURALS = {
    inspect.IntType: "whole numbers",
    inspect.FloatType: "numbers",
    inspect.StrType: "texts",
    inspect.VarTupleType: "lists",
    inspect.TupleType: "lists",
}


def one_of(*names: str) -> Meta:
    """The constraint of a text that is one of some words."""
    return Meta(
        pattern=f"^({'|'.join(map(re.escape, names))})$", extra={"allowed": f"one of {', '.join(names)}"}
    )


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every JSON artefact begins with; a schema of one inherits it.

    Attributes:
        kind: what the file is.
        schema: the version of its form.
        tool_version: of the tool that wrote it.
    """

    kind: Name
    schema: int
    tool_version: Name


def read_document(
    path: Path, kind: str, schema: int | tuple[int, ...], cls: type[T], remedy: str = "copy the file again"
) -> T:
    """Read a JSON artefact of the given kind, and of one of the given schemas, as `cls`.

    Args:
        path: the file.
        kind: what it must be.
        schema: the version, or those, that can be read.
        cls: a subclass of `Document`.
        remedy: ends the message.

    Raises:
        ArtifactError: missing, no JSON, of another kind or schema, or a key is missing, unknown or not
            allowed.
    """
    return convert(read_json(path, kind, schema), cls, str(path), ArtifactError, remedy=remedy)


def read_toml(path: Path, what: str = "") -> dict[str, Any]:
    """Read a TOML file whose numbers are finite and whose tables are not nested without end.

    Args:
        path: the file.
        what: how a message begins, e.g. `--profile `.

    Raises:
        ConfigError: it cannot be read or is no TOML.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST_TOML + 1)
    except OSError as error:
        raise ConfigError(f"{what}{path}: cannot be read ({error.strerror}); name a TOML file") from error
    if len(data) > LARGEST_TOML:
        raise ConfigError(f"{what}{path}: has more than {LARGEST_TOML:,} bytes, which no settings need")
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{what}{path}: not a TOML file ({first_line(error)}); correct it") from error
    try:
        check_values(document)
    except ValueError as error:
        raise ConfigError(f"{what}{path}: {error}; correct it") from error
    return document


def convert(
    value: Any,
    cls: type[T],
    where: str,
    error: type[SnnToolError] = ArtifactError,
    *,
    prefix: Segments = (),
    complete: bool = True,
    remedy: str = "",
) -> T:
    """The value as `cls`, without any change of kind: a text is no number, true is not 1.

    Args:
        value: dicts, lists, numbers and texts, as a JSON or TOML parser gives them.
        cls: a Struct, a dataclass, or any annotation that msgspec knows.
        where: begins a message, e.g. the file; empty for none.
        error: what is raised.
        prefix: the keys that lead to `value`.
        complete: keys of a dataclass that have a default must be there all the same, unless they are `LATER`.
        remedy: ends a message.

    Raises:
        SnnToolError: of the given class; it names file, key, value and what is allowed.
    """
    kind = inspect.type_info(cls)
    try:
        made = msgspec.convert(value, cls)
    except msgspec.ValidationError as refused:
        message = _refusal(str(refused), value, cls, kind, prefix)
    else:
        message = _keys_refused(kind, value, prefix, complete)
        if not message:
            return made
    raise error("; ".join(filter(None, (f"{where}: {message}" if where else message, remedy))))


@cache
def _field_types(cls: Hashable) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


def check_fields(
    item: Any,
    where: str,
    error: type[SnnToolError] = ConfigError,
    names: Sequence[str] = (),
    prefix: Segments = (),
) -> None:
    """Hold fields of a dataclass against their annotations, whoever made it.

    A file's values went through `convert` before; this is for those that code gives.

    Args:
        item: the dataclass.
        where: begins a message.
        error: what is raised.
        names: of the fields; empty takes all.
        prefix: the keys that lead to the fields.

    Raises:
        SnnToolError: of the given class; it names field, value and what is allowed.
    """
    kinds = _field_types(item.__class__)
    for name in names or kinds:
        value = getattr(item, name)
        try:
            msgspec.convert(value, kinds[name])
        except msgspec.ValidationError:
            convert(value, kinds[name], where, error, prefix=(*prefix, name))


def _keys_refused(kind: inspect.Type, value: Any, keys: Segments, complete: bool) -> str:
    """Why the keys of a dataclass, here or further in, are not its fields; empty if they are."""
    kind = _bare(kind, value)
    if isinstance(kind, inspect.DataclassType) and isinstance(value, Mapping):
        known = {field.encode_name for field in kind.fields}
        if unknown := [key for key in value if key not in known]:
            return f"{key_path((*keys, unknown[0]))} is unknown; use {', '.join(sorted(known))}"
        needed = {field.encode_name for field in kind.fields if not _is_later(field.type)}
        if complete and (missing := sorted(needed - set(value))):
            return _missing(kind, value, (*keys, missing[0]))
    return next(
        filter(
            None,
            (_keys_refused(part, item, (*keys, key), complete) for key, item, part in _parts(kind, value)),
        ),
        "",
    )


def _is_later(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.Metadata) and bool((kind.extra or {}).get("later"))


def as_written(item: Any) -> dict[str, Any]:
    """The fields of a dataclass as JSON values; those that are `LATER` only where they are not the default.

    So what an earlier version can express is written as that version wrote it.
    """
    kinds = _field_types(item.__class__)
    default = {field.name: field.default for field in fields(item) if LATER in get_args(kinds[field.name])}
    return {
        name: value for name, value in asdict(item).items() if name not in default or value != default[name]
    }


def _parts(kind: inspect.Type, value: Any) -> list[tuple[str | int, Any, inspect.Type]]:
    """Key, value and type of everything that is directly inside a value."""
    if isinstance(kind, inspect.StructType | inspect.DataclassType) and isinstance(value, Mapping):
        return [(f.encode_name, value[f.encode_name], f.type) for f in kind.fields if f.encode_name in value]
    if isinstance(kind, inspect.DictType) and isinstance(value, Mapping):
        return [(str(key), item, kind.value_type) for key, item in value.items()]
    if isinstance(kind, inspect.VarTupleType | inspect.ListType) and isinstance(value, Sequence):
        return [(index, item, kind.item_type) for index, item in enumerate(value)]
    if isinstance(kind, inspect.TupleType) and isinstance(value, Sequence):
        return list(zip(range(len(value)), value, kind.item_types, strict=False))
    return []


def _bare(kind: inspect.Type, value: Any) -> inspect.Type:
    """A type without its metadata; of a union, the member that is made for what is there."""
    if isinstance(kind, inspect.Metadata):
        return _bare(kind.type, value)
    if isinstance(kind, inspect.UnionType):
        members = [_bare(member, value) for member in kind.types]
        fitting = [
            member for member in members if _tag(member, value) in (None, getattr(member, "tag", None))
        ]
        return next((m for m in fitting if not isinstance(m, inspect.NoneType)), members[0])
    return kind


def _tag(kind: inspect.Type, value: Any) -> Any:
    """What a value says that tells the members of a union apart; None where nothing does."""
    field = getattr(kind, "tag_field", None)
    return value.get(field) if field and isinstance(value, Mapping) else None


def _refusal(said: str, document: Any, cls: type, kind: inspect.Type, prefix: Segments) -> str:
    """What msgspec said, by key, value and what is allowed there."""
    found = _PLACE.match(said)
    what, path = (found["what"], found["path"]) if found else (said, "")
    keys, value, here = _follow(path, document, cls, kind)
    table = _bare(here, value)
    if found and found["key"] and isinstance(table, inspect.DictType) and isinstance(value, Mapping):
        name = _culprit(document, keys, value, cls)
        return f"{key_path(keys)}: the key {shown(name)} is not allowed; use {allowed(table.key_type)}"
    if named := _FIELD.match(what):
        if named[1] == "missing required":
            return _missing(here, value, (*prefix, *keys, named[2]))
        if not isinstance(value, Mapping) or named[2] not in value:  # an unknown key that reads like a path
            keys, here, named = (), kind, _FIELD.match(said) or named
        known = sorted(field.encode_name for field in getattr(_bare(here, value), "fields", ()))
        return f"{key_path((*prefix, *keys, named[2]))} is unknown; use {', '.join(known)}"
    if not what.startswith(_EXPECTED):  # of a __post_init__, which knows better
        return f"{key_path((*prefix, *keys))}: {what}" if keys else what
    return f"{key_path((*prefix, *keys))} = {shown(value)} is not allowed; use {allowed(here)}"


def _missing(kind: inspect.Type, value: Any, keys: Segments) -> str:
    fields = {field.encode_name: field.type for field in getattr(_bare(kind, value), "fields", ())}
    use = f"; it is {allowed(fields[str(keys[-1])])}" if keys[-1] in fields else ""
    return f"{key_path(keys)} is missing{use}"


def _follow(path: str, document: Any, cls: type, kind: inspect.Type) -> tuple[Segments, Any, inspect.Type]:
    """Keys, value and type at a path of msgspec, which writes [...] for every key of a table."""
    keys: Segments = ()
    value = document
    for field, index in _SEGMENT.findall(path):
        if index == "...":
            key: str | int = _culprit(document, keys, value, cls)
        else:
            key = field or int(index)
        inside = {name: (item, part) for name, item, part in _parts(_bare(kind, value), value)}
        if key not in inside:
            tags = _tags(kind, key)
            if tags and isinstance(value, Mapping):
                return (*keys, key), value.get(key), inspect.LiteralType(tags)
            break
        value, kind = inside[key]
        keys = (*keys, key)
    return keys, value, kind


def _tags(kind: inspect.Type, field: str | int) -> tuple[Any, ...]:
    """The tags of a union whose members are told apart by a field."""
    members = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return tuple(m.tag for m in members if isinstance(m, inspect.StructType) and m.tag_field == field)


def _culprit(document: Any, keys: Segments, table: Mapping[str, Any], cls: type) -> str:
    """The key for which a table at some keys of the document is refused, found by halves."""
    names = list(table)
    while len(names) > 1:
        half = names[: len(names) // 2]
        part = {name: table[name] for name in half}
        names = half if _refused(_with(document, keys, part), cls) else names[len(half) :]
    return names[0]


def _refused(document: Any, cls: type) -> bool:
    try:
        msgspec.convert(document, cls)
    except msgspec.ValidationError:
        return True
    return False


def _with(document: Any, keys: Segments, value: Any) -> Any:
    """A copy of a document with another value at some keys."""
    if not keys:
        return value
    first, *rest = keys
    copy: Any = dict(document) if isinstance(document, Mapping) else list(document)
    copy[first] = _with(document[first], tuple(rest), value)
    return copy


def allowed(kind: inspect.Type) -> str:
    """What a type takes, in words."""
    if isinstance(kind, inspect.Metadata):
        return str((kind.extra or {}).get("allowed") or allowed(kind.type))
    if isinstance(kind, inspect.UnionType):
        return " or ".join(allowed(member) for member in kind.types)
    if isinstance(kind, inspect.LiteralType):
        return f"one of {', '.join(map(str, kind.values))}" if len(kind.values) > 1 else str(kind.values[0])
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        return _numbers(kind)
    if isinstance(kind, inspect.StrType):
        return "a text"
    if isinstance(kind, inspect.TupleType):
        return f"a list of {len(kind.item_types)}: {', '.join(allowed(item) for item in kind.item_types)}"
    if isinstance(kind, inspect.VarTupleType | inspect.ListType):
        return f"a list of {_PLURALS.get(type(_bare(kind.item_type, None)), 'tables')}" + (
            ", not empty" if kind.min_length else ""
        )
    return _WORDS.get(type(kind), "another value")


def _numbers(kind: inspect.IntType | inspect.FloatType) -> str:
    what = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
    if kind.ge is not None and kind.le is not None:
        return f"{what} from {kind.ge} to {kind.le}"
    bounds = ((">=", kind.ge), (">", kind.gt), ("<=", kind.le), ("<", kind.lt))
    return " ".join((what, *(f"{sign} {bound}" for sign, bound in bounds if bound is not None)))
