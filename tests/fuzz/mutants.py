"""Ways to damage a file: at random bytes, or in its structure where the format is known."""

import io
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Mutate = Callable[[bytes, random.Random], bytes]

HOSTILE: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2**31,
        2**63,
        -(2**64),
        10**400,
        0.5,
        -0.0,
        1e308,
        float("inf"),
        float("nan"),
    ),
    *("", "x", "\x1b[31m", "{0}", "[/b]", "../../etc", "x" * 5000, "\u2028", "\ud800", "é"),
    *([], {}, [[]], [None], [0] * 1000, {"": {}}, [1, "a", None], {"a": [{}]}),
)


def of_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flip, set, cut, insert, repeat or move bytes."""
    changed, place = bytearray(data), rng.randrange(len(data))
    length = min(len(data) - place, rng.choice((1, 4, 16, 200, 4000)))
    way = rng.randrange(7)
    if way == 0:
        for _ in range(rng.choice((1, 1, 3, 30))):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    elif way == 1:
        changed[place : place + length] = bytes([rng.choice((0, 255, rng.randrange(256)))]) * length
    elif way == 2:
        del changed[place:]
    elif way == 3:
        del changed[place : place + length]
    elif way == 4:
        changed[place:place] = rng.randbytes(length)
    elif way == 5:
        start = rng.randrange(len(data))
        changed[place : place + length] = data[start : start + length]
    else:
        for _ in range(3):
            changed[rng.randrange(min(len(changed), 512))] = rng.randrange(256)
    return bytes(changed)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in nested tables and lists."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [path, *(place for key in keys for place in places(value[key], (*path, key)))]


def of_json(data: bytes, rng: random.Random) -> bytes:
    """Replace, delete, rename, add or nest one value of a document; one time in five, of its bytes."""
    if rng.random() < 0.2:
        return of_bytes(data, rng)
    document = json.loads(data)
    for _ in range(rng.choice((1, 1, 1, 2))):
        document = _edited(document, rng)
    return json.dumps(document).encode("utf-8", "surrogatepass")


def _edited(document: Any, rng: random.Random) -> Any:
    depth = rng.randrange(1, 6)
    found = [place for place in places(document) if 0 < len(place) <= depth] or [()]
    *outer, key = rng.choice(found) or (None,)
    if key is None:
        return rng.choice(HOSTILE)
    inner = document
    for step in outer:
        inner = inner[step]
    way = rng.randrange(6)
    if way == 0:
        del inner[key]
    elif way == 1 and isinstance(inner, dict):
        inner[rng.choice(("", "x", "\x1b", "shape", str(key) + "_"))] = inner.pop(key)
    elif way == 2 and isinstance(inner, dict):
        inner[rng.choice(("x", "schema", "__class__"))] = rng.choice(HOSTILE)
    elif way == 3 and isinstance(inner[key], int | float) and abs(inner[key]) < 1e9:
        inner[key] = rng.choice(
            (
                inner[key] + 1,
                -inner[key],
                inner[key] * 1e6,
                inner[key] << 40 if isinstance(inner[key], int) else 0.1,
            )
        )
    else:
        inner[key] = rng.choice(HOSTILE)
    return document


def of_toml(data: bytes, rng: random.Random) -> bytes:
    """Replace, delete or repeat a line or a value; one time in five, change bytes."""
    if rng.random() < 0.2:
        return of_bytes(data, rng)
    lines = data.decode().splitlines()
    place = rng.randrange(len(lines))
    way = rng.randrange(5)
    words = [
        "[]",
        "{}",
        "-1",
        "0",
        "1e999",
        "nan",
        "''",
        "true",
        "[1, 'a']",
        "9" * 400,
        "1979-05-27",
        "'\\u001b'",
    ]
    if way == 0:
        del lines[place]
    elif way == 1:
        lines.insert(place, rng.choice(lines))
    elif way == 2:
        lines[place] = rng.choice(("[", "[[x]]", "[constants]", "a = 1", "[a.b.c]", "x"))
    else:
        lines[place] = re.sub(r"=.*", lambda _: f"= {rng.choice(words)}", lines[place])
    return "\n".join(lines).encode()


def of_hdf5(data: bytes, rng: random.Random) -> bytes:
    """Delete, replace, retype or link one group or array; one time in two, change bytes."""
    if rng.random() < 0.5:
        return of_bytes(data, rng)
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        name = rng.choice(names)
        old = file[name][()] if isinstance(file[name], h5py.Dataset) else np.float32(1)
        del file[name]
        numbers = np.asarray(old)
        numbers = numbers if numbers.dtype.kind in "biuf" else np.zeros(2)
        values: list[Any] = [
            *(
                np.nan,
                np.int64(-1),
                np.int64(2**62),
                np.zeros(0),
                np.zeros((1, 2, 3, 4, 5)),
                "x",
                "",
                "NIRGraph",
            ),
            *(
                np.full(3, b"x"),
                np.zeros(2, bool),
                numbers[..., None],
                numbers.astype("f2"),
                numbers.ravel()[:1],
            ),
            *(numbers.astype("f8") * 1e300, numbers.astype("f4") * np.nan, -numbers.astype("i8"), "y" * 3000),
        ]
        way = rng.randrange(len(values) + 3)
        if way < len(values):
            file[name] = values[way]
        elif way == len(values):
            file.create_group(name)
        elif way == len(values) + 1:
            file[name] = h5py.SoftLink("/node")
        # else it is gone
    return buffer.getvalue()


def of_npz(data: bytes, rng: random.Random) -> bytes:
    """Replace one array by one of another type, shape or value; one time in two, change bytes."""
    if rng.random() < 0.5:
        return of_bytes(data, rng)
    with np.load(io.BytesIO(data)) as file:
        arrays = dict(file)
    name = rng.choice(sorted(arrays))
    old = arrays.pop(name)
    values = (
        *(
            np.float32(1),
            np.zeros(0),
            old.astype("f8") * np.nan,
            old[..., None],
            old.ravel(),
            old.astype("c8"),
        ),
        *(
            old.astype(str),
            old.astype("M8[s]"),
            old.astype(">i8"),
            old.astype("i8") + 2**40,
            np.zeros((1,) * 20),
        ),
    )
    way = rng.randrange(len(values) + 2)
    if way < len(values):
        arrays[name] = values[way]
    elif way == len(values):
        arrays[rng.choice(("x", "a/b", "\x1b", "z" * 300))] = old
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def of_safetensors(data: bytes, rng: random.Random) -> bytes:
    """Edit the header; one time in two, change bytes."""
    size = int.from_bytes(data[:8], "little")
    if rng.random() < 0.5:
        return of_bytes(data[: size + 8], rng) + data[size + 8 :]
    header = of_json(data[8 : 8 + size], rng)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def suffix_of(path: Path) -> Mutate:
    """The way that fits a file's name."""
    known = {".json": of_json, ".toml": of_toml, ".nir": of_hdf5, ".net": of_hdf5, ".npz": of_npz}
    return known.get(path.suffix, of_safetensors if path.suffix == ".safetensors" else of_bytes)
