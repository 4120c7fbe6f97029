"""snn-tool: distil, quantise, export, verify and audit spiking image-restoration networks."""

__version__ = "0.1.0"
