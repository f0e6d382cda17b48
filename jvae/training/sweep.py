"""Many runs at once: whole trainings side by side in one compiled program.

A model this small leaves most of an accelerator idle. Here m runs of one task, that differ in seed and in numbers that
are arguments of the program (learning rate, loss weights), take each step together: `vmap` over the train step, the
runs split over the devices. Each has a directory like any other: `jvae.load` reads it, and `train` goes on with it.
"""

import contextlib
import functools
import itertools
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from jvae.config import Config
from jvae.data.feed import Batch, Columns, check_fills_a_batch, to_devices
from jvae.data.packed import PackedStore, opened
from jvae.data.source import SPLITS
from jvae.errors import InputError, InputWarning
from jvae.runtime.mesh import along_models, check_dtype, first_device, make_model_mesh, put, replicated
from jvae.runtime.xla import check_compiles
from jvae.training.log import Progress
from jvae.training.loop import Pace, drive, make_task, run_keys, started
from jvae.training.many import divided, sweep_chunk, unlike
from jvae.training.member import Member, Validation
from jvae.training.rows import Row, read_sweep, write_sweep
from jvae.training.run import LATER, settings, steps_of
from jvae.training.state import State, init_state, state_shapes
from jvae.training.step import Metrics
from jvae.training.task import Hyper
from jvae.training.validation import Scores


class Swept(NamedTuple):
    """How a sweep ended.

    Attributes:
      step: steps done.
      total: steps of the whole sweep.
      rows: a row a run.
      images_per_s: images a second, summed over the runs: the median of chunks, compilation and validation excluded;
        None where no chunk was timed.
      signum: the signal that stopped it before the end, or None.
    """

    step: int
    total: int
    rows: list[Row]
    images_per_s: float | None
    signum: int | None


def grid(cfg: Config, **values: Sequence[Any]) -> dict[str, Config]:
    """Every combination of values of some settings, by a name such as "seed=0,learning_rate=0.001,beta=2".

    Args:
      cfg: of all runs; gives what is not varied.
      **values: of settings, by their names; those without a value are not varied.

    Raises:
      InputError: an unknown setting, a value that the config refuses, one given twice, two loss weights at once, or two
        values that are written alike.
    """
    varied = {name: given for name, given in values.items() if len(given)}
    for name, given in varied.items():
        if len(set(given)) < len(given):
            raise InputError(f"{name}={' '.join(map(_shown, given))}: give each value once")
    found = {}
    for combination in itertools.product(*varied.values()):
        changes = dict(zip(varied, combination, strict=True))
        name = ",".join(f"{name}={_shown(value)}" for name, value in changes.items()) or "model"
        if name in found:
            raise InputError(f"two models would be named {name}, as their values are written alike: leave one out")
        found[name] = cfg.replace(**changes)
    return found


