"""Find what a user names as a network, before anything heavy is imported.

A network is named by one of these, and a name that leads nowhere fails here, in milliseconds:

denoise-25, denoise-25@1          a student or a teacher that comes with snn-tool, see 'snn-tool models'
student.safetensors               a file of distill, quantize (student.int.safetensors) or train
model.onnx                        run by onnxruntime
runs/mine                         a run folder: the network that it holds
nafnet, with or without weights   an architecture; --weights FILE fills it
spandrel with weights             an architecture that spandrel recognises (extra `teachers`)
package.module:factory            a user's torch network; --weights FILE fills it
x8:ANY OF THESE                   as a teacher: its mean over eight orientations of the image
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.networks import teachers
from snn_tool.networks.shipped import AT, FOLDER, VERSIONS, is_shipped, read_card, shipped_names
from snn_tool.terminal import LOGGER


class Kind(StrEnum):
    """What a network is: integers of a student, a student in float, or a network that teaches."""

    INTEGER = "integer"
    FLOAT = "float"
    TEACHER = "teacher"


class Form(StrEnum):
    """How a network is named."""

    FILE = "a file of snn-tool"
    ONNX = "an ONNX file"
    ARCHITECTURE = "an architecture"
    SPANDREL = "spandrel"
    FACTORY = "package.module:factory"


INTEGER_FILE, STUDENT_FILE, TEACHER_FILE = (
    "student.int.safetensors",
    "student.safetensors",
    "teacher.safetensors",
)
RUN_FILES: Mapping[Kind, str] = {
    Kind.INTEGER: INTEGER_FILE,
    Kind.FLOAT: STUDENT_FILE,
    Kind.TEACHER: TEACHER_FILE,
}
"""What a run folder may hold, in the order in which it is looked for."""

ANY, STUDENTS, TEACHERS = tuple(Kind), (Kind.INTEGER, Kind.FLOAT), (Kind.TEACHER,)
ARCHITECTURES = ("unet", "flat", "chain", "nafnet", "restormer")
"""The keys of `models.teachers.registry.TEACHERS`, which needs torch."""

SPANDREL, NO_TEACHER, ENSEMBLE = "spandrel", "none", "x8:"
SAFETENSORS, ONNX_SUFFIX, NIR_SUFFIX = ".safetensors", ".onnx", ".nir"
PICKLED = (".pt", ".pth", ".ckpt", ".pkl")
FORMS = (
    "a teacher of 'snn-tool models', teacher.safetensors, a run folder, model.onnx, package.module:factory, "
    f"with --weights 'spandrel' or an architecture ({', '.join(ARCHITECTURES)}), or {ENSEMBLE} and a network"
)


@dataclass(frozen=True, slots=True)
class Located:
    """A network that is there, or code that should build one.

    Attributes:
        form: how it is named.
        named: the name: of a file its path, else as it was given.
        weights: the file that fills an architecture or a factory's network; None for none.
        note: a line for people where the name alone does not say which file is meant; else empty.
        ensemble: its mean over eight orientations of the image is meant.
    """

    form: Form
    named: str
    weights: Path | None = None
    note: str = ""
    ensemble: bool = False

    @property
    def path(self) -> Path:
        """The file, of `Form.FILE` and `Form.ONNX`."""
        return Path(self.named)

    @property
    def spec(self) -> str:
        """What `locate` finds the same network by."""
        return f"{ENSEMBLE if self.ensemble else ''}{self.named}"


Spec = str | Path | Located


def locate(
    spec: Spec, weights: Path | None = None, accept: Sequence[Kind] = ANY, untrained: bool = False
) -> Located:
    """Find a network by its name.

    Args:
        spec: one of the forms above. A text with a slash in it, or a path of several parts, is never a name.
        weights: for an architecture, spandrel or a factory.
        accept: the kinds that are of use; a run folder gives the first of them that it holds.
        untrained: an architecture needs no weights.

    Raises:
        ConfigError: nothing of that name, a name that two things have, or needless or missing weights.
        ArtifactError: a file is not there.
    """
    if isinstance(spec, Located):
        return spec
    text, teaches = str(spec), Kind.TEACHER in accept
    if teaches and text.startswith(ENSEMBLE):
        return _ensemble(text, weights)
    is_code = teaches and (text in (*ARCHITECTURES, SPANDREL) or names_factory(text))
    comes_along = is_shipped(text) or text in teachers.teacher_names()
    has_weights = text.endswith((SAFETENSORS, ONNX_SUFFIX)) or comes_along or Path(spec).is_dir()
    if weights and not is_code and has_weights:
        raise ConfigError(f"{text}: has its weights inside; leave --weights out")
    if weights and not weights.is_file():
        raise _missing(weights)
    if not is_code:
        return _shipped(text, accept) or _on_disk(Path(spec), accept)
    if names_factory(text):
        return Located(Form.FACTORY, text, weights)
    return _architecture(text, weights, accept, untrained)


def names_factory(text: str) -> bool:
    """Whether a text has the form `package.module:factory`."""
    module, colon, name = text.partition(":")
    return bool(colon) and name.isidentifier() and all(part.isidentifier() for part in module.split("."))


def locate_teacher(teacher: str | None, weights: Path | None, untrained: bool = False) -> Located | None:
    """What `--teacher` and `--weights` name; None for `none`, or where nothing is named.

    Raises:
        ConfigError, ArtifactError: as `locate` does; weights for no teacher.
    """
    if teacher is not None and teacher != NO_TEACHER:
        return _told(locate(teacher, weights, TEACHERS, untrained))
    if weights:
        raise ConfigError(f"--weights {weights} needs --teacher package.module:factory or an architecture")
    return None


def _told(found: Located) -> Located:
    """Tell people which file is meant where they cannot know."""
    if found.note:
        logging.getLogger(LOGGER).info("%s", found.note)
    return found


Read = Callable[[Path | None], Path | None]


def _reader(*accept: Kind) -> Read:
    """What an option for a network does with what was typed: it makes the network's file of it.

    A NIR file stays as it is: no network is opened from it.
    """

    def read(given: Path | None) -> Path | None:
        if given is None or given.suffix == NIR_SUFFIX:
            return given
        found = _told(locate(given, accept=accept))
        if found.ensemble:
            raise ConfigError(f"{given}: {ENSEMBLE} makes a teacher for --teacher; here a file is needed")
        return found.path

    return read


student_file, integer_file, float_file = _reader(*STUDENTS), _reader(Kind.INTEGER), _reader(Kind.FLOAT)
teacher_file, initial_file, exported_file = _reader(*TEACHERS), _reader(*STUDENTS[::-1]), _reader(*ANY)
"""By option: `--student`, of a network in integers, of one in float, `--twin`, `--init`, of `export`."""


def beside(source: Path, ending: str) -> Path:
    """Where something made of `source` goes unless it is said: NAME and `ending` beside it.

    What is made of a network that comes along goes into the current folder.
    """
    folder = Path() if _comes_along(source) else source.parent
    return folder / f"{_bare(source)}{ending}"


def shortest(source: Path) -> str:
    """How people name a network's file: by its path, or by the name of a network that comes along."""
    return _bare(source) if _comes_along(source) else str(source)


