"""Counts to joules: the models, their constants with sources, users' profiles."""