def _shown(value: Any) -> str:
    """A value as it stands in a name: all digits of a number, and 1 for 1.0."""
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def sweep(
    configs: Mapping[str, Config],
    store: PackedStore | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    shared_batches: bool = False,
    devices: Sequence[Any] | None = None,
    progress: bool = True,
    stopped: Callable[[], int | None] = lambda: None,
) -> Swept:
    """Trains many runs on a store's training split, all at once; picks up where `out` left off.

    A run whose loss, gradient or state is not finite ends there, with its last good checkpoint; the others go on.

    Args:
      configs: by name; they differ in seed, learning rate and weights of the objective only. `grid` makes them.
      store: the images, or the path of a packed store; the training split must fit on each device.
      out: gets a run directory a config, and sweep.json, the rows; those of other runs in it stay.
      shared_batches: all runs see the batches of the first, which are then read once a step; otherwise each has the
        order of its own seed, and is the run that `train` would make of its config.
      devices: None takes all there are; of them as many are used as the runs divide over.
      progress: show a bar.
      stopped: asked between chunks; a signal number saves and ends the sweep.

    Raises:
      InputError: configs that differ in more, images that do not fit, a split too small, a dtype that the devices
        lack, run directories of other configs, of another order of batches or at different steps, or damaged rows.
    """
    if not configs:
        raise InputError("a sweep of no models: give at least one config")
    check_compiles()
    store, out, mesh = opened(store), Path(out), make_model_mesh(len(configs), devices)
    cfgs = {name: cfg.replace(image_size=store.size) for name, cfg in configs.items()}
    rows, *_ = (store.indices(split) for split in SPLITS)  # each is needed, the last when all is trained
    cfg = next(iter(cfgs.values()))
    members = [Member(name, each, make_task(each, store, mesh), out / name) for name, each in cfgs.items()]
    total = cfg.loop.total_steps(len(rows))
    cfg.optimizer.warn_unless_over(total)  # one warm-up for all
    orders = {member.name: (cfg if shared_batches else member.cfg).seed for member in members}
    hypers = [Hyper.of(member.cfg.optimizer, total) for member in members]
    _check_alike(members, hypers)
    if cfg.loop.dtype == "bfloat16":
        check_dtype(cfg.loop.dtype, mesh)
    check_fills_a_batch(len(rows), cfg.loop.batch_size)

    _check_orders(members, orders, out)
    with contextlib.ExitStack() as stack:
        for member in members:
            member.open(stack, store, total)
        store.verify()  # nothing is learnt from damaged images
        state, step = _begin(members, hypers, store, rows, out, total, mesh)
        write_sweep(out, members, orders, {})
        validation = Validation(store, first_device(mesh))
        bar = Progress(step, total, shown=progress)
        stack.callback(bar.close)
        signum, pace, compile_seconds, engine = None, Pace(len(members) * cfg.loop.batch_size), 0.0, None
        if step < total:
            began = time.perf_counter()
            engine = _Many(members, hypers, state, store, rows, shared_batches, mesh)
            compile_seconds = time.perf_counter() - began
            bar.say(f"{len(members)} models compiled in {compile_seconds:.1f} s")
        for member, hyper in zip(members, hypers, strict=True):
            member.start(stack, step, hyper, compile_seconds, validation)
            if engine is not None:
                member.tell_bend()
        if engine is not None:
            pace.restart()
            saved: Any = functools.partial(write_sweep, out, members, orders, {})
            step, signum = drive(engine, members, cfg.loop, step, total, stopped, pace, bar, saved)
            state = engine.state
        tests = _tests(members, state, validation) if step >= total else {}
        found = write_sweep(out, members, orders, tests)
        for member in members:
            if not member.failed:
                member.call.ended(step, signum)
    return Swept(step, total, found, float(np.median(pace.rates)) if pace.rates else None, signum)


class _Many:
    """The engine of many runs."""

    def __init__(
        self,
        members: Sequence[Member],
        hypers: Sequence[Hyper],
        state: State,
        store: PackedStore,
        rows: np.ndarray,
        shared_batches: bool,
        mesh: Mesh,
    ) -> None:
        loop, task = members[0].cfg.loop, members[0].task
        self.state, self._mesh = state, mesh
        images = to_devices(store.images, rows, mesh, instead="fewer or smaller ones: a sweep does not stream")
        labels = put(Columns(store, task.labels)[rows], replicated(mesh)) if task.labels else None
        of_seed = (run_keys(member.cfg.seed, first_device(mesh)) for member in members)
        keys = np.stack([jax.device_get(jax.random.key_data(three)) for three in of_seed])  # [m,3,2]
        numbers, arrays, structure = divided([member.task for member in members], hypers)
        split, whole = along_models(mesh), replicated(mesh)
        own = jax.device_put((keys[:, 2], keys[0, 1] if shared_batches else keys[:, 1], numbers),
                             (split, whole if shared_batches else split, split))  # fmt: skip
        self._fixed = (*own, Batch(images, labels), jax.device_put(arrays, whole))
        shape = {"structure": structure, "b": loop.batch_size, "k": loop.chunk_steps, "mesh": mesh}
        self._program = sweep_chunk.lower(state, *self._fixed, *self._counts(0, 1), **shape).compile()

    def _counts(self, step: int, count: int) -> Any:
        return jax.device_put((np.int32(step), np.int32(count)), replicated(self._mesh))

    def advance(self, step: int, count: int) -> Metrics:
        self.state, metrics = self._program(self.state, *self._fixed, *self._counts(step, count))
        return metrics

    def metrics(self, found: Any, i: int) -> dict[str, np.ndarray]:
        return {name: rows[i] for name, rows in found.items()}

    def states(self) -> Iterator[State]:
        return _each(self.state, self._mesh)


def _each(state: State, mesh: Mesh) -> Iterator[State]:
    """The runs' own states, in turn, on the device that validates."""
    host = jax.device_get(state)
    for i in range(len(host.step)):
        yield put(jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i]), host), replicated(first_device(mesh)))


