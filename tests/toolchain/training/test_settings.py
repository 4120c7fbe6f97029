from pathlib import Path

import pytest
from snn_tool.errors import ConfigError
from snn_tool.models.config import StudentConfig
from snn_tool.models.teachers.registry import parse_teacher_options
from snn_tool.training.settings import load_settings


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(text)
    return path


def test_options_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    path = written(tmp_path, '[training]\nlr = 1e-3\nbatch = 4\n[loss]\nfft = 1\n[student]\nneuron = "lif"\n')
    settings = load_settings(path, {"training": {"batch": 16, "patch": None}})
    assert (settings.training.lr, settings.training.batch, settings.training.patch) == (1e-3, 16, 48)
    assert settings.loss.fft == 1
    assert (settings.student.neuron, settings.student.timesteps, settings.student.input_step) == ("lif", 4, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[training]\nlearning_rate = 1\n", "training.learning_rate is unknown; use balance, batch, clip"),
        ("[losses]\nl1 = 1\n", "unknown table 'losses'; use loss, student, training"),
        ("[training]\nbatch = 0\n", "training.batch = 0 is not allowed; use a whole number from 1 to 65536"),
        ("[training]\nbatch = '8'\n", "training.batch = '8' is not allowed; use a whole number"),
        ("[training]\nbatch = true\n", "training.batch = true is not allowed"),
        ("[training]\nlr = nan\n", "training.lr = nan"),
        (
            "[training]\npatch = 20\n",
            "run.toml: training.patch = 20 is not allowed; use a multiple of 8 from 16",
        ),
        (
            "[training]\npatch = '48;96'\n",
            "training.patch = '48;96' is not allowed; use a multiple of 8 from",
        ),
        ("[training]\npatch = '48:3000,100'\n", "'48:3000,100' is not allowed; use a multiple of 8"),
        (
            "[training]\npatch = '48:3000,96:500'\n",
            "use steps that add up to training.max_steps = 4000, not to 3500",
        ),
        (
            "[training]\npatch = '48:4000,96'\n",
            "use at least one step for each side; training.max_steps is 4000",
        ),
        ("[training]\nbalance = 'even'\n", "training.balance = 'even' is not allowed; use one of images"),
        ("[loss]\nhints = -1\n", "loss.hints = -1"),
        (
            "[loss]\nhint_feature = 'voltage'\n",
            "loss.hint_feature = 'voltage' is not allowed; use one of membrane",
        ),
        (
            "[loss]\nhint_adapter = 'mlp'\n",
            "loss.hint_adapter = 'mlp' is not allowed; use one of linear",
        ),
        ("[loss]\nhint_sites = 'up_in'\n", "loss.hint_sites = 'up_in' is not allowed; use a list of texts"),
        ("[loss]\nhint_sites = ['a', 'a']\n", "is not allowed; name each site once"),
        ("[student]\nbody = 'tree'\n", "student.body = 'tree' is not allowed; use one of unet, flat, chain"),
        ("[student]\ntimesteps = 4\n", "student.timesteps = 4 is not allowed; use 1 with graded neurons"),
        ("training = 3\n", "training = 3 is not allowed; use a table"),
        ("[training\n", "not a TOML file"),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(written(tmp_path, text), {})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent.toml: cannot be read"):
        load_settings(tmp_path / "absent.toml", {})


def test_teacher_options_are_checked_against_the_constructor() -> None:
    assert parse_teacher_options("unet", ["width=32"]) == {"width": 32}
    with pytest.raises(ConfigError, match="unet takes width="):
        parse_teacher_options("unet", ["depth=3"])
    with pytest.raises(ConfigError, match="use one of unet, flat, chain, nafnet, restormer"):
        parse_teacher_options("vgg", [])


def test_every_refusal_of_a_student_names_its_key() -> None:
    for key, value in {"width": 2, "levels": 0, "leak": 0, "input_step": 99, "timesteps": 0}.items():
        with pytest.raises(ConfigError, match=f"student.{key} = {value}"):
            StudentConfig(**{key: value})


def test_sides_grow_at_equal_pixels_and_a_number_in_words_is_a_number() -> None:
    grown = load_settings(
        None, {"training": {"patch": "48:8,96:3,192", "batch": 16, "max_steps": 12}}
    ).training
    # 16 patches of 48 pixels have 36,864; so have 4 of 96 and 1 of 192.
    assert [(stage.side, stage.batch, stage.end) for stage in grown.stages] == [
        (48, 16, 8),
        (96, 4, 11),
        (192, 1, 12),
    ]
    typed = load_settings(None, {"training": {"patch": "64"}}).training
    assert typed.patch == 64 and typed.describe()["patch"] == 64
    assert "balance" not in typed.describe() and grown.describe()["patch"] == "48:8,96:3,192"
