"""Where a training runs and in which precision: the processor or a CUDA device, fp32 or bf16."""

import torch
from snn_tool.errors import ConfigError
from snn_tool.training.settings import TrainingSettings


def native_bf16() -> bool:
    """Whether this processor multiplies bf16 natively (AVX512-BF16, AMX); elsewhere it is slow."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def resolve_precision(settings: TrainingSettings, device: str) -> str:
    """Lightning's name of the precision to use."""
    wants_bf16 = settings.precision == "bf16" or (
        settings.precision == "auto"
        and (native_bf16() if device == "cpu" else torch.cuda.is_bf16_supported())
    )
    return "bf16-mixed" if wants_bf16 else "32-true"


def resolve_device(settings: TrainingSettings) -> str:
    """`cpu` or `cuda`.

    Raises:
        ConfigError: cuda was asked for and there is none.
    """
    available = torch.cuda.is_available()
    if settings.device == "cuda" and not available:
        raise ConfigError(
            "--device cuda: torch sees no CUDA device; use --device cpu or install a CUDA build of torch"
        )
    return "cuda" if available and settings.device != "cpu" else "cpu"
