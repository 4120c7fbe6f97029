"""One of the accelerators that ZigZag's package describes, and the best mapping of loop nests onto it."""

import hashlib
import json
import math
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from zigzag.mapping.temporal_mapping import TemporalMappingType
from zigzag.stages.evaluation.cost_model_evaluation import CostModelStage
from zigzag.stages.main import MainStage
from zigzag.stages.mapping.spatial_mapping_generation import SpatialMappingGeneratorStage
from zigzag.stages.mapping.temporal_mapping_generator_stage import TemporalMappingGeneratorStage
from zigzag.stages.parser.accelerator_parser import AcceleratorParserStage
from zigzag.stages.parser.workload_parser import WorkloadParserStage
from zigzag.stages.results.reduce_stages import MinimalEnergyStage, MinimalLatencyStage
from zigzag.stages.workload_iterator import WorkloadStage

LOOPS = ("G", "K", "C", "OY", "OX", "FY", "FX")
FIELDS = ("groups", "out_channels", "in_channels", "rows", "columns", "kernel_rows", "kernel_columns")
EQUATION = "O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]"
OPERANDS = {"O": "O", "W": "I2", "I": "I1"}
BEST = {"energy": MinimalEnergyStage, "latency": MinimalLatencyStage}


class ZigzagAccelerator:
    """Maps one nest after another, each by itself.

    The request names the accelerator, what is least (`energy` or `latency`), how many loops are put into all
    orders, the widths of the operands in bits, and the nests with the loops that the array unrolls.
    """

    def __init__(self, request: dict[str, Any], folder: Path) -> None:
        self.request, self.folder = request, folder
        self.name = request["accelerator"]
        text = (files("zigzag.inputs.hardware") / f"{self.name}.yaml").read_bytes()
        self.sha256 = hashlib.sha256(text).hexdigest()
        self.content = yaml.safe_load(text)
        self.path = folder / f"{self.name}.yaml"
        self.path.write_bytes(text)

    def description(self) -> dict[str, Any]:
        """Sizes and energies as the file has them; energies are of a word, the widest access."""
        array = self.content["operational_array"]
        return {
            "name": self.name,
            "sha256": self.sha256,
            "units": math.prod(array["sizes"]),
            "mac_pj": float(array["unit_energy"]),
            "memories": [
                {
                    "name": name,
                    "bits": int(memory["size"]),
                    "word_bits": max(int(port["bandwidth_max"]) for port in memory["ports"]),
                    "read_pj": float(memory["r_cost"]),
                    "write_pj": float(memory["w_cost"]),
                }
                for name, memory in self.content["memories"].items()
            ],
        }

    def mapped(self, nest: dict[str, Any]) -> dict[str, Any]:
        """The best mapping of one nest: accesses of each memory, energy, cycles, utilisation."""
        mapping = self.folder / "mapping.yaml"
        spatial = [{"name": "default", "spatial_mapping": nest["unrolled"], "memory_operand_links": OPERANDS}]
        mapping.write_text(json.dumps(spatial), encoding="utf-8")  # JSON is YAML
        best = BEST[self.request["objective"]]
        found = MainStage(
            list_of_callables=[
                WorkloadParserStage,
                AcceleratorParserStage,
                WorkloadStage,
                best,
                SpatialMappingGeneratorStage,
                best,
                TemporalMappingGeneratorStage,
                CostModelStage,
            ],
            accelerator=str(self.path),
            workload=[self._layer(nest)],
            mapping=str(mapping),
            loma_lpf_limit=self.request["loops"],
            loma_show_progress_bar=False,
            nb_mappings_generated=1,
            enable_mix_spatial_mapping_generation=False,
            access_same_data_considered_as_no_access=True,
            temporal_mapping_type=TemporalMappingType.UNEVEN,
        ).run()
        if len(found) != 1:
            raise ValueError(f"{len(found)} mappings in place of one")
        return _numbers(found[0][0])

    def _layer(self, nest: dict[str, Any]) -> dict[str, Any]:
        stride, dilation, padding = (nest[key] for key in ("stride", "dilation", "padding"))
        reached = [
            stride * (nest[positions] - 1) + 1 + dilation * (nest[taps] - 1) - 2 * padding
            for positions, taps in (("columns", "kernel_columns"), ("rows", "kernel_rows"))
        ]
        return {
            "id": 0,
            "name": "nest",
            "operator_type": "Conv",
            "equation": EQUATION,
            "dimension_relations": [f"ix={stride}*ox+{dilation}*fx", f"iy={stride}*oy+{dilation}*fy"],
            "loop_dims": ["B", *LOOPS],
            "loop_sizes": [1, *(nest[field] for field in FIELDS)],
            "operand_precision": self.request["bits"],
            "operand_source": {"W": 0, "I": 0},
            "pr_loop_dims": ["IX", "IY"],
            "pr_loop_sizes": reached,
            "padding": [[padding, padding], [padding, padding]],
        }


def _numbers(cost: Any) -> dict[str, Any]:
    """What the cost model found, in plain numbers."""
    accesses: dict[str, dict[str, float]] = {}
    for operand, levels in cost.memory_word_access.items():
        memory = cost.layer.memory_operand_links.layer_to_mem_op(operand)
        for level, moved in enumerate(levels):
            instance = cost.accelerator.get_memory_level(memory, level).memory_instance
            counted = accesses.setdefault(instance.name, {"reads": 0.0, "writes": 0.0})
            for direction, count in moved.data.items():
                counted["reads" if direction.name.startswith("RD") else "writes"] += float(count)
    return {
        "macs": int(cost.layer.total_mac_count),
        "energy_pj": float(cost.energy_total),
        "cycles": math.ceil(cost.latency_total2),
        "computing_cycles": math.ceil(cost.latency_total0),
        "spatial_utilisation": float(cost.mac_spatial_utilization),
        "accesses": accesses,
    }
