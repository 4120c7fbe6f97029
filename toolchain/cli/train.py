"""The commands that fit networks: `train` and `distill`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from snn_tool.cli.options import DegradedFolder, PairsFolder, Strength, Task, images_or_pairs
from snn_tool.networks.shipped import student_or_shipped
from snn_tool.tables import printable
from snn_tool.terminal import Terminal, terminal_of

Data = Annotated[
    Path | None, typer.Option("--data", help="Folder of clean training images (searched recursively).")
]
Out = Annotated[Path, typer.Option("--out", help="Run folder: log, checkpoints, network.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="TOML file with tables training, loss, student.")
]
MaxSteps = Annotated[int | None, typer.Option("--max-steps", help="Optimiser steps. [default: 4000]")]
Batch = Annotated[int | None, typer.Option("--batch", help="Patches per step. [default: 8]")]
Patch = Annotated[int | None, typer.Option("--patch", help="Patch side in pixels. [default: 48]")]
LearningRate = Annotated[
    float | None, typer.Option("--lr", help="AdamW's peak learning rate. [default: 0.0025]")
]
KernelRate = Annotated[
    float | None, typer.Option("--kernel-lr", help="Muon's peak learning rate. [default: 0.02]")
]
Optimizer = Annotated[str | None, typer.Option("--optimizer", help="muon or adamw. [default: muon]")]
ValidateEvery = Annotated[
    int | None, typer.Option("--validate-every", help="Steps per validation. [default: 500]")
]
Seed = Annotated[
    int | None, typer.Option("--seed", help="Seed of weights, patches, noise, split. [default: 0]")
]
Device = Annotated[str | None, typer.Option("--device", help="cpu, cuda or auto. [default: auto]")]
Precision = Annotated[str | None, typer.Option("--precision", help="auto, fp32 or bf16. [default: auto]")]
Ema = Annotated[
    float | None, typer.Option("--ema", help="Decay of the weights' moving average; 0 is off. [default: 0]")
]
Qat = Annotated[
    float | None,
    typer.Option("--qat", help="Last fraction of the steps, trained as the integers round. [default: 0.2]"),
]
SynopBudget = Annotated[
    float | None,
    typer.Option("--synop-budget", help="Synops per pixel to stay below; 0 is no budget. [default: 0]"),
]
Initial = Annotated[
    Path | None,
    typer.Option(
        "--init",
        help="Start from this student.safetensors or student.int.safetensors, or a name from 'models', of "
        "the same shape but for timesteps.",
        callback=student_or_shipped,
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the run folder's last checkpoint.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is in the run folder.")]
LossFft = Annotated[float | None, typer.Option("--loss-fft", help="Weight of the FFT loss. [default: 0.02]")]
Architecture = Annotated[str, typer.Option("--arch", help="unet, flat, chain, nafnet or restormer.")]
TeacherSize = Annotated[
    str | None,
    typer.Option("--size", help="small, medium or large, or a published size; --option overrides."),
]
TeacherOption = Annotated[
    list[str] | None,
    typer.Option("--option", help="Constructor option of the teacher, e.g. width=32; repeatable."),
]


def train(
    context: typer.Context,
    out: Out,
    data: Data = None,
    pairs: PairsFolder = None,
    degraded: DegradedFolder = None,
    task: Task = None,
    sigma: Strength = None,
    architecture: Architecture = "unet",
    size: TeacherSize = None,
    option: TeacherOption = None,
    config: ConfigFile = None,
    max_steps: MaxSteps = None,
    batch: Batch = None,
    patch: Patch = None,
    optimizer: Optimizer = None,
    lr: LearningRate = None,
    kernel_lr: KernelRate = None,
    validate_every: ValidateEvery = None,
    seed: Seed = None,
    device: Device = None,
    precision: Precision = None,
    ema: Ema = None,
    loss_fft: LossFft = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Train an ANN teacher on a folder of images."""
    from snn_tool.networks.teachers import parse_teacher_options
    from snn_tool.training.run_folder import RunFolder
    from snn_tool.training.runs import TaskOptions, train_teacher
    from snn_tool.training.settings import load_settings

    terminal = terminal_of(context)
    overrides = _training(
        max_steps, batch, patch, optimizer, lr, kernel_lr, validate_every, seed, device, precision, ema
    )
    settings = load_settings(config, {"training": overrides, "loss": {"fft": loss_fft}})
    build = parse_teacher_options(architecture, option or [], size)
    folder = RunFolder(out, resume, overwrite, terminal.quiet)
    clean, partners = images_or_pairs(data, "--data", pairs, degraded)
    options = TaskOptions(clean, task or (None if partners else "denoise"), sigma, partners)
    _report(
        terminal,
        "teacher",
        train_teacher(architecture, build, options, settings, folder),
    )


