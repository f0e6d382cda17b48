"""SIGTERM and Ctrl-C as a request to save and leave."""

import signal
import threading
from types import FrameType
from typing import Any


class StopRequest:
    """While entered, the first SIGTERM or SIGINT sets `signum`; a second one acts as it would have.

    Outside of the main thread, where Python sets no handlers, it does nothing.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._before: dict[int, Any] = {}

    def _handle(self, signum: int, _: FrameType | None) -> None:
        self.signum = signum
        self._restore()

    def _restore(self) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before = {}

    def __enter__(self) -> "StopRequest":
        """Itself, listening."""
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._handle) for s in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        """Gives the handlers back."""
        self._restore()
