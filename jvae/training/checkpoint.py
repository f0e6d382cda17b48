"""A run directory's checkpoints (Orbax): the last two and the best, each with all a resumed run needs.

A checkpoint has three items: `variables`, which inference reads; `training`, the optimiser's state, and the trained
variables where `variables` are their moving average; and `record`, its score and the checksums of all arrays, by
which a damaged checkpoint is told from a whole one before anything is done with it.
"""

import contextlib
import errno
import gc
import logging
import math
import os
import shutil
import sys
import time
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import Mesh

from jvae.errors import InputError, InputWarning
from jvae.io.files import CHECKSUM, seal, unseal
from jvae.models.model import Variables
from jvae.runtime.hashing import random_key
from jvae.runtime.mesh import replicated
from jvae.runtime.processes import is_main, meet
from jvae.training.run import CHECKPOINTS, LATER, Record, move_aside, read_record, steps_of
from jvae.training.state import State
from jvae.training.task import part

Which = Literal["best", "last"]

_DELETED = "deleted"  # in CHECKPOINTS: moved there first, so that a kill leaves no half of a checkpoint under its name
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

logging.getLogger("absl").setLevel(logging.CRITICAL)  # Orbax reports every step of every save, and raises errors too


class Checkpoints:
    """The checkpoints of a run directory: at most three, the last two saved and the one of the lowest score.

    Attributes:
      steps: of those there are, ascending.
    """

    def __init__(self, run: str | os.PathLike[str], *, read_only: bool = False) -> None:
        self._run, self._read_only = Path(run), read_only
        if read_only and not steps_of(self._run):
            raise self._none_yet()
        self._manager = self._open()
        self._scores = {step: self._score(step) for step in self.steps}

    def _open(self) -> ocp.CheckpointManager:
        options = ocp.CheckpointManagerOptions(
            preservation_policy=self,
            lightweight_initialize=True,  # it would trust files that may be damaged
            read_only=self._read_only,
            create=not self._read_only,
            cleanup_tmp_directories=not self._read_only,
            todelete_subdir=None if self._read_only else _DELETED,
        )
        return ocp.CheckpointManager((self._run / CHECKPOINTS).absolute(), options=options)

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Which of the checkpoints Orbax is to keep."""
        steps = [info.step for info in checkpoints]
        kept = {*steps[-2:], self._best(steps)}
        return [step in kept for step in steps]

    @property
    def steps(self) -> list[int]:
        """Of the checkpoints there are, ascending."""
        return sorted(self._manager.all_steps())

    @property
    def last_step(self) -> int | None:
        """Step of the newest checkpoint, or None."""
        return max(self.steps, default=None)

    @property
    def best_step(self) -> int | None:
        """Step of the checkpoint with the lowest score; the newest where none was scored; None if there is none."""
        return self._best(self.steps) if self.steps else None

    def _best(self, steps: Iterable[int]) -> int:
        return min(steps, key=lambda step: (self._scores.get(step, math.inf), -step))

    def save(self, step: int, state: State, score: float = math.inf) -> None:
        """Saves `state` in the background, once it is copied; a checkpoint of the same step stays.

        Args:
          step: of the state, known to the host without asking the device.
          state: as it is on the devices.
          score: of the validation split, the lower the better; infinity where it was not measured.

        Raises:
          InputError: the disk is too full for it; the checkpoints before it stay.
        """
        if step in self.steps:
            return
        needed = round(1.1 * sum(leaf.nbytes for leaf in jax.tree.leaves(state))) + 2**20
        free = shutil.disk_usage(self._run).free
        if free < needed:
            raise self._disk_full(
                f"{needed / 2**20:.0f} MiB are needed for step {step}, {free / 2**20:.0f} MiB are free"
            )
        items = _items(state)
        record = ocp.args.JsonSave(seal({"score": score, "crc32": checksums(items)}))
        args = ocp.args.Composite(record=record, **{k: ocp.args.StandardSave(v) for k, v in items.items()})
        self._scores[step] = score
        self.settle()
        with self._full_disk_named():
            saved = self._manager.save(step, args=args)
        if not saved:  # as Orbax does where there is a later one
            raise RuntimeError(f"the checkpoint of step {step} of {self._run} was not saved: there are {self.steps}")

    def restore(self, like: State, newest: int | None = None) -> State | None:
        """The newest checkpoint that is whole, with the shapes and shardings of `like`; None where there is none.

        Damaged ones after it are moved to RUN/damaged, with an `InputWarning`, so that they are trained anew.

        Args:
          like: of arrays, or of `jax.ShapeDtypeStruct`.
          newest: leave out those of later steps.

        Raises:
          InputError: there are some and none is whole.
        """
        steps = [step for step in reversed(self.steps) if newest is None or step <= newest]
        if not steps:
            return None
        step, items, damaged = self._first_whole(steps, _items(jax.tree.map(_abstract, like)))
        if damaged:
            self._manager.close()
            meet("before damaged checkpoints are moved")
            for bad, why in damaged.items() if is_main() else ():
                aside = move_aside(self._run, bad)
                self._warn(f"the checkpoint of step {bad} is damaged ({why}) and now in {aside}: going on from {step}")
            meet("after damaged checkpoints were moved")
            self._manager = self._open()
        training, variables = items["training"], items["variables"]
        trained, average = (variables, None) if like.average is None else (training["trained"], variables)
        return State(training["step"], trained, training["opt_state"], average)

    def go_back(self, step: int) -> None:
        """Moves the checkpoints after `step` to RUN/later, as none is saved before another. In one process alone."""
        later = [each for each in self.steps if each > step]
        self._manager.close()
        for each in later:
            move_aside(self._run, each, LATER)
        self._manager = self._open()

    def restore_variables(self, which: Which, like: Any) -> tuple[int, Any]:
        """The step and the variables of the best or the last checkpoint, with the shapes and shardings of `like`.

        Where that is damaged, an `InputWarning` says so, and it is the next best, or the one before.

        Raises:
          InputError: there is no checkpoint, or none is whole.
        """
        steps = self.steps[::-1]
        if which == "best":
            steps.sort(key=lambda step: self._scores.get(step, math.inf))
        step, items, damaged = self._first_whole(steps, {"variables": like})
        for bad, why in damaged.items():
            self._warn(f"the checkpoint of step {bad} is damaged ({why}): taking that of step {step}")
        return step, items["variables"]

    def verify(self, step: int, like: State) -> str | None:
        """What is damaged in the checkpoint of `step`, with the shapes and shardings of `like`; None if it is whole."""
        try:
            with _quiet():
                self._read(step, _items(jax.tree.map(_abstract, like)))
        except Exception as error:
            return _why(error)
        return None

    def _first_whole(self, steps: Iterable[int], like: Mapping[str, Any]) -> tuple[int, dict[str, Any], dict[int, str]]:
        """The first of `steps` whose checkpoint is whole, its items as `like`, and what is wrong with those before."""
        damaged: dict[int, str] = {}
        for step in steps:
            try:
                with _quiet():
                    return step, self._read(step, like), damaged
            except Exception as error:  # whatever Orbax, TensorStore and JSON make of files that have changed
                damaged[step] = _why(error)
        listed = "; ".join(f"step {step}: {why}" for step, why in damaged.items())
        raise InputError(
            f"no checkpoint of {self._run} is whole ({listed}): put back a copy of {self._run / CHECKPOINTS}, or train "
            "anew with another --out"
        )

    def _read(self, step: int, like: Mapping[str, Any]) -> dict[str, Any]:
        """The items of a checkpoint as `like`, checked. Raises whatever it may if they are damaged."""
        known = self._record(step)["crc32"]
        args = {name: ocp.args.StandardRestore(item) for name, item in like.items()}
        restored = self._manager.restore(step, args=ocp.args.Composite(**args))
        items = {name: restored[name] for name in like}
        for name, crc in checksums(items).items():
            if known.get(name) != crc:
                raise ValueError(f"{name} is not what was saved")
        return items

    def _record(self, step: int) -> dict[str, Any]:
        """What a checkpoint says of itself. Raises whatever it may if that is damaged."""
        return unseal(self._manager.restore(step, args=ocp.args.Composite(record=ocp.args.JsonRestore()))["record"])

    def _score(self, step: int) -> float:
        try:
            return self._record(step)["score"]
        except Exception:  # it is damaged, which those who need it will say
            return math.inf

    def close(self) -> None:
        """Waits for what is being written."""
        self.settle()
        self._manager.close()

    def settle(self) -> None:
        """Waits for what is being written, and clears what was moved away to make room for it.

        Raises:
          InputError: the disk is too full for it; the checkpoints before it stay.
        """
        with self._full_disk_named():
            self._manager.wait_until_finished()
        if not self._read_only and is_main():
            shutil.rmtree(self._run / CHECKPOINTS / _DELETED, ignore_errors=True)

    def _warn(self, message: str) -> None:
        warnings.warn(f"{self._run}: {message}", InputWarning, stacklevel=3)

    def _none_yet(self) -> InputError:
        return InputError(f"{self._run} has no checkpoint yet: train on with jvae train --out {self._run}")

    def _disk_full(self, what: str) -> InputError:
        whole = steps_of(self._run)  # those on disk: the one that failed is not among them
        kept = f"the checkpoint of step {whole[-1]} is kept" if whole else "no checkpoint was saved"
        return InputError(
            f"the disk of {self._run} is too full for a checkpoint: {what}; {kept}: free space and run again"
        )

    @contextlib.contextmanager
    def _full_disk_named(self) -> Iterator[None]:
        """Orbax writes in the background and reports a full disk as a ValueError of tensorstore, at the next call."""
        try:
            yield
        except (ValueError, OSError) as error:
            full = getattr(error, "errno", None) in _FULL
            if not full and not any(text in str(error) for text in ("RESOURCE_EXHAUSTED", *map(os.strerror, _FULL))):
                raise
            raise self._disk_full("writing one failed") from error

    def __enter__(self) -> "Checkpoints":
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes."""
        self.close()


