"""Tasks of every kind go through one loop: they train, stop, resume bit for bit, load, and choose their best."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jvae
from jvae.config import ObjectiveConfig
from jvae.data.feed import Batch
from jvae.errors import InputError
from jvae.judge.judge import Judge
from jvae.models.model import to_float, train_pass
from jvae.runtime.mesh import put, replicated
from jvae.trained import load
from jvae.training import step as step_module
from jvae.training import tasks
from jvae.training.checkpoint import Checkpoints, digest_of
from jvae.training.log import read_metrics
from jvae.training.loop import make_task, train
from jvae.training.run import read_record
from jvae.training.state import state_shapes
from jvae.training.task import Hyper, Loss, named, part, static
from jvae.training.tasks import perceptual
from jvae.training.tasks.perceptual import Perceptual
from jvae.training.tasks.supervised import Supervised
from jvae.training.tasks.vae import Vae, VaeTask
from tests.faces import small_store
from tests.runs import (
    KEYS,
    ONE,
    TINY,
    assert_equal_files,
    assert_equal_states,
    last_state,
    shapes_of,
    stop_after,
    untrained_judge,
)

SHORT = TINY.replace(steps=9, eval_every=3)


@dataclass(frozen=True, kw_only=True)
class Adversarial(Vae):
    """A patch critic beside the VAE.

    Attributes:
      critic_weight: of what the critic says of reconstructions.
    """

    critic_weight: float = 0.1

    def task(self, model: Any, labels: tuple[str, ...], dtype: Any) -> "AdversarialTask":
        weight = np.float32(self.critic_weight)
        return AdversarialTask(**self.shared(model, dtype), critic=Critic(), critic_weight=weight)


class Critic(nn.Module):
    """Images to a logit a patch."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        x = nn.Conv(4, (3, 3), (2, 2))(x)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        return nn.Conv(1, (3, 3), (2, 2))(nn.leaky_relu(x))


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class AdversarialTask(VaeTask):
    """Two players, two optimisers, one step: each one's loss stops the other's gradient."""

    critic: Critic = static()
    critic_weight: Any

    def init(self, key: jax.Array) -> Any:
        side = self.config.image_size
        critic: Any = self.critic.init(jax.random.fold_in(key, 1), jnp.zeros((1, side, side, 3)))
        return named(super().init(key), critic=critic)

    def loss(self, variables: Any, batch: Batch, key: jax.Array, step: jax.Array) -> Loss:
        base = super().loss(variables, batch, key, step)
        x = to_float(batch.images)
        recon = train_pass(self.module, part(variables, "model"), x, key).reconstruction.image
        own = part(variables, "critic")
        still = jax.lax.stop_gradient(own)
        fooled = -self.critic.apply(still, recon).mean((1, 2, 3))  # pyright: ignore[reportAttributeAccessIssue]
        both = jnp.concatenate([x, jax.lax.stop_gradient(recon)])
        found: Any = self.critic.apply(own, both, train=True, mutable=["batch_stats"])
        said, kept = found
        real, made = jnp.split(said, 2)
        hinge = (nn.relu(1 - real) + nn.relu(1 + made)).mean((1, 2, 3))
        values = base.values + self.critic_weight * fooled + hinge
        collections = named(base.collections, critic=kept)
        return Loss(values, base.parts | {"fooled": fooled, "critic": hinge}, collections)

    def optimizer(self, hyper: Hyper) -> optax.GradientTransformation:
        groups: Any = {"model": hyper.adam(), "critic": hyper.adam(0.5)}
        return optax.partition(groups, {name: name for name in groups})


@pytest.fixture(scope="module", autouse=True)
def registered():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tasks.TASKS, "adversarial", f"{__name__}:Adversarial")
        yield


@pytest.fixture(scope="module")
def store():
    return small_store()


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """A judge's file."""
    out = tmp_path_factory.mktemp("judge") / "judge.npz"
    untrained_judge(small_store(), blocks=1).save(out)
    return out


@pytest.fixture(params=["supervised", "perceptual", "random", "adversarial"])
def objective(request, judge) -> ObjectiveConfig:
    return {
        "supervised": Supervised(r_loss_factor=1000, label_weight=2.0, mirror=True),
        "perceptual": Perceptual(r_loss_factor=1000, judge=str(judge), readout_weight=2.0),
        "random": Perceptual(r_loss_factor=1000, judge="random"),
        "adversarial": Adversarial(r_loss_factor=1000),
    }[request.param]


PARTS = {
    Supervised: {"labels"},
    Perceptual: {"layers", "features", "logits", "readout"},
    Adversarial: {"fooled", "critic"},
}


