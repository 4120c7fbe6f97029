"""What every target and backend agrees on: traces, plug-ins, export folders, child processes."""
