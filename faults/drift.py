"""A long training of a tiny model: resident memory and open files stay flat, and nothing is traced again.

python -m faults --only drift
"""

import os
from pathlib import Path

import jax
import numpy as np

from faults.row import Row
from jvae.runtime.mesh import make_mesh
from jvae.training.loop import train
from jvae.training.presets import BOOK
from tests.faces import small_store

TRACED = "/jax/core/compile/jaxpr_trace_duration"
SAMPLES = 200
GROWTH = 0.02  # of resident memory, from the second to the last quarter of the chunks


def run(count: int, folder: Path) -> list[Row]:
    """Trains for `count` chunks, with ten validations and checkpoints among them."""
    cfg = BOOK.replace(
        preset="tiny", image_size=16, widths=(4, 4), latent_dim=4, batch_size=8, chunk_steps=1, steps=count,
        eval_every=max(1, count // 10), ema_decay=0.9,
    )  # fmt: skip
    traced: list[int] = []
    memory, handles, chunks = [], [], 0
    every = max(1, count // SAMPLES)

    def listen(event: str, duration_secs: float, **_: object) -> None:
        del duration_secs
        if event == TRACED:
            traced.append(chunks)

    def sample() -> None:
        nonlocal chunks
        chunks += 1
        if chunks % every == 0:
            with open("/proc/self/statm") as file:
                memory.append(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
            handles.append(len(os.listdir("/proc/self/fd")))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        train(cfg, small_store(), folder / "run", mesh=make_mesh(jax.devices()[:1]), progress=False, stopped=sample)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    quarter = len(memory) // 4
    before, after, opened, open_now = (
        float(np.median(part))
        for found in (memory, handles)
        for part in (found[quarter : 2 * quarter], found[-quarter:])
    )
    again = sum(chunk > count // 10 + 1 for chunk in traced)  # by then each part has run once
    result = (
        f"resident memory {before / 2**20:.1f} MiB in the second quarter, {after / 2**20:.1f} MiB in the last; "
        f"{opened:.0f} and {open_now:.0f} open files; {again} functions traced again"
    )
    failed = (after > (1 + GROWTH) * before) + (open_now > opened) + (again > 0)
    return [Row("soak: chunks of a tiny model", count, result, failed)]
