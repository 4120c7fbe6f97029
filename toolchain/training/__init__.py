"""Training a teacher or a student: settings, data, steps, checkpoints, run folders."""
