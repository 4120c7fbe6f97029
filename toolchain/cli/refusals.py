"""Why a command has not the option that somebody expected: one line for each, beside typer's own message."""

OF_STUDENT = "the student removes what it was trained for"
REASONS: dict[tuple[str, str], str] = {
    **{
        ("restore", option): f"{OF_STUDENT}; 'models' lists those that come along, by task and strength"
        for option in ("--sigma", "--strength")
    },
    ("restore", "--teacher"): "'evaluate --teacher NETWORK --save DIR' restores with a teacher",
    ("restore", "--data"): "the images stand alone: restore PHOTO.png FOLDER",
    ("restore", "--images"): "the images stand alone: restore PHOTO.png FOLDER",
    ("evaluate", "--images"): "its clean images are --data",
    ("train", "--images"): "the images to learn from are --data",
    ("train", "--teacher"): "'distill' trains a student from a teacher",
    ("train", "--width"): "the shape of a teacher is --size, or --option width=32",
    ("distill", "--images"): "the images to learn from are --data",
    ("distill", "--arch"): "the student's shape is --body and --width; the teacher's is in its file",
    ("distill", "--epochs"): "a run is as long as --max-steps says",
    ("train", "--epochs"): "a run is as long as --max-steps says",
    ("quantize", "--images"): "its clean images are --data",
    ("quantize", "--bits"): "weights have 8 bits, as the chip's synapses do",
    ("quantize", "--task"): "the task is the one of the training",
    ("export", "--student"): "the student stands alone: export STUDENT --target loihi",
    ("export", "--data"): "golden tiles are cut from --images",
    ("verify", "--target"): "the bundle knows its target; --backend names an implementation",
    ("degrade", "--data"): "its clean images are --images",
    ("report", "--data"): "its clean images are --images",
    ("demo", "--data"): "it runs on photographs that come along; 'train' and 'distill' take yours",
}
"""By command and option, for options that other commands have, or that other tools have in its place."""


def reason(error: Exception) -> str:
    """The reason to add to a fault of usage; empty where there is none."""
    option, context = getattr(error, "option_name", ""), getattr(error, "ctx", None)
    known = REASONS.get((context.info_name, option)) if context and option else None
    return f": {known}" if known else ""
