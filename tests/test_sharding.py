"""What eight devices say to each other: the compiled train chunk's collectives, read from its HLO."""

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jvae.training.presets import BOOK

ROOT = Path(__file__).parent.parent
DEVICES = 8
CFG = BOOK.replace(
    preset="tiny",
    image_size=16,
    widths=(4, 8),
    latent_dim=6,
    batch_size=2 * DEVICES,
    chunk_steps=3,
    steps=17,
    ema_decay=0.9,
)
NORMS = 2 * len(CFG.model.widths) - 1  # one behind every hidden convolution
NORM_CHANNELS = sum(CFG.model.widths) + sum(CFG.model.widths[:-1])

# Run by a child process: the number of devices is settled once a process.
CHILD = """
import sys

import jax
import numpy as np

from jvae.runtime.xla import keep_compiled
from jvae.data.feed import Feed, select
from jvae.runtime.mesh import along_data, make_mesh, replicated
from jvae.training.loop import run_keys
from jvae.training.state import init_state
from jvae.training.step import train_chunk
from jvae.training.task import Hyper
from tests.test_sharding import CFG, DEVICES

keep_compiled()
assert len(jax.devices()) == DEVICES
mesh = make_mesh()
keys = run_keys(0, mesh)
task = CFG.objective.task(CFG.model, (), np.dtype(np.float32))
count, task, hyper = jax.device_put((np.int32(3), task, Hyper.of(CFG.optimizer, 17)), replicated(mesh))
state = init_state(task, keys[0], hyper, mesh=mesh)
print("parameters", sum(leaf.size for leaf in jax.tree.leaves(state.variables["params"])))
images = np.zeros((40, 16, 16, 3), np.uint8)
for residency in ("resident", "streamed"):
    feed = Feed(images, np.arange(40), batch_size=16, chunk_steps=3, key=keys[1], mesh=mesh, residency=residency)
    chunk = next(feed.chunks(0))
    lowered = train_chunk.lower(state, chunk, count, keys[2], task, hyper, mesh=mesh)
    open(f"{sys.argv[1]}/{residency}.txt", "w").write(lowered.compile().as_text())
wrong = chunk._replace(images=jax.device_put(chunk.images, along_data(mesh, 2)))  # split on the height
text = jax.jit(select, static_argnames="mesh").lower(wrong, count, mesh=mesh).compile().as_text()
open(f"{sys.argv[1]}/wrong.txt", "w").write(text)
"""

COLLECTIVE = re.compile(
    r"= (?P<shapes>\(.*?\)|\S+) (?P<op>all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(-start)?\("
)
SHAPE = re.compile(r"(?P<dtype>[a-z]+\d+)\[(?P<dims>[\d,]*)\]")


def collectives(hlo: str) -> list[tuple[str, list[tuple[str, tuple[int, ...]]]]]:
    """Name, and dtype and shape of each result, of every operation of a compiled program that crosses devices."""
    found = []
    for match in COLLECTIVE.finditer(hlo):
        results = [
            (m["dtype"], tuple(int(n) for n in m["dims"].split(",") if n)) for m in SHAPE.finditer(match["shapes"])
        ]
        found.append((match["op"], results))
    return found


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The HLO of the chunk by residency, and how many parameters the model has."""
    folder = tmp_path_factory.mktemp("hlo")
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={DEVICES}",
    }
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    parameters = int(done.stdout.split()[1])
    return {path.stem: path.read_text() for path in folder.iterdir()}, parameters


@pytest.mark.slow
@pytest.mark.parametrize("residency", ["resident", "streamed"])
def test_gradients_and_batchnorm_are_reduced_together_and_nothing_else_moves(compiled, residency):
    texts, parameters = compiled
    found = collectives(texts[residency])
    assert {op for op, _ in found} == {"all-reduce"}  # no image is gathered, none moves
    # BatchNorm's sums forwards, its sums backwards with the gradients that are ready by then, and one for the rest.
    assert len(found) <= 2 * NORMS + 1
    assert all(len(results) > 1 for _, results in found), "an all-reduce of one array was not combined with another"
    # Each gradient crosses once; besides them BatchNorm's mean, mean square and one sum backwards, and three scalars.
    reduced = sum(math.prod(shape) for _, results in found for _, shape in results)
    assert parameters + 2 * NORM_CHANNELS <= reduced <= parameters + 3 * NORM_CHANNELS + 3
    assert {dtype for _, results in found for dtype, _ in results} == {"f32"}


@pytest.mark.slow
def test_a_chunk_split_on_the_wrong_axis_would_be_noticed(compiled):
    texts, _ = compiled
    moved = [results for op, results in collectives(texts["wrong"]) if op != "all-reduce"]
    assert any(dtype == "u8" for results in moved for dtype, _ in results)
