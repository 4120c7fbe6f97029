"""Exporters: NIR files, the Loihi-style bundle, Lava, verification."""
