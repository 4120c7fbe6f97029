"""Torch networks of spiking libraries as NIR graphs, by our own maps or by their libraries' exporters."""