def test_a_task_trains_resumes_and_loads(store, objective, tmp_path):
    cfg, whole, cut = SHORT.replace(objective=objective), tmp_path / "whole", tmp_path / "cut"
    train(cfg, store, whole, mesh=ONE, progress=False)
    assert train(cfg, store, cut, mesh=ONE, progress=False, stopped=stop_after(2)).step == 6
    train(cfg, store, cut, mesh=ONE, progress=False)
    record = read_record(whole)
    task = record.task(ONE)
    like = state_shapes(task, Hyper.of(cfg.optimizer, 1), ONE)
    states = []
    for run in (whole, cut):
        with Checkpoints(run, read_only=True) as checkpoints:
            states.append(jax.device_get(checkpoints.restore(like)))
    assert_equal_states(*states)  # several optimisers and collections, too
    assert_equal_files(cut, whole)
    rows = {row["split"]: row for row in read_metrics(whole)}
    parts = PARTS[type(objective)] - ({"readout"} if getattr(objective, "judge", "") == "random" else set())
    assert parts <= rows["train"].keys()
    assert rows["train"]["loss"] == pytest.approx(
        sum(rows["train"][name] for name in parts - {"fooled"})
        + 1000 * rows["train"]["error"] + rows["train"]["kl"] + 0.1 * rows["train"].get("fooled", 0.0),
        rel=1e-4,
    )  # fmt: skip
    z = jvae.load(whole, mesh=ONE).encode(store.images[:2])
    assert z.shape == (2, 6) and np.isfinite(z).all()
    assert set(record.labels) <= set(store.attribute_names)
    assert bool(record.labels) == bool({"labels", "readout"} & parts)