def restore_network(
    run: str | os.PathLike[str], name: str, what: str, which: Which, mesh: Mesh
) -> tuple[Record, int, Variables]:
    """One network out of a run's checkpoint.

    Args:
      run: run directory.
      name: of the network among the task's variables, see `jvae.training.task.named`.
      what: the run should train, for the error: "model of faces".
      which: checkpoint.
      mesh: devices to put the variables on, whole on each.

    Returns:
      What the run says of itself, the step of the checkpoint, and the network's variables.

    Raises:
      InputError: no run directory, no checkpoint in it, or a run of a task that has no such network.
    """
    record = read_record(run)
    shapes = jax.eval_shape(record.task(mesh).init, random_key(0))
    if name not in shapes["params"]:
        raise InputError(f"{run} is a run of the preset {record.config.preset}, which trains no {what}: give another")
    whole = replicated(mesh)
    like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=whole), shapes)
    with Checkpoints(run, read_only=True) as checkpoints:
        step, variables = checkpoints.restore_variables(which, like)
    return record, step, part(variables, name)


def checksums(tree: Any) -> dict[str, str]:
    """CRC-32 of the bytes of every array of a tree, by its path: "variables/params/…"."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): f"{zlib.crc32(np.asarray(leaf).tobytes()):08x}"
        for path, leaf in jax.tree.leaves_with_path(jax.device_get(tree))
    }


def digest_of(variables: Any) -> str:
    """CRC-32 of variables: what two networks have alike that give the same."""
    return seal(checksums(variables))[CHECKSUM]


def _items(state: State) -> dict[str, Any]:
    """What is saved: `variables`, and what a resumed run needs besides."""
    trained = {} if state.average is None else {"trained": state.variables}
    training = {"step": state.step, "opt_state": state.opt_state} | trained
    return {"variables": state.inference, "training": training}


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)


def _why(error: Exception) -> str:
    """The first line of an error, cut where it gets long."""
    line = next(iter(str(error).splitlines()), "") or type(error).__name__
    return line if len(line) <= 100 else f"{line[:100]}…"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps pages of errors off the screen: when one array cannot be read, those of the others' reads reach nobody."""
    hooks, log = (sys.excepthook, sys.unraisablehook), logging.getLogger("asyncio")
    sys.excepthook = sys.unraisablehook = lambda *_: None
    log.disabled = True
    try:
        yield
    except Exception:
        time.sleep(0.2)  # till the other reads have ended
        gc.collect()
        raise
    finally:
        sys.excepthook, sys.unraisablehook = hooks
        log.disabled = False
