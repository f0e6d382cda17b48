"""A store's training split in, a judge of its attributes out: it has seen photographs alone, and nothing of a VAE."""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.sharding import Mesh
from tqdm import tqdm

from jvae.data.feed import Chunk, check_fills_a_batch, chunk_order, select, to_devices
from jvae.data.packed import PackedStore
from jvae.errors import InputError
from jvae.judge.augment import augment
from jvae.judge.judge import Judge, batched_logits, score
from jvae.judge.net import JudgeNet, Logits, init_variables, train_pass, widths
from jvae.judge.ranking import best_threshold
from jvae.models.vae import to_float
from jvae.runtime.mesh import along_data, check_batch_size, make_mesh, on_accelerator, put, replicated
from jvae.runtime.processes import check_same, is_main, share
from jvae.training.loop import run_keys
from jvae.training.state import State

CHUNK = 25  # steps in one call
WARMUP = 0.1  # share of the steps
DECAY = 0.05  # of the kernels, times the learning rate, each step
TEMPER = 0.5  # 0: a rare label weighs as it is rare; 1: having it and not weigh the same in all


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a judge is trained.

    Attributes:
      epochs: passes over the training split.
      batch_size: images a step, over all devices.
      learning_rate: Adam's peak.
      seed: of everything random.
    """

    epochs: float = 12
    batch_size: int = 128
    learning_rate: float = 2e-3
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks every value; raises `InputError` naming the first that breaks its rule."""
        for name in ("epochs", "batch_size", "learning_rate"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name}={value}: must be a finite number above 0")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed={self.seed}: must be from 0 to 2^32 - 1")

    def optimizer(self, steps: int) -> optax.GradientTransformation:
        """AdamW (Loshchilov and Hutter 2019): a short warm-up, then a cosine to 0 at the last step."""
        rate = optax.warmup_cosine_decay_schedule(0.0, self.learning_rate, max(1, round(WARMUP * steps)), steps + 1)
        return optax.adamw(rate, weight_decay=DECAY, mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params))


def judgeable(store: PackedStore) -> tuple[list[str], dict[str, str]]:
    """The attributes that some images of each split have and some have not, and why the others cannot be judged.

    Raises:
      InputError: a split is empty, or no attribute is left.
    """
    rows = {split: store.indices(split) for split in ("train", "validation", "test")}
    missing: dict[str, str] = {}
    for split, indices in rows.items():
        counts = store.attrs[indices].sum(0)
        for name, count in zip(store.attribute_names, counts, strict=True):
            if not 0 < count < len(indices):
                who = "all" if count else "none"
                missing.setdefault(name, f"{who} of the {len(indices):,} {split} images have it")
    names = [name for name in store.attribute_names if name not in missing]
    if not names:
        raise InputError(f"{store.path} has no attribute that some images of each split have and some have not")
    return names, missing


def class_weights(attrs: np.ndarray) -> np.ndarray:
    """What an image's label weighs: [2,a] float32, of not having the attribute and of having it.

    Rare labels weigh more, to the power TEMPER; the mean weight over the labels attrs [n,a] is 1.
    """
    share = attrs.mean(0, dtype=np.float64)
    shares = np.clip(np.stack([1 - share, share]), 1 / len(attrs), None)
    weights = shares**-TEMPER
    return (weights / (shares * weights).sum(0)).astype(np.float32)


def judge_loss(logits: jax.Array, labels: jax.Array, weights: jax.Array) -> jax.Array:
    """Weighted sigmoid cross-entropy, nats an attribute, [b].

    Args:
      logits: [b,a].
      labels: [b,a] bool.
      weights: [2,a], see `class_weights`.
    """
    each = optax.sigmoid_binary_cross_entropy(logits, labels.astype(logits.dtype))
    return jnp.mean(each * jnp.where(labels, weights[1:], weights[:1]), 1)


def judge_step(
    net: JudgeNet,
    tx: optax.GradientTransformation,
    state: State,
    images: jax.Array,
    labels: jax.Array,
    weights: jax.Array,
    key: jax.Array,
) -> tuple[State, jax.Array]:
    """One step of gradient descent on a batch's mean loss.

    Args:
      net: the module.
      tx: its optimiser.
      state: before the step.
      images: uint8 [b,h,w,3].
      labels: [b,a] bool.
      weights: [2,a].
      key: the run's; the step's own is folded from it.

    Returns:
      The state after the step, and the loss.
    """
    augment_key, dropout_key = jax.random.split(jax.random.fold_in(key, state.step))
    x = augment(augment_key, to_float(images))

    def objective(params: Any) -> tuple[jax.Array, Any]:
        logits, batch_stats = train_pass(net, params, state.batch_stats, x, dropout_key)
        return jnp.mean(judge_loss(logits, labels, weights)), batch_stats

    (loss, batch_stats), grads = jax.value_and_grad(objective, has_aux=True)(state.params)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return State(state.step + 1, params, batch_stats, opt_state, None), loss


