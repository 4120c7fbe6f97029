"""`python -m snn_tool`, which is also how torchrun starts it: `torchrun --nproc-per-node 2 -m snn_tool …`."""

from snn_tool.cli.app import main

main()