def test_a_random_network_is_normalised_to_the_images_and_needs_no_labels(store):
    bare = dataclasses.replace(store, meta=dataclasses.replace(store.meta, attribute_names=()))
    one, two = (
        make_task(SHORT.replace(objective=Perceptual(beta=1.0, judge="random")), data, ONE) for data in (store, bare)
    )
    assert_equal_states(one.frozen, two.frozen)  # type: ignore[attr-defined]
    net, variables = one.net, jax.device_get(one.frozen)  # type: ignore[attr-defined]
    images = jnp.asarray(store.images[store.indices("train")][:256]) / 255
    seen = net.apply(variables, images.astype(jnp.float32))
    slope = np.where(np.asarray(seen.layers[0]) < 0, 10, 1)  # of LeakyReLU, turned back
    normal = slope * np.asarray(seen.layers[0], np.float64)
    np.testing.assert_allclose(normal.mean((0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(normal.std((0, 1, 2)), 1, atol=0.05)
    with pytest.raises(InputError, match=r"readout_weight=2\.0: a random network tells no attributes"):
        Perceptual(beta=1.0, judge="random", readout_weight=2.0)


def test_a_network_is_scaled_by_images_of_the_whole_split(store, judge, monkeypatch):
    rows = store.indices("train")
    monkeypatch.setattr(perceptual, "SEEN", 3)
    cfg = SHORT.replace(objective=Perceptual(beta=1.0, judge=str(judge)))
    task: Any = make_task(cfg, store, ONE)
    seen = store.images[[rows[0], rows[round((len(rows) - 1) / 2)], rows[-1]]]
    np.testing.assert_allclose(task.scales, perceptual.scales_of(task.net, task.frozen, seen), rtol=1e-5)


def test_the_best_is_chosen_by_the_task(store, judge, tmp_path):
    cfg = SHORT.replace(objective=Perceptual(r_loss_factor=1.0, judge=str(judge), logit_weight=50.0))
    train(cfg, store, tmp_path / "run", mesh=ONE, progress=False)
    rows = [row for row in read_metrics(tmp_path / "run") if row["split"] == "validation"]
    for row in rows:
        own = row["layers"] + row["features"] + row["logits"]
        assert row["objective"] == pytest.approx(row["sampled_error"] + row["kl"] + own, rel=1e-5) and own > 0
    best = min(rows, key=lambda row: row["objective"])["step"]
    with Checkpoints(tmp_path / "run", read_only=True) as checkpoints:
        assert checkpoints.best_step == best


def test_a_frozen_network_is_an_argument_and_no_constant(store, judge):
    objective = Perceptual(r_loss_factor=1000, judge=str(judge))
    task = make_task(SHORT.replace(objective=objective), store, ONE)
    other = dataclasses.replace(task, frozen=jax.tree.map(lambda leaf: leaf + 1, task.frozen))  # type: ignore[arg-type]
    hyper = put(Hyper.of(SHORT.optimizer, 9), replicated(ONE))
    images = jax.ShapeDtypeStruct((3, 8, 16, 16, 3), np.uint8)
    chunk = step_module.Chunk(images, None, None)
    args = state_shapes(task, hyper, ONE), chunk, np.int32(3), KEYS[2]
    one, two = (step_module.train_chunk.lower(*args, t, hyper, mesh=ONE).as_text() for t in (task, other))
    assert one == two


def test_a_frozen_network_is_not_trained_or_saved_and_stays_the_same(store, judge, tmp_path):
    other = Judge.load(judge)
    other.save(judge := tmp_path / "judge.npz")
    cfg = SHORT.replace(objective=Perceptual(r_loss_factor=1000, judge=str(judge)), steps=3)
    train(cfg, store, tmp_path / "run", mesh=ONE, progress=False)
    assert_equal_states(
        jax.tree.map(jnp.shape, last_state(tmp_path / "run", cfg).variables),
        jax.tree.map(lambda leaf: leaf.shape, shapes_of(SHORT).variables),
    )
    digest = digest_of(other.variables)
    assert load(tmp_path / "run").teacher == digest
    other.variables = jax.tree.map(lambda leaf: leaf + 1, other.variables)
    other.save(judge)
    with pytest.raises(InputError, match=f"of the digest {digest} .now .* of the digest {digest_of(other.variables)}"):
        train(cfg.replace(steps=6), store, tmp_path / "run", mesh=ONE, progress=False)


def test_labels_reach_the_task_however_it_is_fed(store, tmp_path):
    cfg = SHORT.replace(objective=Supervised(r_loss_factor=1000, label_weight=2.0, mirror=True), steps=1)
    other = dataclasses.replace(store, attrs=~store.attrs)
    heads = {}
    for name, data, residency in (("a", store, "resident"), ("b", store, "streamed"), ("c", other, "resident")):
        train(cfg.replace(residency=residency), data, tmp_path / name, mesh=ONE, progress=False)
        with Checkpoints(tmp_path / name, read_only=True) as checkpoints:
            like = state_shapes(read_record(tmp_path / name).task(ONE), Hyper.of(cfg.optimizer, 1), ONE)
            heads[name] = jax.device_get(checkpoints.restore(like)).variables["params"]["head"]
    assert np.abs(heads["a"]["kernel"]).min() > 0
    assert_equal_states(heads["a"], heads["b"])
    # a head that says nothing yet moves the other way for opposite labels
    assert_equal_states(heads["a"], jax.tree.map(np.negative, heads["c"]))


def test_what_a_task_lacks_is_said_before_anything_is_written(store, judge, tmp_path):
    run, bare = tmp_path / "run", dataclasses.replace(store, meta=dataclasses.replace(store.meta, attribute_names=()))
    cases = [
        (Supervised(beta=1.0), bare, "has no labels, which the objective supervised needs"),
        (Supervised(beta=1.0, attributes=("Bold",)), store, "unknown attribute 'Bold': did you mean Bald"),
        (Perceptual(beta=1.0), store, "the objective perceptual needs a judge: `jvae judge --data STORE"),
        (Perceptual(beta=1.0, judge="nowhere.npz"), store, "there is no judge at nowhere.npz"),
    ]
    for objective, data, said in cases:
        with pytest.raises(InputError, match=said):
            train(SHORT.replace(objective=objective), data, run, mesh=ONE, progress=False)
    assert not run.exists()


def test_a_judge_that_speaks_louder_weighs_the_same(store, judge, tmp_path):
    quiet = Judge.load(judge)
    params = jax.device_get(quiet.variables["params"])
    for name, times in (("norm_0", 3.0), ("norm", 5.0)):  # what its first layer and its features are multiplied by
        params[name] = jax.tree.map(lambda value, times=times: times * value, params[name])
    params["kernel_1"], params["head"]["kernel"] = params["kernel_1"] / 3, params["head"]["kernel"] / 5
    loud = Judge(
        quiet.attribute_names,
        quiet.image_size,
        quiet.variables | {"params": params},
        quiet.thresholds,
        quiet.scores,
        blocks=quiet.net.blocks,
        crop=quiet.crop,
    )
    loud.save(tmp_path / "loud.npz")
    batch = Batch(store.images[:4], None)
    x = to_float(batch.images)
    found = []
    for path in (judge, tmp_path / "loud.npz"):
        task: Any = make_task(TINY.replace(objective=Perceptual(r_loss_factor=1000, judge=str(path))), store, ONE)
        found.append(task.terms({}, batch, x, x[::-1], None))
    assert all((value > 0).all() for value in found[0].values())
    for name in ("layers", "features", "logits"):
        np.testing.assert_allclose(found[1][name], found[0][name], rtol=1e-4)
