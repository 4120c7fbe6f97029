"""Run a program, and end its whole process group when the process that started this one is dead.

    python lifeline.py STATUS PROGRAM [ARGUMENT ...]

Stdin is the read end of a pipe that the starter holds open and never writes to: it closes when the starter
dies, in whatever way. If PROGRAM does not start, its errno is written to the descriptor STATUS. Otherwise
this ends as PROGRAM does, by the same exit code or signal. Started as the leader of a process group by
`process`; a program of its own, which imports nothing of this package.
"""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time

GRACE_S = 2.0


def main() -> int:
    """Start, watch, wait; returns the exit code."""
    status, command = int(sys.argv[1]), sys.argv[2:]
    # The group is asked to end by SIGTERM, and this process ends last. SIG_IGN would be inherited.
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        program = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    except OSError as error:
        os.write(status, str(error.errno).encode())
        return 127
    os.close(status)
    orphaned = threading.Event()
    watcher = threading.Thread(target=_end_with_starter, args=(orphaned,), daemon=True)
    watcher.start()
    code = program.wait()
    if orphaned.is_set():
        watcher.join()
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(OSError):  # SIGKILL
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _end_with_starter(orphaned: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    orphaned.set()
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_S)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
