"""The benchmarks' peers are the same model, and answer round by round."""

import dataclasses
import functools
import importlib.util
import json
import math
import subprocess
import sys

import jax
import numpy as np
import pytest

from benchmarks import bench_train
from benchmarks.peers import child, plain_flax
from benchmarks.peers.common import Common
from jvae.errors import InputError
from jvae.io.fields import build
from jvae.runtime.mesh import make_mesh
from jvae.training.presets import preset
from jvae.training.run import Record

SMALL = preset("book").replace(image_size=16, widths=(4, 8, 8), latent_dim=5, batch_size=4)
RESIDUAL = preset("residual64").replace(image_size=16, widths=(8, 16), blocks=(1, 2), latent_dim=5, batch_size=4)
SAME = Common.of(SMALL)
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
with_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs the extra bench")


def count(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def parameters(cfg) -> int:
    return count(jax.eval_shape(Record(cfg).task(make_mesh()).init, jax.random.key(0))["params"])


def test_plain_flax_has_our_parameters():
    assert count(jax.eval_shape(functools.partial(plain_flax.init_state, SAME)).params) == parameters(SMALL)


def test_plain_flax_learns():
    state, losses = plain_flax.init_state(dataclasses.replace(SAME, learning_rate=0.01, widths=(4, 8))), []
    for step in range(20):
        state, value = plain_flax.train_step(state, IMAGES // 8, jax.random.key(step), weight=10_000.0)
        losses.append(float(value))
    assert losses[-1] < 0.5 * losses[0]


def test_a_peer_is_told_the_settings_of_the_run():
    told = build(Common, json.loads(json.dumps(dataclasses.asdict(SAME))), "the spec")
    assert told == SAME and told.r_loss_factor == 10_000 and told.widths == (4, 8, 8)
    code = "import sys, benchmarks.peers.common, jvae.io.fields; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=child.ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@with_torch
@pytest.mark.parametrize("cfg", [SMALL, RESIDUAL], ids=["book", "residual"])
def test_pytorch_has_our_parameters_and_shapes(cfg):
    code = (
        "import json, sys, torch\n"
        "from benchmarks.peers import pytorch as peer\n"
        "from benchmarks.peers.common import Common\n"
        "net = peer.build(Common(**json.loads(sys.argv[1])), peer.Settings(False, True))\n"
        "mean, logvar = net.encode(torch.rand(3, 3, 16, 16))\n"
        "print(sum(p.numel() for p in net.parameters()), *mean.shape, *logvar.shape,\n"
        "      *net.decode(mean, torch.channels_last).shape)\n"
    )
    command = [sys.executable, "-c", code, json.dumps(dataclasses.asdict(Common.of(cfg)))]
    done = subprocess.run(command, cwd=child.ROOT, capture_output=True, text=True, check=True)
    assert list(map(int, done.stdout.split())) == [parameters(cfg), 3, 5, 3, 5, 3, 3, 16, 16]


@with_torch
@pytest.mark.parametrize(
    ("task", "more"), [("train", {"steps": 2}), ("encode", {}), ("decode", {"rows": 2, "columns": 3, "repeats": 1})]
)
def test_pytorch_answers_every_round(task, more, capfd):
    with child.pytorch(task, SAME, "float32", IMAGES, quick=True, **more) as peer:
        assert peer is not None
        assert all(0 < peer() < 60 for _ in range(2))
    assert "PyTorch runs as eager, channels_last" in capfd.readouterr().out


@with_torch
def test_pytorch_learns_between_the_stops_of_a_curve():
    cfg = dataclasses.replace(SAME, learning_rate=0.01, dropout=0.0)
    with child.pytorch(
        "curve", cfg, "float32", IMAGES // 8, quick=True, test=IMAGES[:3] // 8, steps=1, stops=[1, 3, 60]
    ) as peer:
        assert peer is not None
        points = [peer.answer() for _ in range(3)]
    assert all(seconds > 0 for seconds, _, _ in points)
    (_, first, _), _, (_, last, kl) = points
    assert last < 0.5 * first and kl > 0


def test_a_missing_pytorch_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with child.pytorch("train", SAME, "float32", IMAGES, quick=True, steps=1) as peer:
        assert peer is None
    assert capsys.readouterr().out == "PyTorch is not installed: pip install 'jvae[bench]'\n"


def test_a_peer_that_ends_is_one_line():
    with pytest.raises(InputError, match="the peer's process ended with status 1"):
        with child.start("benchmarks.no_such_peer", {}, {}, {"images": IMAGES}):
            pass


def test_operations_of_a_step_by_hand():
    book = Common.of(preset("book"))
    millions = bench_train.step_flops(book) / book.batch_size / 1e6
    assert math.isclose(millions, 418, abs_tol=1)
