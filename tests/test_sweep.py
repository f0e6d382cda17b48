"""Many models at once: each is the model that `train` would have made alone."""

import json
import signal
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import pytest

import jvae
from jvae.errors import InputError, InputWarning
from jvae.training import many
from jvae.training.checkpoint import Checkpoints
from jvae.training.log import read_metrics
from jvae.training.loop import make_task, train
from jvae.training.rows import Row, sweep_table
from jvae.training.sweep import grid, sweep
from jvae.training.task import Hyper
from jvae.training.tasks.perceptual import Perceptual
from jvae.training.tasks.supervised import Supervised
from jvae.training.tasks.vae import Vae, VaeTask
from tests import runs
from tests.faces import small_store

TINY = runs.TINY.replace(steps=14, schedule="cosine", warmup_steps=2)
CONFIGS = {
    "plain": TINY,
    "broken": TINY.replace(seed=1, learning_rate=1e30),
    "slow": TINY.replace(seed=2, learning_rate=1e-3, beta=0.1),
    "other": TINY.replace(seed=3, sigma=0.1),
}


@pytest.fixture(scope="module")
def store():
    return small_store()


@pytest.fixture(scope="module", params=["in turn", "at once"])
def mode(request):
    """How a device trains its models: in turn, as on a CPU, or at once, as on an accelerator."""
    jax.clear_caches()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(many, "on_accelerator", lambda mesh: request.param == "at once")
        yield request.param
    jax.clear_caches()


@pytest.fixture(scope="module")
def swept(mode, store, tmp_path_factory):
    """A sweep over all devices, one of its models failing, and its outcome."""
    out = tmp_path_factory.mktemp("swept") / "sweep"
    return out, sweep(CONFIGS, store, out, progress=False)


def losses(run):
    return [row["loss"] for row in read_metrics(run) if row["split"] == "train"]


@pytest.fixture(scope="module")
def alone(store, tmp_path_factory):
    """Two of the models, each trained in a run of its own, and their outcomes."""
    out, one = tmp_path_factory.mktemp("alone"), runs.ONE
    return out, {name: train(CONFIGS[name], store, out / name, mesh=one, progress=False) for name in ("plain", "slow")}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "slow"])
def test_a_model_is_the_one_trained_alone(swept, alone, store, name):
    out, outcome = swept
    run, trained = alone[0] / name, alone[1][name]
    np.testing.assert_allclose(losses(out / name), losses(run), rtol=2e-3)
    row = next(row for row in outcome.rows if row.name == name)
    assert trained.scores is not None
    assert row.validation["objective"] == pytest.approx(trained.scores["objective"], rel=5e-3)
    ours, theirs = jvae.load(out / name, which="last"), jvae.load(run, which="last")
    assert ours.step == theirs.step == 14
    np.testing.assert_allclose(ours.encode(store.images[:4]), theirs.encode(store.images[:4]), atol=0.02)


def test_a_model_that_fails_ends_alone(swept):
    out, outcome = swept
    rows = {row.name: row for row in outcome.rows}
    assert "not finite" in rows["broken"].failed and rows["broken"].test is None
    for name in ("plain", "slow", "other"):
        assert rows[name].failed is None and rows[name].step == 14
        assert all(np.isfinite(value) for part in rows[name][3:5] for value in part.values())
        assert [row["step"] for row in read_metrics(out / name) if row["split"] == "train"] == [3, 6, 9, 12, 14]
        assert [row["step"] for row in read_metrics(out / name) if row["split"] == "validation"] == [6, 12, 14]
    with pytest.raises(InputError, match="no checkpoint"):
        jvae.load(out / "broken")
    written = [Row(**row) for row in json.loads((out / "sweep.json").read_text())]
    assert written == outcome.rows


def test_train_goes_on_with_a_model_of_a_sweep(swept, store):
    out, _ = swept
    longer = CONFIGS["other"].replace(steps=16)
    with pytest.warns(InputWarning, match="the learning rate was 0 at step 14"):
        assert train(longer, store, out / "other", mesh=runs.ONE, progress=False).step == 16
    assert jvae.load(out / "other", which="last").step == 16


def test_a_sweep_stops_and_resumes(swept, store, tmp_path):
    out = tmp_path / "sweep"
    asked = iter([None, signal.SIGTERM])
    outcome = sweep(CONFIGS, store, out, progress=False, stopped=lambda: next(asked))
    assert (outcome.step, outcome.signum) == (6, signal.SIGTERM)
    outcome = sweep(CONFIGS, store, out, progress=False)
    assert outcome.step == 14 and outcome.rows[1].failed
    np.testing.assert_allclose(losses(out / "plain"), losses(swept[0] / "plain"), rtol=1e-5)
    again = sweep(CONFIGS, str(store.path), out, progress=False)  # finished: only scored
    assert [row.test for row in again.rows] == [row.test for row in outcome.rows]
    with pytest.warns(InputWarning, match="the learning rate was 0 at step 14"):
        train(CONFIGS["plain"].replace(steps=15), store, out / "plain", mesh=runs.ONE, progress=False)
    with pytest.raises(InputError, match=r"at different steps .*plain: 15"):
        sweep(CONFIGS, store, out, progress=False)