def _comes_along(source: Path) -> bool:
    return source.parent in (FOLDER, FOLDER / VERSIONS, teachers.FOLDER)


def _bare(source: Path) -> str:
    name = source.name
    for suffix in (SAFETENSORS, ONNX_SUFFIX, NIR_SUFFIX, ".int"):
        name = name.removesuffix(suffix)
    return name


def _architecture(name: str, weights: Path | None, accept: Sequence[Kind], untrained: bool) -> Located:
    form = Form.SPANDREL if name == SPANDREL else Form.ARCHITECTURE
    if weights or (untrained and form is Form.ARCHITECTURE):
        return Located(form, name, weights)
    if inside := _inside(Path(name), accept):
        raise ConfigError(
            f"{name}: an architecture, and a folder here that holds {inside.name}; write {inside} for that "
            "one, or give the architecture's --weights"
        )
    raise ConfigError(f"{name} needs --weights FILE, or train one with 'snn-tool train'")


def _ensemble(text: str, weights: Path | None) -> Located:
    inner = locate(text.removeprefix(ENSEMBLE), weights)
    if inner.ensemble:
        raise ConfigError(f"{text}: all eight orientations are in one {ENSEMBLE}; leave the other out")
    return replace(inner, ensemble=True)


def _shipped(text: str, accept: Sequence[Kind]) -> Located | None:
    """The student or the teacher that comes with snn-tool under that name.

    Something here may have the same name. A folder without a network is no rival, but is mentioned.
    """
    bare, at, version = text.partition(AT)
    named = bare in shipped_names() and (not at or version.isdecimal())
    if Kind.INTEGER in accept and named:
        what, file = "student", read_card(text).path
    elif Kind.TEACHER in accept and text in teachers.teacher_names():
        what, file = "teacher", teachers.teacher_path(text)
    else:
        return None
    here = Path(text)
    if inside := _inside(here, accept):
        raise ConfigError(
            f"{text}: a {what} that comes with snn-tool, and a folder here that holds {inside.name}; write "
            f"{inside} for that one, or {file} for the one that comes along"
        )
    thing = "folder" if here.is_dir() else "file"
    note = f"{text}: the {what} that comes with snn-tool; the {thing} here of that name holds no network"
    return Located(Form.FILE, str(file), note=note if here.exists() else "")