def _check_alike(members: Sequence[Member], hypers: Sequence[Hyper]) -> None:
    """Raises `InputError` unless the runs differ only in seed and in what is an argument of the program."""
    first = members[0]
    shape = jax.tree.structure((first.task, hypers[0]))
    for member, hyper in zip(members, hypers, strict=True):
        if jax.tree.structure((member.task, hyper)) != shape or member.cfg.loop != first.cfg.loop:
            ours, theirs = settings(first.cfg), settings(member.cfg)
            differing = {name: (v, theirs.get(name)) for name, v in ours.items() if v != theirs.get(name)}
            listed = ", ".join(f"{name}={a} and {b}" for name, (a, b) in differing.items() if name != "seed")
            raise InputError(
                f"{first.name} and {member.name} differ in {listed}: in one sweep only seed, learning_rate, and the "
                "objective's weights may"
            )
        if name := unlike(first.task, member.task):
            raise InputError(
                f"{first.name} and {member.name} differ in {name} of their {type(first.task).__name__}, which is no "
                "single number: train each by itself, or give the task a field for each number"
            )
    if first.cfg.loop.residency == "streamed":
        raise InputError("residency=streamed: a sweep keeps the images on the devices, leave it out")
    if first.task.closed_form:
        raise InputError(f"{first.name} is solved in closed form: train each by itself")


def _check_orders(members: Sequence[Member], orders: Mapping[str, int], out: Path) -> None:
    """Raises `InputError` where a run that goes on would see its batches in another order than so far."""
    rows = read_sweep(out)
    known = [(member, rows[member.name].order) for member in members if steps_of(member.run) and member.name in rows]
    so_far = [(member, order) for member, order in known if order is not None]
    own = all(order == member.cfg.seed for member, order in so_far)
    for member, order in so_far:
        if order != orders[member.name]:
            way = "leave out --shared-batches" if own else f"give --shared-batches and first a model of seed={order}"
            raise InputError(
                f"{member.run} was trained on batches in the order of seed={order} (now {orders[member.name]}): {way}, "
                "or give another --out"
            )


def _begin(
    members: Sequence[Member],
    hypers: Sequence[Hyper],
    store: PackedStore,
    rows: np.ndarray,
    out: Path,
    total: int,
    mesh: Mesh,
) -> tuple[State, int]:
    """The runs' states, every leaf [m,…], and the step they are at: 0, or that of their last checkpoints.

    Raises:
      InputError: they are at different steps, or the rows of `out` are damaged.
    """
    known = read_sweep(out)
    on_one = first_device(mesh)
    like = state_shapes(members[0].task, hypers[0], on_one)
    if any(member.checkpoints.steps for member in members):
        for member in members:
            member.failed = known[member.name].failed if member.name in known else None
    states = [member.checkpoints.restore(like) for member in members]
    at = [int(state.step) if state else 0 for state in states]
    step = min((n for member, n in zip(members, at, strict=True) if not member.failed), default=total)
    listed = ", ".join(f"{member.name}: {n}" for member, n in zip(members, at, strict=True))
    stacked, ahead = [], []
    for i, member in enumerate(members):
        if at[i] > step and not member.failed:  # a kill between two checkpoints: go back to one that all have
            before = member.checkpoints.restore(like, newest=step)
            missing = int(before.step) != step if before else step or len(member.checkpoints.steps) > 1
            if missing or at[i] > total:
                raise InputError(
                    f"the models of {out} are at different steps ({listed}): train on each with jvae train, or give "
                    "another --out"
                )
            states[i], at[i] = before, step
            ahead.append(member)
        member.step = known[member.name].step if member.failed else at[i]
        key = run_keys(member.cfg.seed, on_one)[0]
        whole = replicated(on_one)
        found = states[i]
        if found is None:
            fresh = init_state(put(member.task, whole), key, put(hypers[i], whole), mesh=on_one)
            found = started(member.task, fresh, store, rows, on_one)
        stacked.append(jax.device_get(found))
    if ahead:
        for member in ahead:
            member.checkpoints.go_back(step)
        names = ", ".join(member.name for member in ahead)
        warnings.warn(
            f"{out}: not all models have a checkpoint after step {step}, and those of {names} are now in the folder "
            f"{LATER} of each: going on from {step}",
            InputWarning,
            stacklevel=3,
        )
    return jax.device_put(jax.tree.map(lambda *leaves: np.stack(leaves), *stacked), along_models(mesh)), step


def _tests(members: Sequence[Member], state: State, validation: Validation) -> dict[str, Scores]:
    """Test scores of the runs that have not failed, by name; a validation that lacks is made up for."""
    found = {}
    for member, one in zip(members, _each(state, validation.mesh), strict=True):
        if not member.failed:
            variables = one.inference
            member.scores = member.scores or validation.score(member.task, variables, "validation")
            found[member.name] = validation.score(member.task, variables, "test")
    return found
