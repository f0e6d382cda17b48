"""One run in several processes: how they find each other, which one writes, what they must agree on."""

import contextlib
import ctypes
import dataclasses
import functools
import glob
import importlib.util
import inspect
import json
import os
import socket
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from jvae.errors import InputError, InputWarning
from jvae.runtime import watch
from jvae.runtime.mesh import largest

_ADDRESS_BYTES = 1024
_STILL = 3600  # seconds that a process may stand still, by a debugger or a sleeping machine; the watch sees the dead


@dataclasses.dataclass(frozen=True)
class Processes:
    """Where several processes of one run meet; under SLURM, Open MPI and on a TPU pod they find each other.

    Attributes:
      coordinator: address of process 0, HOST:PORT, by which all others reach it; the next two flags go with it.
      num_processes: number of processes.
      process_id: number of this process, from 0.
      patience: seconds to wait until all processes have started; give more where machines start minutes apart. A
        process that dies before is missed only when they are over.
    """

    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None
    patience: float = 50.0

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """Inside, this process is one of several, on whose devices together JAX computes. Nothing, where it is alone.

        Must be entered before anything is computed. Only process 0 writes to stdout. When a process dies, all others
        print one line and exit with `watch.EXIT`; when one fails, those that do not fail with it do the same.

        Raises:
          InputError: flags that do not fit, or processes that do not find each other.
        """
        self._check()
        if not self._several():
            yield
            return
        held = watch.HeldBack()
        if watching := self._meet():
            with _watched(watching):
                yield
        else:
            yield
        held.end()  # after a failure it goes on, as the others may be gone first

    def _check(self) -> None:
        flags = {f"--{name.replace('_', '-')}": value for name, value in vars(self).items() if name != "patience"}
        missing = [name for name, value in flags.items() if value is None]
        if missing and len(missing) < len(flags):
            raise InputError(f"{', '.join(missing)} is missing: {', '.join(flags)} go together")
        if missing:
            return
        host, _, port = str(self.coordinator).rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise InputError(f"coordinator={self.coordinator}: must be HOST:PORT, such as localhost:1234")
        count, own = self.num_processes or 0, self.process_id or 0
        if count < 1:
            raise InputError(f"num_processes={count}: must be at least 1")
        if not 0 <= own < count:
            raise InputError(f"process_id={own}: must be from 0 to {count - 1}, one for each of {count} processes")

    def _several(self) -> bool:
        if self.num_processes is not None:
            return self.num_processes > 1
        return launched() > 1 or on_tpu_vm()

    def _meet(self) -> watch.Watch | None:
        """Starts JAX's runtime and the watch; None where this process turns out to be alone."""
        given = self.coordinator is not None
        where = f" at {self.coordinator}" if given else ""
        late = watch.end_in(  # before JAX itself would abort
            self.patience,
            2,
            f"not all processes met{where} within {self.patience:g} s: start every one of them, with the same"
            " --coordinator and --num-processes and its own --process-id; where they start late, give more --patience",
        )
        # its handler of SIGTERM would swallow the signal where training.stop does not listen
        jax.config.update("jax_enable_preemption_service", False)
        try:
            jax.distributed.initialize(
                self.coordinator,
                self.num_processes,
                self.process_id,
                cluster_detection_method="deactivate" if given else None,
                initialization_timeout=int(2 * self.patience) + 60,
                heartbeat_timeout_seconds=_STILL,
                shutdown_timeout_seconds=3600,  # process 0 may be writing for long; a dead one is noticed by the watch
            )
            return self._watch() if jax.process_count() > 1 else None
        except (RuntimeError, ValueError, OSError) as error:
            if not given and launched() < 2:
                return None  # a single TPU machine, say
            said = str(error).split("\n")[0]
            way = (
                "is the port free on process 0, and did another process die?"
                if given
                else "give --coordinator, --num-processes and --process-id, which go before what a launcher says"
            )
            raise InputError(f"the processes cannot meet{where} ({said}): {way}") from error
        finally:
            late.cancel()

    def _watch(self) -> watch.Watch:
        own = jax.process_index()
        port, token, wait = watch.listen(jax.process_count() - 1) if own == 0 else (0, b"", None)
        hosts = [self.coordinator.rpartition(":")[0].strip("[]")] if self.coordinator else _own_names()
        told = json.dumps({"hosts": hosts, "port": port, "token": token.hex()}).encode()
        with _without_c_output():  # gloo says that it is connected
            heard = multihost_utils.broadcast_one_to_all(np.frombuffer(told.ljust(_ADDRESS_BYTES), np.uint8))
        address = json.loads(bytes(np.asarray(heard)))
        if wait:
            return watch.Watch(wait(self.patience), own)
        token = bytes.fromhex(address["token"])
        return watch.Watch(watch.connect(address["hosts"], address["port"], token, own, self.patience), own)