def distill(
    context: typer.Context,
    out: Out,
    data: Data = None,
    pairs: PairsFolder = None,
    degraded: DegradedFolder = None,
    teacher: Annotated[
        str,
        typer.Option(
            "--teacher",
            help="teacher.safetensors, model.onnx, package.module:factory, an architecture with --weights, "
            "or 'none'.",
        ),
    ] = "none",
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Weights of a factory's network: .safetensors or .pth.")
    ] = None,
    hints: Annotated[
        str, typer.Option("--hints", help="Teacher features a,b: modules, or tensors of ONNX.")
    ] = "",
    task: Task = None,
    sigma: Strength = None,
    neuron: Annotated[str | None, typer.Option("--neuron", help="graded or lif. [default: graded]")] = None,
    body: Annotated[str | None, typer.Option("--body", help="unet, flat or chain. [default: unet]")] = None,
    width: Annotated[int | None, typer.Option("--width", help="Channels at full resolution.")] = None,
    timesteps: Annotated[
        int | None, typer.Option("--timesteps", help="T of lif neurons. [default: 4]")
    ] = None,
    levels: Annotated[
        int | None, typer.Option("--levels", help="Levels of graded neurons. [default: 4]")
    ] = None,
    signed: Annotated[bool | None, typer.Option("--signed/--unsigned", help="Sign of graded spikes.")] = None,
    loss_l1: Annotated[float | None, typer.Option("--loss-l1", help="Weight of L1. [default: 1]")] = None,
    loss_mse: Annotated[float | None, typer.Option("--loss-mse", help="Weight of MSE. [default: 0]")] = None,
    loss_fft: LossFft = None,
    loss_output: Annotated[
        float | None, typer.Option("--loss-output", help="Weight of the teacher's output. [default: 0.5]")
    ] = None,
    loss_hints: Annotated[
        float | None, typer.Option("--loss-hints", help="Weight of hints. [default: 0.005]")
    ] = None,
    config: ConfigFile = None,
    max_steps: MaxSteps = None,
    batch: Batch = None,
    patch: Patch = None,
    optimizer: Optimizer = None,
    lr: LearningRate = None,
    kernel_lr: KernelRate = None,
    validate_every: ValidateEvery = None,
    seed: Seed = None,
    split_seed: Annotated[
        int | None,
        typer.Option("--split-seed", min=0, help="Seed of the validation split. [--seed]"),
    ] = None,
    device: Device = None,
    precision: Precision = None,
    ema: Ema = None,
    qat: Qat = None,
    synop_budget: SynopBudget = None,
    init: Initial = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Distil a spiking student from a teacher's output and decoder features."""
    from snn_tool.networks.teachers import source_from_options
    from snn_tool.training.run_folder import RunFolder
    from snn_tool.training.runs import TaskOptions, distill_student, read_initial
    from snn_tool.training.settings import load_settings

    terminal = terminal_of(context)
    training = _training(
        max_steps, batch, patch, optimizer, lr, kernel_lr, validate_every, seed, device, precision, ema
    )
    overrides = {
        "training": {**training, "qat": qat, "synop_budget": synop_budget},
        "loss": {"l1": loss_l1, "mse": loss_mse, "fft": loss_fft, "output": loss_output, "hints": loss_hints},
        "student": _student(neuron, body, width, timesteps, levels, signed),
    }
    settings = load_settings(config, overrides)
    initial = read_initial(init, settings.student) if init else None
    folder = RunFolder(out, resume, overwrite, terminal.quiet)
    chosen = tuple(name.strip() for name in hints.split(",") if name.strip())
    source = source_from_options(teacher, weights)
    clean, partners = images_or_pairs(data, "--data", pairs, degraded)
    options = TaskOptions(clean, task or (None if partners else "denoise"), sigma, partners, split_seed)
    trained = distill_student(source, chosen, options, settings, folder, terminal.note, initial)
    _report(terminal, "student", trained)


def _training(
    max_steps: int | None,
    batch: int | None,
    patch: int | None,
    optimizer: str | None,
    lr: float | None,
    kernel_lr: float | None,
    validate_every: int | None,
    seed: int | None,
    device: str | None,
    precision: str | None,
    ema: float | None,
) -> dict[str, Any]:
    return {
        "max_steps": max_steps,
        "batch": batch,
        "patch": patch,
        "optimizer": optimizer,
        "lr": lr,
        "kernel_lr": kernel_lr,
        "validate_every": validate_every,
        "seed": seed,
        "device": device,
        "precision": precision,
        "ema": ema,
    }


def _student(
    neuron: str | None,
    body: str | None,
    width: int | None,
    timesteps: int | None,
    levels: int | None,
    signed: bool | None,
) -> dict[str, Any]:
    return {
        "neuron": neuron,
        "body": body,
        "width": width,
        "timesteps": timesteps,
        "levels": levels,
        "signed": signed,
    }


def _report(terminal: Terminal, kind: str, trained: Any) -> None:
    from snn_tool.training.ranks import is_first

    if not is_first():
        return
    training = trained.training
    text = (
        f"{printable(trained.path)}: {kind} with {trained.parameters:,} parameters, validation "
        f"{training['validation_psnr_db']:.2f} dB at step {training['best_step']} of {training['steps']}"
    )
    terminal.result(text, {"path": str(trained.path), "parameters": trained.parameters, **training})
