"""Lava's fixed-point simulation in an interpreter of its own, and lava-dl's netx files."""
