"""Energy: exact operation counts, energy models, the audit report."""