@functools.partial(jax.jit, static_argnames=("net", "recipe", "steps", "mesh"), donate_argnames="state")
def judge_chunk(
    state: State,
    images: jax.Array,
    attrs: jax.Array,
    weights: jax.Array,
    keys: jax.Array,
    *,
    net: JudgeNet,
    recipe: Recipe,
    steps: int,
    mesh: Mesh,
) -> tuple[State, jax.Array]:
    """The next CHUNK steps, or what is left of them, in one call.

    Args:
      state: before the steps; donated.
      images: uint8 [n,h,w,3], every training image, whole on every device, as are the next two.
      attrs: [n,a] bool.
      weights: [2,a].
      keys: [2], of the order of the images and of the steps.
      net: the module.
      recipe: of the training.
      steps: in all.
      mesh: the devices.

    Returns:
      The state after the steps, and the mean loss of them.
    """
    tx, b = recipe.optimizer(steps), recipe.batch_size
    order = chunk_order(keys[0], state.step, n=len(images), b=b, k=CHUNK)
    chunk = Chunk(images, lax.with_sharding_constraint(order, along_data(mesh, 1)))
    count = jnp.minimum(CHUNK, steps - state.step)

    def body(i: jax.Array, carry: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
        state, total = carry
        labels = lax.with_sharding_constraint(attrs[chunk.order[i]], along_data(mesh))
        state, loss = judge_step(net, tx, state, select(chunk, i, mesh), labels, weights, keys[1])
        return state, total + loss

    state, total = lax.fori_loop(0, count, body, (state, jnp.zeros(())))
    return lax.with_sharding_constraint((state, total / count), replicated(mesh))


@functools.partial(jax.jit, static_argnames=("net", "recipe", "steps", "mesh"))
def _init(key: jax.Array, *, net: JudgeNet, recipe: Recipe, steps: int, mesh: Mesh) -> State:
    variables = init_variables(net, key)
    opt_state = recipe.optimizer(steps).init(variables["params"])
    state = State(jnp.zeros((), jnp.int32), **variables, opt_state=opt_state, average=None)
    return lax.with_sharding_constraint(state, replicated(mesh))


def train_judge(
    store: PackedStore, recipe: Recipe | None = None, *, mesh: Mesh | None = None, progress: bool = True
) -> Judge:
    """Trains a judge of all attributes on the training split, sets its thresholds on validation and scores it on test.

    A threshold is where the balanced accuracy on validation images, as they are and softened, is highest.

    Args:
      store: of images and labels.
      recipe: None is `Recipe()`.
      mesh: the devices; None takes all there are.
      progress: show a bar.

    Raises:
      InputError: a split is empty or too small, a batch does not divide over the devices, the images do not fit in a
        device's memory, or the loss is not finite.
    """
    recipe, mesh = recipe or Recipe(), make_mesh() if mesh is None else mesh
    check_batch_size(recipe.batch_size, mesh)
    names, missing = judgeable(store)
    check_same("settings or data", f"{recipe} {store.meta}")
    columns = [store.attribute(name) for name in names]
    rows = store.indices("train")
    check_fills_a_batch(len(rows), recipe.batch_size)
    widths(store.size)
    steps = max(1, round(recipe.epochs * len(rows) / recipe.batch_size))
    attrs = store.attrs[:, columns]
    net = JudgeNet(len(names), store.size, dtype=jnp.bfloat16 if on_accelerator(mesh) else jnp.float32)

    whole = replicated(mesh)
    store.verify(share(np.arange(len(store))))
    images = to_devices(store.images, rows, mesh, instead="a store of fewer or smaller images")
    labels, weights = put((attrs[rows], class_weights(attrs[rows])), whole)
    keys = run_keys(recipe.seed, mesh)
    of_any_seed = dataclasses.replace(recipe, seed=0)  # so that another seed compiles nothing
    fixed: Any = {"net": net, "recipe": of_any_seed, "steps": steps, "mesh": mesh}
    state = _init(keys[0], **fixed)
    with tqdm(total=steps, unit="step", disable=not (progress and is_main())) as bar:
        for done in range(0, steps, CHUNK):
            state, loss = judge_chunk(state, images, labels, weights, keys[1:], **fixed)
            if not np.isfinite(value := float(loss)):
                raise InputError(
                    f"the loss is not finite before step {done + CHUNK}: "
                    f"train with a learning rate below {recipe.learning_rate:g}"
                )
            bar.update(min(CHUNK, steps - done))
            bar.set_postfix(loss=f"{value:.4f}")

    logits_fn = Logits(JudgeNet(len(names), store.size))
    logits = {}
    for split in ("validation", "test"):
        for soft in (False, True):
            of_split = store.indices(split)
            logits[split, soft] = batched_logits(logits_fn, state.trained, store.images, of_split, mesh, soft=soft)
    known = np.concatenate([logits["validation", False], logits["validation", True]])  # [2n,a]
    has = np.tile(attrs[store.indices("validation")], (2, 1))
    thresholds = np.array([best_threshold(known[:, i], has[:, i]) for i in range(len(names))])
    test = attrs[store.indices("test")]
    scores = score(names, thresholds, test, logits["test", False], logits["test", True])
    return Judge(names, store.size, state.trained, thresholds, scores, missing, mesh=mesh)
