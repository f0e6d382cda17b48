"""The training loop: chunks of compiled steps, validation and checkpoints between them; for one run or for many."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
from jax.sharding import Mesh

from jvae.config import Config, LoopConfig
from jvae.data.feed import Chunk, Feed
from jvae.data.packed import opened
from jvae.data.source import DataId, Store
from jvae.registry import find
from jvae.runtime.hashing import random_key
from jvae.runtime.mesh import check_batch_size, check_dtype, make_mesh, put, replicated
from jvae.runtime.processes import Stopped, check_same, is_main
from jvae.runtime.xla import check_compiles
from jvae.training.log import Progress
from jvae.training.member import Member, NotFinite, Validation
from jvae.training.run import Record
from jvae.training.state import State, init_state, state_shapes
from jvae.training.step import Metrics, compile_chunk
from jvae.training.task import Hyper, Task
from jvae.training.trackers import TRACKERS
from jvae.training.validation import Scores


class Ending(NamedTuple):
    """How training ended.

    Attributes:
      step: number of steps done.
      total: number of steps of the whole run.
      scores: scores of the last validation; None where there was none.
      signum: number of the signal that stopped it before the end, or None.
    """

    step: int
    total: int
    scores: Scores | None
    signum: int | None


class Engine(Protocol):
    """What the loop drives: the state of one run or of many, and the compiled program that moves it."""

    def advance(self, step: int, count: int) -> Metrics:
        """Starts the `count` steps from `step` on, and does not wait for them; metrics [k] of one run, [m,k] of m."""
        ...

    def metrics(self, found: Any, i: int) -> dict[str, np.ndarray]:
        """Those of run i, [k], of metrics on the host."""
        ...

    def states(self) -> Iterator[State]:
        """The state of each run in turn, whole on the devices that validate."""
        ...


def make_task(cfg: Config, store: Store, mesh: Mesh) -> Task:
    """The task of `cfg` for a store, with the arrays that come of the data, on the host.

    Raises:
      InputError: the objective needs labels, or files, that are not there.
    """
    return Record(cfg, cfg.objective.labels(store)).task(mesh).prepared(store)


def train(
    cfg: Config,
    store: Store | str | os.PathLike[str],
    run: str | os.PathLike[str],
    *,
    mesh: Mesh | None = None,
    track: str = "none",
    progress: bool = True,
    stopped: Callable[[], int | None] = lambda: None,
) -> Ending:
    """Trains on a store's training split; picks up where the run directory left off.

    Args:
      cfg: config of the run; its image size becomes the store's.
      store: images and labels, packed or decoded on the way, or the path of a packed store.
      run: run directory to write: config.json, checkpoints/, metrics.jsonl, timings.jsonl, events/, figures/.
      mesh: devices to train on; None takes all there are.
      track: name of a tracker, of `jvae.training.trackers`, that gets the numbers as TensorBoard does.
      progress: show a bar.
      stopped: function that is asked between chunks; a signal's number saves and ends the run.

    Raises:
      InputError: a batch that does not divide over the devices, a split too small, a dtype that the devices lack,
        images that were to be resident and do not fit, damaged images, a run directory of another config or in use,
        no whole checkpoint among those there are, an unknown tracker or one whose package is not installed, or a
        loss, a gradient or a state that is not finite: its step is named, and the last good checkpoint stays.
    """
    check_compiles()
    begin = find("tracker", TRACKERS, track)
    store = opened(store)
    cfg, run = cfg.replace(image_size=store.size), Path(run)
    mesh = make_mesh() if mesh is None else mesh
    check_batch_size(cfg.loop.batch_size, mesh)
    if cfg.loop.dtype == "bfloat16":
        check_dtype(cfg.loop.dtype, mesh)
    rows, held_out = store.indices("train"), store.indices("validation")  # before there is a run
    check_same("settings or data", f"{cfg} {store.checksum} {DataId.of(store)}")
    member = Member(run.name, cfg, make_task(cfg, store, mesh), run)
    task, whole = member.task, replicated(mesh)
    total = 1 if task.closed_form else cfg.loop.total_steps(len(rows))
    cfg.optimizer.warn_unless_over(total)
    hyper = put(Hyper.of(cfg.optimizer, total), whole)
    init_key, order_key, step_key = run_keys(cfg.seed, mesh)
    with contextlib.ExitStack() as stack:
        beside = stack.enter_context(ThreadPoolExecutor(2))
        member.open(stack, store, total, begin)
        on_device = put(task, whole)
        like = state_shapes(on_device, hyper, mesh, init_key)
        resumed = member.checkpoints.restore(like)
        step = int(resumed.step) if resumed else 0
        if step >= total:
            member.call.ended(step)
            return Ending(step, total, None, None)
        # All of them in every process: which rows of its own copy, as may be, one reads changes from epoch to epoch.
        checking = beside.submit(store.verify, rows, held_out)
        bar = Progress(step, total, shown=progress and is_main())
        stack.callback(bar.close)
        if task.closed_form:
            checking.result()
            return _solve(member, store, rows, init_key, hyper, Validation(store, mesh), stack, bar)
        feed = Feed.of_run(cfg.loop, store, rows, labels=task.labels, key=order_key, mesh=mesh)
        compiling = beside.submit(compile_chunk, like, feed.shapes, task, hyper, mesh)  # most of what a start takes
        state = resumed or init_state(on_device, init_key, hyper, mesh=mesh)
        validation = Validation(store, mesh)
        program = compiling.result()
        checking.result()  # before the first step: nothing is learnt from damaged images
        state = resumed or started(task, state, store, rows, mesh)
        bar.say(f"compiled in {program.seconds:.1f} s, beside the rest of the start")
        member.start(stack, step, Hyper.of(cfg.optimizer, total), program.seconds, validation)
        member.tell_bend()
        stop = Stopped(stopped, mesh)
        engine = _One(state, feed.chunks(step), (step_key, on_device, hyper), program.run, mesh, stop)
        step, signum = drive(engine, [member], cfg.loop, step, total, stop.answer, Pace(cfg.loop.batch_size), bar)
        member.call.ended(step, signum)
        return Ending(step, total, member.scores, signum)


class _One:
    """The engine of one run, its batches split over the devices."""

    def __init__(
        self, state: State, chunks: Iterator[Chunk], fixed: tuple[Any, ...], run: Callable, mesh: Mesh, stop: Stopped
    ) -> None:
        self._state, self._chunks, self._fixed, self._run, self._mesh, self._stop = (
            state,
            chunks,
            fixed,
            run,
            mesh,
            stop,
        )

    def advance(self, step: int, count: int) -> Metrics:
        chunk = next(self._chunks)
        steps = put(np.int32(count), replicated(self._mesh))
        self._stop.ask()
        self._state, metrics = self._run(self._state, chunk, steps, *self._fixed)
        return metrics

    def metrics(self, found: Any, i: int) -> dict[str, np.ndarray]:
        return found

    def states(self) -> Iterator[State]:
        yield self._state


class Pace:
    """Images a second, summed over the runs, from when the metrics of one chunk came to when the next ones did."""

    def __init__(self, images_per_step: int) -> None:
        self._images, self._last = images_per_step, time.perf_counter()
        self.rates: list[float] = []

    def came(self, count: int) -> float:
        """The metrics of `count` steps are here: their rate."""
        now = time.perf_counter()
        self.rates.append(count * self._images / (now - self._last))
        self._last = now
        return self.rates[-1]

    def restart(self) -> None:
        """What lies between, such as a validation, does not count."""
        self._last = time.perf_counter()


def drive(
    engine: Engine,
    members: Sequence[Member],
    loop: LoopConfig,
    step: int,
    total: int,
    asked: Callable[[], int | None],
    pace: Pace,
    bar: Progress,
    saved: Callable[[], None] = lambda: None,
) -> tuple[int, int | None]:
    """Trains from `step` to `total`, or until a signal, or until no member is left.

    Metrics are read one chunk late, so that the device never waits for the host. A member with a loss or a
    gradient not finite ends there, with its last good checkpoint, and the others go on; where it is the only one, its
    error is raised. Any other error, such as a full disk, ends them all, and the same call goes on. `saved` is called
    after checkpoints.

    Returns:
      The steps done, and the signal's number or None.
    """

    @contextlib.contextmanager
    def alone(member: Member) -> Iterator[None]:
        try:
            yield
        except NotFinite as error:
            if len(members) == 1:
                raise
            member.fail(str(error))

    def report(step: int, count: int, metrics: Metrics) -> None:
        found, rate, row = jax.device_get(metrics), pace.came(count), {}
        for i, member in enumerate(members):
            if not member.failed:
                with alone(member):
                    row = member.add(step, count, engine.metrics(found, i), rate / len(members))
        alive = sum(not member.failed for member in members)
        shown = {name: f"{value:.4g}" for name, value in row.items()} if len(members) == 1 else {"models": f"{alive}"}
        bar.advance(count, shown | {"images/s": f"{rate:.0f}"})

    waiting: tuple[int, int, Metrics] | None = None
    signum = None
    while step < total and not signum and not all(member.failed for member in members):
        count = min(loop.chunk_steps, total - step)
        with jax.transfer_guard("disallow"):  # but for what is asked for by name
            metrics = engine.advance(step, count)
        step += count
        before, waiting = waiting, (step, count, metrics)
        if before:
            report(*before)  # the chunk before this one, while this one runs
        signum = asked()
        due = step == total or step // loop.eval_every > (step - count) // loop.eval_every
        if due or signum:
            report(*waiting)  # no state is saved after a loss or a gradient that is not finite
            waiting = None
            for member in members:
                member.checkpoints.settle()  # where one was not written, no other is two ahead of it
            for member, state in zip(members, engine.states(), strict=True):
                if not member.failed:
                    with alone(member):
                        member.save(step, state, due, bar.say)
            saved()
            pace.restart()
    return step, signum


def _solve(
    member: Member,
    store: Store,
    rows: np.ndarray,
    key: jax.Array,
    hyper: Hyper,
    validation: Validation,
    stack: contextlib.ExitStack,
    bar: Progress,
) -> Ending:
    """A run whose task has a closed form: it is solved, validated and saved as step 1 of 1."""
    began = time.perf_counter()
    variables = member.task.solve(store.images, rows, validation.mesh)
    bar.say(f"solved in {time.perf_counter() - began:.1f} s")
    whole = replicated(validation.mesh)
    state = init_state(put(member.task, whole), key, hyper, mesh=validation.mesh)
    variables = put(variables, whole)
    average = None if state.average is None else variables
    state = state._replace(step=put(np.int32(1), whole), variables=variables, average=average)
    member.start(stack, 0, hyper, 0.0, validation)
    member.save(1, state, True, bar.say)
    bar.advance(1, {})
    member.call.ended(1)
    return Ending(1, 1, member.scores, None)


def started(task: Task, state: State, store: Store, rows: np.ndarray, mesh: Mesh) -> State:
    """A fresh state, with what the task knows from the data before the first step."""
    if (variables := task.begun(state.variables, store.images, rows, mesh)) is state.variables:
        return state
    variables = put(variables, replicated(mesh))
    return state._replace(variables=variables, average=None if state.average is None else variables)


def run_keys(seed: int, mesh: Mesh) -> jax.Array:
    """Keys [3] of the parameters, the order of the images, and the steps."""
    return put(jax.random.split(random_key(seed), 3), replicated(mesh))
