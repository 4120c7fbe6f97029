"""ZigZag's mapping of dense layers onto an accelerator, in an interpreter of its own."""
