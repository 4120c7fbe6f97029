"""The loop of docs/tutorials/training-loop.md beside `distill`, at equal steps: both PSNRs and times.

    python benchmarks/training_loop.py --steps 300 --width 8

Teacher and students learn from the photographs that ship with scikit-image and scikit-learn.
"""

import argparse
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import snn_tool as st
from snn_tool.degradations.crops import write_demo_folders

PAGE = Path(__file__).parents[1] / "docs" / "tutorials" / "training-loop.md"


def loop_of_the_page() -> tuple[str, Any]:
    """The code of the page, and its function `train`."""
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    names: dict[str, Any] = {}
    exec(compile(code, PAGE.name, "exec"), names)
    return code, names["train"]


def compare(images: Path, steps: int, width: int, seed: int = 0) -> tuple[float, float]:
    """PSNR in dB on the validation crops, of `distill` and of the loop, beside one small teacher."""
    teacher = st.train_teacher(images, arch="unet", build={"width": 2 * width}, max_steps=steps, seed=seed)
    options: dict[str, Any] = {"max_steps": steps, "validate_every": steps, "seed": seed, "precision": "fp32"}
    started = time.perf_counter()
    run = st.distill(images, teacher=teacher, width=width, **options)
    between = time.perf_counter()
    settings, config = st.TrainingSettings(**options), st.StudentConfig(width=width)
    _, found = loop_of_the_page()[1](images, teacher.source.path, config, settings)
    ended = time.perf_counter()
    print(f"distill {run.validation_psnr_db:.3f} dB, {between - started:.0f} s")
    print(f"loop    {found:.3f} dB, {ended - between:.0f} s")
    return run.validation_psnr_db, found


def main() -> None:
    """Compare on the photographs that ship."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        images, _ = write_demo_folders(Path(folder))
        compare(images, given.steps, given.width, given.seed)


if __name__ == "__main__":
    main()