def test_shared_batches_give_models_of_one_seed_and_config_one_curve(store, tmp_path):
    same = {"a": TINY.replace(steps=3), "b": TINY.replace(steps=3)}
    outcome = sweep(same, store, tmp_path, shared_batches=True, progress=False)
    first, second = (row.validation for row in outcome.rows)
    assert first == pytest.approx(second)
    with Checkpoints(tmp_path / "b", read_only=True) as checkpoints:
        assert checkpoints.last_step == 3


def test_what_may_not_differ_is_named(store, tmp_path):
    with pytest.raises(
        InputError, match="a and b differ in latent_dim=6 and 7: in one sweep only seed, learning_rate,"
    ):
        sweep({"a": TINY, "b": TINY.replace(latent_dim=7)}, store, tmp_path / "out", progress=False)
    with pytest.raises(InputError, match="residency=streamed: a sweep keeps the images on the devices"):
        sweep({"a": TINY.replace(residency="streamed")}, store, tmp_path / "out", progress=False)
    with pytest.raises(InputError, match="a sweep of no models"):
        sweep({}, store, tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


@dataclass(frozen=True, kw_only=True)
class Packed(Vae):
    """Two numbers that its task has in one array."""

    pair: tuple[float, ...] = (1.0, 2.0)

    def task(self, model: Any, labels: tuple[str, ...], dtype: Any) -> "PackedTask":
        return PackedTask(**self.shared(model, dtype), both={"pair": np.array(self.pair, np.float32)})


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class PackedTask(VaeTask):
    both: Any


def test_arrays_that_differ_are_named(store, tmp_path):
    one = TINY.replace(objective=Packed(beta=1.0))
    with pytest.raises(InputError, match=r"a and c differ in both\.pair of their PackedTask, .* train each by itself"):
        sweep({"a": one, "b": one.replace(beta=2.0), "c": one.replace(pair=(1.0, 3.0))}, store, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "objective",
    [Perceptual(beta=1.0, judge="random"), Supervised(beta=1.0), Vae(beta=1.0)],
    ids=lambda o: type(o).__name__,
)
def test_each_model_has_the_weights_of_its_own_objective(store, objective):
    floats = [name for name, value in vars(objective).items() if type(value) is float and name != "readout_weight"]
    cfgs = [TINY.replace(objective=objective), TINY.replace(objective=objective, **dict.fromkeys(floats, 3.0))]
    pairs = [(make_task(cfg, store, runs.ONE), Hyper.of(cfg.optimizer, 9)) for cfg in cfgs]
    numbers, arrays, structure = many.divided(*zip(*pairs, strict=True))
    for i, pair in enumerate(pairs):
        found = many.assembled(structure, [each[i] for each in numbers], arrays)
        runs.assert_equal_states(found, pair)
    differing = [x for x, y in zip(*map(jax.tree.leaves, pairs), strict=True) if not np.array_equal(x, y)]
    assert len(differing) == len(floats)


def test_a_grid_names_every_combination():
    configs = grid(TINY, seed=(0, 1), learning_rate=(1e-3,), beta=(1.0, 4.0))
    assert list(configs)[:2] == ["seed=0,learning_rate=0.001,beta=1", "seed=0,learning_rate=0.001,beta=4"]
    assert len(configs) == 4 and configs["seed=1,learning_rate=0.001,beta=4"] == TINY.replace(
        seed=1, learning_rate=1e-3, beta=4.0
    )
    assert grid(TINY) == {"model": TINY}
    with pytest.raises(InputError, match="give exactly one of r_loss_factor, beta, sigma"):
        grid(TINY, beta=(1.0,), sigma=(0.1,))
    with pytest.raises(InputError, match="seed=3 3: give each value once"):
        grid(TINY, seed=(3, 3))
    days = grid(TINY, seed=(20240101, 20240102), learning_rate=(5e-4, 0.00050000001), beta=tuple(np.array([1e-7, 2.0])))
    assert len(days) == 8 and "seed=20240102,learning_rate=0.00050000001,beta=1e-07" in days
    assert "seed=20240101,learning_rate=0.0005,beta=2" in days
    with pytest.raises(InputError, match=r"two models would be named widths=\(4,\), as their values are written alike"):
        grid(TINY, widths=((4,), "(4,)"))


def test_the_table_has_the_best_first_and_says_why_one_failed():
    rows = [
        Row("a", 20, "objective", {"n": 9, "objective": 310.0}, {"n": 9, "error": 0.01, "objective": 300.0}),
        Row("b", 20, "objective", {"n": 9, "objective": 210.0}, {"n": 9, "error": 0.02, "objective": 200.0}),
        Row("c", 0, "objective", failed="the loss is not finite at step 1"),
    ]
    heads, *lines = sweep_table(rows).splitlines()
    assert heads.split() == ["model", "step", "validation", "objective", "test", "objective", "error"]
    assert lines[0].split() == ["b", "20", "210", "200", "0.02"] and [line.split()[0] for line in lines] == [
        "b",
        "a",
        "c",
        "c:",
    ]
    assert lines[-1] == "c: the loss is not finite at step 1"
