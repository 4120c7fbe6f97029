"""The edge accelerator that rivals are mapped onto: ZigZag's `edge_tpu_like`, and how its array is used.

The description is that of ZigZag's package, unchanged: 8 x 8 x 4 x 4 multipliers of int8 with a register each
for weights and sums, 32 KB for weights, 2 MB for activations, DRAM of 64 bits per cycle. ZigZag's authors
modelled it after Google's Edge TPU (Yazdanbakhsh et al., arXiv 2102.10423) and normalised it to 1,024
multipliers and 2 MB (hardware README of ZigZag's repository; the same figures stand in that of DeFiNES,
inputs/HW/Edge_TPU_like.py). Neither file states the process of its energies.
"""

from collections.abc import Mapping

from snn_tool.exporters.zigzag.mapping import Unrolled
from snn_tool.models.loop_nest import LoopNest

NAME = "edge_tpu_like"
SOURCE = (
    "ZigZag's description edge_tpu_like, after Yazdanbakhsh et al., arXiv 2102.10423, normalised by its "
    "authors to 1,024 multipliers and 2 MB; the process of its energies is not stated there"
)

DENSE: Unrolled = {"D1": ["K, 8"], "D2": ["C, 8"], "D3": ["OX, 4"], "D4": ["OY, 4"]}
"""Of ZigZag's own mapping file for it."""

DEPTHWISE: Unrolled = {"D1": ["G, 8"], "D2": ["C, 1"], "D3": ["OX, 4"], "D4": ["OY, 4"]}
"""Channels stand where output channels do, as in that file's mappings of additions and pooling; the sums
along the second side have one summand, so that seven multipliers of eight are idle."""


def unrolled(nest: LoopNest) -> Unrolled:
    """The loops that the array unrolls for a nest."""
    return DEPTHWISE if nest.is_depthwise else DENSE


PRICED_AT_45_NM: Mapping[str, str] = {"sram_32KB": "sram-32kb", "sram_2MB": "sram-1mb", "dram": "dram"}
"""Memories by the constants that price 64 bits of them in 45 nm; 1 MB stands for 2 MB, which is low."""
