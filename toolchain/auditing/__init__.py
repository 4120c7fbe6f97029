"""Energy audits that the command line runs: students, NIR files, any module, a chip simulator."""
