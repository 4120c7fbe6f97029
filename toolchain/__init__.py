"""snn-tool: distil, quantise, export, verify and audit spiking image-restoration networks.

    import snn_tool as st
    student = st.load("denoise-25")
    clean = student.restore(image)

docs/tutorials/python.md describes every public name. Each is imported on first use: `import snn_tool`
imports neither torch nor numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "ArtifactError",
    "Audit",
    "Backend",
    "BackendUnavailableError",
    "Bundle",
    "ConfigError",
    "DataError",
    "DistillationLoss",
    "ExportDiffersError",
    "ExportError",
    "GradedNeuron",
    "Imported",
    "IntegerEngine",
    "IntegerNetwork",
    "Interrupted",
    "LifNeuron",
    "LossWeights",
    "Network",
    "Population",
    "QuantizationError",
    "Report",
    "Run",
    "SnnToolError",
    "SpikeCount",
    "Student",
    "StudentConfig",
    "Synapse",
    "Target",
    "TargetLimitError",
    "Teacher",
    "TeacherError",
    "Topology",
    "TrainingSettings",
    "UnsupportedLayerError",
    "VerificationError",
    "audit",
    "build_student",
    "count_spikes",
    "count_table",
    "distill",
    "export",
    "from_torch",
    "load",
    "optimizer_for",
    "patches",
    "quantization_aware",
    "quantize",
    "read_program",
    "train_teacher",
    "verify",
]

if TYPE_CHECKING:
    from snn_tool.api.audit import Audit as Audit
    from snn_tool.api.audit import audit as audit
    from snn_tool.api.deploy import (
        Bundle as Bundle,
    )
    from snn_tool.api.deploy import (
        Report as Report,
    )
    from snn_tool.api.deploy import (
        export as export,
    )
    from snn_tool.api.deploy import (
        quantize as quantize,
    )
    from snn_tool.api.deploy import (
        verify as verify,
    )
    from snn_tool.api.elsewhere import Imported as Imported
    from snn_tool.api.elsewhere import from_torch as from_torch
    from snn_tool.api.networks import Student as Student
    from snn_tool.api.networks import Teacher as Teacher
    from snn_tool.api.networks import load as load
    from snn_tool.api.training import (
        Run as Run,
    )
    from snn_tool.api.training import (
        distill as distill,
    )
    from snn_tool.api.training import (
        patches as patches,
    )
    from snn_tool.api.training import (
        train_teacher as train_teacher,
    )
    from snn_tool.energy.pages.count_table import count_table as count_table
    from snn_tool.energy.torch_counter.result import SpikeCount as SpikeCount
    from snn_tool.energy.torch_counter.spikes import count_spikes as count_spikes
    from snn_tool.errors import (
        ArtifactError as ArtifactError,
    )
    from snn_tool.errors import (
        BackendUnavailableError as BackendUnavailableError,
    )
    from snn_tool.errors import (
        ConfigError as ConfigError,
    )
    from snn_tool.errors import (
        DataError as DataError,
    )
    from snn_tool.errors import (
        ExportDiffersError as ExportDiffersError,
    )
    from snn_tool.errors import (
        ExportError as ExportError,
    )
    from snn_tool.errors import (
        Interrupted as Interrupted,
    )
    from snn_tool.errors import (
        QuantizationError as QuantizationError,
    )
    from snn_tool.errors import (
        SnnToolError as SnnToolError,
    )
    from snn_tool.errors import (
        TargetLimitError as TargetLimitError,
    )
    from snn_tool.errors import (
        TeacherError as TeacherError,
    )
    from snn_tool.errors import (
        UnsupportedLayerError as UnsupportedLayerError,
    )
    from snn_tool.errors import (
        VerificationError as VerificationError,
    )
    from snn_tool.exporters.contract.targets import Backend as Backend
    from snn_tool.exporters.contract.targets import Target as Target
    from snn_tool.exporters.nir.file import read_program as read_program
    from snn_tool.models.config import LossWeights as LossWeights
    from snn_tool.models.config import StudentConfig as StudentConfig
    from snn_tool.models.integer.engine import IntegerEngine as IntegerEngine
    from snn_tool.models.integer.network import IntegerNetwork as IntegerNetwork
    from snn_tool.models.integer.training import quantization_aware as quantization_aware
    from snn_tool.models.losses import DistillationLoss as DistillationLoss
    from snn_tool.models.network import Network as Network
    from snn_tool.models.neurons import GradedNeuron as GradedNeuron
    from snn_tool.models.neurons import LifNeuron as LifNeuron
    from snn_tool.models.student import build_student as build_student
    from snn_tool.models.topology import Population as Population
    from snn_tool.models.topology import Synapse as Synapse
    from snn_tool.models.topology import Topology as Topology
    from snn_tool.training.optimizers import optimizer_for as optimizer_for
    from snn_tool.training.settings import TrainingSettings as TrainingSettings
else:
    _HOMES = {
        "ArtifactError": "errors",
        "Audit": "api.audit",
        "Backend": "exporters.contract.targets",
        "BackendUnavailableError": "errors",
        "Bundle": "api.deploy",
        "ConfigError": "errors",
        "DataError": "errors",
        "DistillationLoss": "models.losses",
        "ExportDiffersError": "errors",
        "ExportError": "errors",
        "GradedNeuron": "models.neurons",
        "Imported": "api.elsewhere",
        "IntegerEngine": "models.integer.engine",
        "IntegerNetwork": "models.integer.network",
        "Interrupted": "errors",
        "LifNeuron": "models.neurons",
        "LossWeights": "models.config",
        "Network": "models.network",
        "Population": "models.topology",
        "QuantizationError": "errors",
        "Report": "api.deploy",
        "Run": "api.training",
        "SnnToolError": "errors",
        "SpikeCount": "energy.torch_counter.result",
        "Student": "api.networks",
        "StudentConfig": "models.config",
        "Synapse": "models.topology",
        "Target": "exporters.contract.targets",
        "TargetLimitError": "errors",
        "Teacher": "api.networks",
        "TeacherError": "errors",
        "Topology": "models.topology",
        "TrainingSettings": "training.settings",
        "UnsupportedLayerError": "errors",
        "VerificationError": "errors",
        "audit": "api.audit",
        "build_student": "models.student",
        "count_spikes": "energy.torch_counter.spikes",
        "count_table": "energy.pages.count_table",
        "distill": "api.training",
        "export": "api.deploy",
        "from_torch": "api.elsewhere",
        "load": "api.networks",
        "optimizer_for": "training.optimizers",
        "patches": "api.training",
        "quantization_aware": "models.integer.training",
        "quantize": "api.deploy",
        "read_program": "exporters.nir.file",
        "train_teacher": "api.training",
        "verify": "api.deploy",
    }

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOMES})
