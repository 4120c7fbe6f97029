"""What a signal does to a command: Ctrl-C, a batch system's SIGTERM and a closed terminal end it in one way.

The first one raises `Stopped` where the program is, so that every `finally` runs: children are ended,
temporary files removed. A training takes the signals over, to write a checkpoint first. Further signals
are ignored while that goes on, for a closed terminal sends several; only a second Ctrl-C ends the program
at once.
"""

import _thread
import contextlib
import errno
import os
import signal
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
PATIENCE_S = 10.0
"""A library may swallow the exception; after this time a signal counts again."""
REPEAT_S = 0.05
"""How long after an exception was lost in a destructor the signal is sent once more."""


class Stopped(BaseException):
    """A signal arrived. No KeyboardInterrupt: Lightning and click answer that in ways of their own."""

    def __init__(self, number: int) -> None:
        super().__init__(WORDS[signal.Signals(number)])
        self.code = 128 + number


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Let the signals raise `Stopped` inside; those that are ignored, as under nohup, stay ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = _Handler()
    before, hook = take_over(handler), sys.unraisablehook
    sys.unraisablehook = handler.lost(hook)
    try:
        yield
    finally:
        try:
            handler.retire()
        finally:
            sys.unraisablehook = hook
            give_back(before)


def take_over(handler: Any) -> dict[signal.Signals, Any]:
    """Install a handler for all three signals that are not ignored; returns what was there."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    heard = [number for number in WORDS if signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in heard}


def give_back(before: dict[signal.Signals, Any]) -> None:
    """Install what was there."""
    for number, handler in before.items():
        signal.signal(number, handler)


class _Handler:
    """Raises `Stopped`, once for signals that come together, and again where one was lost."""

    def __init__(self) -> None:
        self._raised_s = -PATIENCE_S
        self._lost = False
        self._active = True
        self._sending = _thread.allocate_lock()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        leave_closed_terminal()
        if self._recent():
            if number == signal.SIGINT:
                end_at_once(number)
            return
        self._raised_s = time.monotonic()
        raise Stopped(number)

    def _recent(self) -> bool:
        return time.monotonic() - self._raised_s < PATIENCE_S

    def lost(self, otherwise: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return a hook for exceptions that nobody can catch: a `Stopped` among them is raised once more.

        Python runs destructors and the callbacks of weak references anywhere, also where a signal's
        handler is due, and drops what they raise.
        """

        def hook(unraisable: Any) -> None:
            if not isinstance(unraisable.exc_value, Stopped):
                otherwise(unraisable)
                return
            self._raised_s = -PATIENCE_S
            if not self._lost:
                self._lost = True
                # The bare function, since a destructor may run while the threading module holds its lock.
                _thread.start_new_thread(self._send_again, (unraisable.exc_value.code - 128,))

        return hook

    def _send_again(self, number: int) -> None:
        time.sleep(REPEAT_S)
        with self._sending:
            self._lost = False
            if self._active and not self._recent():
                signal.pthread_kill(threading.main_thread().ident or 0, number)

    def retire(self) -> None:
        """Send nothing any more: who is here afterwards would take it for a signal of its own."""
        with self._sending:
            self._active = False


def end_at_once(number: int) -> None:
    """Die of a signal, as a program without a handler would."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def leave_closed_terminal() -> None:
    """Point stdout and stderr to nowhere if they are a terminal that was closed: writing would fail."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is None:
            continue
        with contextlib.suppress(OSError, ValueError):  # closed, or without a descriptor
            descriptor = stream.fileno()
            if _is_closed_terminal(descriptor):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)


def _is_closed_terminal(descriptor: int) -> bool:
    """A closed terminal is still a character device, but answers no question."""
    try:
        termios.tcgetattr(descriptor)
    except termios.error as error:
        return bool(error.args and error.args[0] == errno.EIO)  # ENOTTY is no terminal
    return False
