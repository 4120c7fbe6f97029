"""The audit as data: rows, ratios, robustness, verdict."""
