"""Exact counts of what a network computes: spikes, fan-out, synops, MACs, traffic."""