@contextlib.contextmanager
def _watched(watching: watch.Watch) -> Iterator[None]:
    """Inside, only process 0 speaks, and what ends this process is told to the others."""
    with contextlib.ExitStack() as quiet:
        if not is_main():
            quiet.enter_context(contextlib.redirect_stdout(quiet.enter_context(open(os.devnull, "w"))))
            warnings.simplefilter("ignore", InputWarning)
        try:
            yield
        except SystemExit as stop:  # as all of them do, at the same step
            _leave(watching)
            raise stop
        except BaseException as error:
            watching.fail(_exit_code(error), f"{error}" or type(error).__name__)
            raise
        _leave(watching)


ALONE = Processes()


def together(main: Callable[..., None]) -> Callable[..., None]:
    """A command's `main`, which takes the flags of `Processes` as well and runs inside of them."""

    def joined(*args: Any, processes: Processes = ALONE, **flags: Any) -> None:
        with processes.joined():
            main(*args, **flags)

    functools.update_wrapper(joined, main)
    signature = inspect.signature(main)
    own = inspect.Parameter("processes", inspect.Parameter.KEYWORD_ONLY, default=ALONE, annotation=Processes)
    parameters = [*signature.parameters.values(), own]
    joined.__signature__ = signature.replace(parameters=parameters)  # pyright: ignore[reportFunctionMemberAccess]
    joined.__annotations__ = main.__annotations__ | {"processes": Processes}
    return joined


def launched() -> int:
    """How many processes SLURM or Open MPI started together with this one; 1 if none of them did."""
    names = [("SLURM_STEP_NODELIST", "SLURM_NTASKS"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")]
    return max([int(os.environ.get(count, 1)) for there, count in names if there in os.environ], default=1)


def on_tpu_vm() -> bool:
    """Whether this machine has TPUs: there JAX itself must ask how many machines belong to it."""
    if importlib.util.find_spec("libtpu") is None or "cpu" in os.environ.get("JAX_PLATFORMS", ""):
        return False
    return bool(glob.glob("/dev/accel*") or glob.glob("/dev/vfio/[0-9]*"))


def is_main() -> bool:
    """Whether this process is the one that writes files, bars and what is printed."""
    return jax.process_index() == 0


def meet(what: str) -> None:
    """Waits until all processes have come to this point."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(what)


def check_same(what: str, value: str) -> None:
    """Raises `InputError` in all processes unless they all have the same `value` of `what`."""
    if jax.process_count() > 1:
        each = np.ravel(multihost_utils.process_allgather(np.uint32(zlib.crc32(value.encode()))))
        if other := np.flatnonzero(each != each[0]).tolist():
            raise InputError(f"process {other[0]} has other {what} than process 0: start all with the same")


def least(value: int) -> int:
    """The least of the processes' values."""
    if jax.process_count() == 1:
        return value
    parts = np.array([value >> 32, value & 0xFFFFFFFF], np.uint32)  # JAX has no int64
    each = np.asarray(multihost_utils.process_allgather(parts), np.int64)  # [p,2]
    return int(min((each[:, 0] << 32) + each[:, 1]))


class Stopped:
    """Whether any process was asked to stop, known to all of them at the same step.

    Args:
      asked: of this process: a signal's number, or None.
      mesh: the devices of all.
    """

    def __init__(self, asked: Callable[[], int | None], mesh: Mesh) -> None:
        self._asked, self._mesh = asked, mesh
        self._said: jax.Array | None = None

    def ask(self) -> None:
        """Before a chunk of steps: sends what this process was asked, without waiting for the others."""
        if jax.process_count() > 1:
            self._said = largest(self._asked() or 0, self._mesh)

    def answer(self) -> int | None:
        """While that chunk runs: the signal's number that any process had when it asked, or None."""
        return self._asked() if self._said is None else int(self._said) or None


def _leave(watching: watch.Watch) -> None:
    jax.distributed.shutdown()  # waits for all
    watching.leave()


def _exit_code(error: BaseException) -> int:
    """As `jvae.cli.run.plainly` has it."""
    return 2 if isinstance(error, InputError | OSError) else 130 if isinstance(error, KeyboardInterrupt) else 1


def _own_names() -> list[str]:
    """What other machines may call this one: its name, and the address of its way out."""
    names = [socket.gethostname()]
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        names.append(probe.getsockname()[0])
    return names


@contextlib.contextmanager
def _without_c_output() -> Iterator[None]:
    """Sends what C++ writes to stdout nowhere."""
    sys.stdout.flush()
    before = os.dup(1)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        try:
            yield
        finally:
            ctypes.CDLL(None).fflush(None)
            os.dup2(before, 1)
            os.close(before)
