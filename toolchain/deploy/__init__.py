"""From a trained student to verified files: quantise, import, export, verify, conformance."""