def _on_disk(path: Path, accept: Sequence[Kind]) -> Located:
    if path.is_dir():
        inside = _inside(path, accept)
        if inside is None:
            raise ConfigError(_none_inside(path, accept))
        return Located(Form.FILE, str(inside), note=f"{path}: takes {inside.name}")
    if path.suffix not in (SAFETENSORS, ONNX_SUFFIX) or (
        path.suffix == ONNX_SUFFIX and Kind.TEACHER not in accept
    ):
        raise ConfigError(_unknown(path, accept))
    if not path.is_file():
        raise _missing(path)
    return Located(Form.ONNX if path.suffix == ONNX_SUFFIX else Form.FILE, str(path))


def _inside(folder: Path, accept: Sequence[Kind]) -> Path | None:
    """The first network of a run folder that is of use."""
    files = (folder / RUN_FILES[kind] for kind in accept)
    return next((path for path in files if path.is_file()), None)


def _none_inside(folder: Path, accept: Sequence[Kind]) -> str:
    wanted = " or ".join(RUN_FILES[kind] for kind in accept)
    others = ", ".join(name for name in RUN_FILES.values() if (folder / name).is_file())
    has = f" (it has {others})" if others else ""
    remedy = "; 'snn-tool quantize' makes one of it" if tuple(accept) == (Kind.INTEGER,) and others else ""
    return f"{folder}: a folder without {wanted}{has}{remedy}; give a run folder or a file"


def _unknown(path: Path, accept: Sequence[Kind]) -> str:
    is_bare = len(path.parts) == 1 and not path.suffix and not path.exists()
    if tuple(accept) == TEACHERS:
        student = f"a student; {ENSEMBLE}{path} teaches" if is_shipped(str(path)) else "no teacher"
        return f"{path}: {student}; use {FORMS}"
    if Kind.TEACHER not in accept:
        if is_bare:
            return f"no student '{path}' comes with snn-tool; there are {', '.join(shipped_names())}"
        return (
            f"{path}: a student is a .safetensors file, from distill, or a .int.safetensors file, from "
            "quantize, or a run folder with one; 'snn-tool models' lists those that have a name"
            + ("; pickled checkpoints are never loaded" if path.suffix in PICKLED else "")
        )
    return (
        f"{path}: neither an architecture ({', '.join(ARCHITECTURES)}), a network of 'snn-tool models', a "
        ".safetensors or .onnx file, a run folder that is here, nor package.module:factory"
    )


def _missing(path: Path) -> ArtifactError:
    what = "is a folder" if path.is_dir() else "No such file or directory"
    return ArtifactError(f"{path}: cannot be read ({what}); check the path")
