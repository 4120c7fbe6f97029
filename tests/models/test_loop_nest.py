"""Loop nests against counts by hand."""

from snn_tool.energy.counts.fan_out import synapse_macs
from snn_tool.models.loop_nest import LoopNest, matrix_nest, synapse_nest
from snn_tool.models.topology import Synapse


def test_a_convolution_by_hand() -> None:
    """48 to 48 channels, 3x3, 16x16 positions: 48 * 48 * 9 * 256 products; the padding is not read."""
    nest = LoopNest(1, 48, 48, 16, 16, 3, 3, padding=1)
    assert nest.macs == 48 * 48 * 9 * 256
    assert (nest.inputs, nest.weights, nest.outputs) == (48 * 256, 48 * 48 * 9, 48 * 256)
    assert nest.input_size == (16, 16) and not nest.is_depthwise
    assert nest.text == "48 to 48, 3x3, 16x16"


def test_a_stride_leaves_the_last_row_unread() -> None:
    """16 rows by stride 2 are 8: the last window ends at row 2 * 7 + 1 = 15, so 15 rows are reached."""
    nest = synapse_nest(Synapse("down", "enc", 24, 48, stride=2), 16, 32)
    assert (nest.rows, nest.columns, nest.input_size) == (8, 16, (15, 31))
    assert nest.text == "24 to 48, 3x3 /2, 8x16"


def test_a_pixel_shuffle_moves_nothing() -> None:
    synapse = Synapse("up", "mid", 48, 96, kernel=1, upsample=2)
    nest = synapse_nest(synapse, 8, 8)
    assert (nest.rows, nest.columns, nest.out_channels) == (8, 8, 96)
    assert nest.macs == synapse_macs(synapse, 8, 8).padded_macs == 48 * 96 * 64


def test_a_dilated_kernel_reaches_its_padding() -> None:
    nest = synapse_nest(Synapse("wide", "enc", 4, 4, dilation=2), 10, 10)
    assert (nest.padding, nest.input_size, nest.rows) == (2, (10, 10), 10)
    assert nest.text == "4 to 4, 3x3 dilated 2, 10x10"


def test_a_matrix_product_has_its_longer_side_as_positions() -> None:
    """[48, 48] x [48, 4096] of two heads: 4096 = 1024 * 4 positions, the 48 x 48 stand as weights."""
    nest = matrix_nest(2, 48, 48, 4096)
    assert (nest.groups, nest.out_channels, nest.in_channels, nest.rows, nest.columns) == (2, 48, 48, 1024, 4)
    assert nest.macs == 2 * 48 * 48 * 4096 and nest.weights == 2 * 48 * 48
    assert matrix_nest(1, 5, 3, 2).macs == 30 and matrix_nest(1, 5, 3, 2).columns == 1


def test_depthwise_is_one_channel_in_and_out_of_many() -> None:
    assert LoopNest(96, 1, 1, 4, 4, 3, 3, padding=1).is_depthwise
    assert not LoopNest(2, 8, 8, 4, 4).is_depthwise and not LoopNest(1, 1, 1, 4, 4).is_depthwise
