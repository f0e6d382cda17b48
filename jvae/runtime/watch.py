"""Several processes as one: when one is gone, each of the others says so in one line and ends.

JAX alone takes minutes to notice, aborts with a page of C++ when the coordinator is gone, and never learns of a process
that waits for one that has failed. Here every process holds a connection to process 0, which the kernel closes when
either dies, however it dies; process 0 tells the others.
"""

import contextlib
import ctypes
import os
import selectors
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import TextIO

EXIT = 75  # EX_TEMPFAIL of sysexits.h: nothing is wrong with this process; start all of them again
GRACE = 2.0  # seconds that processes have to say themselves why they fail, as they may all do for one reason
TICK = 0.5  # seconds
TOKEN_BYTES = 16
LOST = b"the JAX distributed service detected fatal errors"  # of jaxlib's client.h, with which it aborts
# A machine that loses its power or its network closes no connection: 30 s of silence do.
KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}


def say(text: str, to: TextIO | None = None) -> None:
    """Prints an error in one line."""
    print(f"error: {' '.join(text.split())}", file=to or sys.stderr, flush=True)


def end_in(seconds: float, code: int, text: str = "") -> threading.Timer:
    """Ends the process in so many seconds, whatever it waits for, with a line of `text`; may be cancelled."""

    def end() -> None:
        if text:
            say(text)
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    return timer


class HeldBack:
    """What C++ writes to stderr, shown a tick or two later, or never where it is about a lost process.

    JAX's client writes a page about that and aborts, at once when the coordinator is gone. The abort waits here until
    the watch has said it in a line; or, where there is no watch yet, this does.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()
        self._stderr = os.dup(2)
        sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
        os.dup2(self._file.fileno(), 2)
        self._shown, self._due, self._over = 0, 0, threading.Event()
        libc = ctypes.CDLL(None)
        libc.signal(signal.SIGABRT, libc.sleep)  # called with the signal's number, it sleeps 6 seconds
        self._thread = threading.Thread(target=self._run, name="stderr", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Shows the rest, and lets C++ write to stderr again."""
        os.dup2(self._stderr, 2)
        signal.signal(signal.SIGABRT, signal.SIG_DFL)
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(TICK):
            self._show()
        self._show()
        self._show()

    def _show(self) -> None:
        """Shows what was there the last time."""
        text = os.pread(self._file.fileno(), self._due - self._shown, self._shown)
        if LOST in text:
            say("JAX has lost another process, and this process ends with it: start all of them again")
            os._exit(EXIT)
        os.write(self._stderr, text)
        self._shown, self._due = self._due, os.fstat(self._file.fileno()).st_size


class Watch:
    """The connections of one process, and the thread that listens to them.

    Args:
      peers: process → connection: of process 0 to all others, of each other to process 0.
      own: number of this process.
    """

    def __init__(self, peers: dict[int, socket.socket], own: int) -> None:
        self._peers, self._own = peers, own
        self._over = False
        self._heard = dict.fromkeys(peers, b"")
        threading.Thread(target=self._listen, name="watch", daemon=True).start()

    def leave(self) -> None:
        """Tells the others that this process is done."""
        self._over = True
        self._tell("left")

    def fail(self, code: int, text: str) -> None:
        """Tells the others that this process fails, and why, and ends it with `code` when it has said so itself.

        An exception that is no user's mistake may come of a lost process: that is waited for first.
        """
        if code == 1:
            time.sleep(GRACE)
        self._over = True
        self._tell(f"failed process {self._own} failed: {' '.join(text.split())}")
        end_in(GRACE, code)  # else it would wait in JAX's shutdown for the others

    def _tell(self, line: str, but: int | None = None) -> None:
        for number, peer in self._peers.items():
            if number != but:
                with contextlib.suppress(OSError):  # it is gone as well
                    peer.sendall(line.encode() + b"\n")

    def _listen(self) -> None:
        with selectors.DefaultSelector() as selector:
            for number, peer in self._peers.items():
                selector.register(peer, selectors.EVENT_READ, number)
            while not self._over:
                for key, _ in selector.select(TICK):
                    if not self._hear(key.data):
                        selector.unregister(key.fileobj)

    def _hear(self, number: int) -> bool:
        """Reads what a process sent; False when no more will come."""
        try:
            data = self._peers[number].recv(4096)
        except OSError:  # reset, or silent for too long
            data = b""
        if self._over:
            return False
        if not data:
            self._lost(number, f"process {number} died", 0)
            return False
        *lines, self._heard[number] = (self._heard[number] + data).split(b"\n")
        for line in lines:
            verb, _, text = line.decode(errors="replace").partition(" ")
            if verb == "left":
                return False
            self._lost(number, text, GRACE + 1 if verb == "failed" else 0)
        return True

    def _lost(self, number: int, text: str, grace: float) -> None:
        self._tell(f"{'failed' if grace else 'died'} {text}", but=number)
        time.sleep(grace)
        if not self._over:
            say(f"{text}, and this process ends with it: start all of them again")
            os._exit(EXIT)


def listen(count: int) -> tuple[int, bytes, Callable[[float], dict[int, socket.socket]]]:
    """Opens a port for `count` other processes.

    Returns:
      The port, a token that they must send, and a function that waits for all of them so many seconds.
    """
    both = socket.has_dualstack_ipv6()
    server = socket.create_server(
        ("", 0), family=socket.AF_INET6 if both else socket.AF_INET, dualstack_ipv6=both, backlog=max(128, count)
    )
    token = os.urandom(TOKEN_BYTES)

    def wait(seconds: float) -> dict[int, socket.socket]:
        peers: dict[int, socket.socket] = {}
        until = time.monotonic() + seconds
        with server:
            while len(peers) < count:
                server.settimeout(max(0.01, until - time.monotonic()))
                peer, _ = server.accept()
                peer.settimeout(5)
                with contextlib.suppress(OSError):
                    hello = peer.recv(TOKEN_BYTES + 4, socket.MSG_WAITALL)
                    if hello[:TOKEN_BYTES] == token:
                        peers[int.from_bytes(hello[TOKEN_BYTES:])] = _kept_alive(peer)
        return peers

    return server.getsockname()[1], token, wait


def connect(hosts: list[str], port: int, token: bytes, own: int, seconds: float) -> dict[int, socket.socket]:
    """Connects process `own` to process 0, at the first of its `hosts` that answers.

    Raises:
      OSError: none does.
    """
    error = OSError("no hosts")
    for host in hosts:
        try:
            peer = socket.create_connection((host, port), timeout=seconds / len(hosts))
            peer.sendall(token + own.to_bytes(4))
            return {0: _kept_alive(peer)}
        except OSError as failed:
            error = failed
    raise error


def _kept_alive(peer: socket.socket) -> socket.socket:
    peer.settimeout(None)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):  # not all of them everywhere
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return peer
