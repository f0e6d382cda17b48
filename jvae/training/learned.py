"""A trained decoder and judges in; attribute vectors that were trained through both, out.

No closed form on the latents knows what a decoder makes of a step. Here a step is decoded, judges look at the picture,
softened and noisy so that no texture deceives them, and the vector of every attribute moves until they see the
attribute and nothing else. What is held against what settles itself: each attribute has a multiplier on the judgements
that turn over, which rises while they are more than allowed and falls while they are fewer (Platt and Barr 1987,
"Constrained Differential Optimization").
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.sharding import Mesh

from jvae.data.augment import blur
from jvae.errors import InputError
from jvae.judge.judge import Judge, check_sizes, reading
from jvae.latent.vectors import AttributeVectors, Learned
from jvae.models.model import to_float
from jvae.runtime.hashing import random_key
from jvae.runtime.mesh import along_data, put, replicated, to_host
from jvae.training.checkpoint import digest_of

STEPS = 1200
FACES = 16  # a step; each is edited EDITS times
EDITS = 4
CHUNK = 50  # steps a call
RATE = 0.05  # Adam's, of the root mean square that entries begin with, falling to 0 by a cosine
ALLOWED = 0.045  # share of the other judgements that may turn over: a little less than the scorecard's 5 %
MARGIN = 0.6  # standard deviations of a logit beyond its threshold, wanted of what is edited
NEAR = 0.5  # those within which another's logit must not come nearer to its threshold
SHARP = 4.0  # of the soft steps that stand for judgements
DRIFT = 0.2  # weight of the squared moves of other logits, in standard deviations
LENGTH = 0.002  # weight of the vector's squared length: z is about one long in each dimension
MULTIPLIER, LEAST, MOST = 8.0, 0.5, 60.0  # at first, and its bounds
PACE = 0.02  # of the multipliers
SOFT, NOISE, MOVED = 1.0, 0.03, 2  # at most: a blur in 64ths of the image's size; of the pixels; a shift in pixels
_ADAM = optax.scale_by_adam(b2=0.99)


def judge_digest(judge: Judge) -> str:
    """CRC-32 of a judge's variables: what two judges have alike that judge alike."""
    return digest_of(judge.variables)


def learn_vectors(
    model: Any,
    known: AttributeVectors,
    judges: Sequence[Judge],
    z: np.ndarray,
    attrs: np.ndarray,
    *,
    photographs: np.ndarray | None = None,
    steps: int = STEPS,
    seed: int = 0,
    report: Callable[[int, dict[str, float]], None] = lambda step, means: None,
) -> Learned:
    """Vectors of all attributes that have one and that the judges tell, trained through the decoder at once.

    A factor of 1 is where they were trained to land: there the judges see the attribute, or with a factor of −1 on
    faces that have it, see it gone, while they judge no more than `ALLOWED` of the rest otherwise than before.

    Args:
      model: decodes, a `jvae.trained.TrainedModel`.
      known: vectors of the model; training starts from those of "regression".
      judges: of images of the model's size, one or more. Judge edits by another one: these were fitted.
      z: [n,d], latents of training images.
      attrs: [n,a] bool, their labels, columns by `known.attribute_names`.
      photographs: uint8 [n,h,w,3], the images: half of the edits are painted onto them, as by `jvae.render.residual`,
        and judged there; None judges what is decoded.
      steps: number of training steps.
      seed: of the faces and edits of each step, and of noise.
      report: called with the steps done and the means of what is minimised.

    Raises:
      InputError: no judge, one of another size, or no attribute that has a vector and that all of them tell.
    """
    if not judges:
        raise InputError("learned vectors need a judge, better several: jvae judge trains one; give --judges")
    check_sizes(judges, model.image_size, "teach vectors of")
    start = known.of_kind("regression")
    names = [name for name in known.attribute_names if all(name in judge.attribute_names for judge in judges)]
    edited = [i for i, name in enumerate(names) if name in start]
    if not edited:
        raise InputError("no attribute has a vector and is told by all judges: give judges of this store")
    mesh, order = model.mesh, np.array([known.attribute_names.index(name) for name in names])
    views = tuple(reading(judge, names) for judge in judges)
    vectors = np.stack([start[names[i]].vector for i in edited]).astype(np.float32)
    faces = -(-FACES // mesh.size) * mesh.size
    fixed = _Fixed(
        model.variables,
        views,
        z.astype(np.float32),
        attrs[:, order],
        photographs,
        np.array(edited, np.int32),
        np.int32(steps),
        np.float32(RATE * np.sqrt(np.mean(vectors**2))),
    )
    fixed = put(fixed, replicated(mesh))
    state = put(
        _State(vectors, _ADAM.init(vectors), np.full(len(edited), MULTIPLIER, np.float32)),
        replicated(mesh),
    )
    key = put(random_key(seed), replicated(mesh))
    functions = (model.decode_fn, tuple(judge.logits_fn for judge in judges))
    for step in range(0, steps, CHUNK):
        count = min(CHUNK, steps - step)
        state, means = _train(
            state, fixed, key, put(np.array([step, count], np.int32), replicated(mesh)),
            functions=functions, faces=faces, mesh=mesh,
        )  # fmt: skip
        report(step + count, {name: float(value) for name, value in to_host(means).items()})
    found = np.full((len(known.attribute_names), z.shape[1]), np.nan)
    found[order[edited]] = to_host(state.vectors)
    return Learned(found, tuple(judge_digest(judge) for judge in judges))


class _Fixed(NamedTuple):
    """What training does not change."""

    decoder: Any
    judges: Any  # of each: variables, columns [a], thresholds [a]
    z: Any  # [n,d]
    attrs: Any  # [n,a]
    photographs: Any  # uint8 [n,h,w,3], or None
    edited: Any  # int32 [v], columns of `attrs`
    steps: Any  # int32 []
    rate: Any  # float32 []


class _State(NamedTuple):
    """What it does."""

    vectors: Any  # [v,d]
    adam: Any
    multipliers: Any  # [v]


class _Edits(NamedTuple):
    """The edits of a step, of f faces m each."""

    z: jax.Array  # [f,d]
    photographs: jax.Array | None  # uint8 [f,h,w,3]
    painted: jax.Array  # bool [f]
    which: jax.Array  # int32 [f,m], rows of the vectors
    factor: jax.Array  # [f,m]: below 0 of faces that have the attribute


@functools.partial(jax.jit, static_argnames=("functions", "faces", "mesh"), donate_argnames="state")
def _train(
    state: _State, fixed: _Fixed, key: jax.Array, steps: jax.Array, *, functions: Any, faces: int, mesh: Mesh
) -> tuple[_State, dict[str, jax.Array]]:
    """`steps` [2], the first and how many: the state after them, and the means of the last."""

    def body(i: jax.Array, carry: tuple[_State, dict[str, jax.Array]]) -> tuple[_State, dict[str, jax.Array]]:
        state, _ = carry
        own = jax.random.fold_in(key, steps[0] + i)
        edits = _draw(jax.random.fold_in(own, 0), fixed, len(state.vectors), faces)
        edits = lax.with_sharding_constraint(edits, along_data(mesh))
        loss = functools.partial(_loss, state.multipliers, fixed, edits, jax.random.fold_in(own, 1), functions)
        grads, (parts, turned) = jax.grad(loss, has_aux=True)(state.vectors)
        with jax.numpy_dtype_promotion("standard"):
            updates, moments = _ADAM.update(grads, state.adam)
        rate = fixed.rate * (1 + jnp.cos(jnp.pi * (steps[0] + i) / fixed.steps)) / 2
        over = jnp.where(jnp.abs(edits.factor) == 1, turned / ALLOWED - 1, 0)
        grown = jnp.zeros_like(state.multipliers).at[edits.which].add(over)
        multipliers = jnp.clip(state.multipliers * jnp.exp(PACE * grown), LEAST, MOST)
        return _State(state.vectors - rate * updates, moments, multipliers), parts

    nothing = {name: jnp.float32(0) for name in ("missed", "turned", "drift", "length")}
    return lax.fori_loop(0, steps[1], body, (state, nothing))


def _draw(key: jax.Array, fixed: _Fixed, vectors: int, faces: int) -> _Edits:
    """Faces and edits by chance: half of the edits whole, the others a part of the way."""
    keys = jax.random.split(key, 5)
    row = jax.random.randint(keys[0], (faces,), 0, len(fixed.z))
    which = jax.random.randint(keys[1], (faces, EDITS), 0, vectors)
    there = jnp.take_along_axis(fixed.attrs[row], fixed.edited[which], 1)
    part = jax.random.uniform(keys[2], which.shape)
    part = jnp.where(jax.random.bernoulli(keys[3], 0.5, which.shape), 1.0, part)
    photographs = None if fixed.photographs is None else fixed.photographs[row]
    painted = jax.random.bernoulli(keys[4], 0.5, (faces,))
    return _Edits(fixed.z[row], photographs, painted, which, jnp.where(there, -part, part))


def _loss(
    multipliers: jax.Array, fixed: _Fixed, edits: _Edits, key: jax.Array, functions: Any, vectors: jax.Array
) -> tuple[jax.Array, tuple[dict[str, jax.Array], jax.Array]]:
    """What the edits lose, a mean; its parts; and the share of other judgements that turned over in each, [f,m]."""
    decode_fn, logits_fns = functions
    f, m = edits.which.shape
    own = vectors[edits.which]  # [f,m,d]
    moved = edits.z[:, None] + edits.factor[..., None] * own
    before = decode_fn(fixed.decoder, edits.z)
    after = decode_fn(fixed.decoder, moved.reshape(f * m, -1))
    if edits.photographs is not None:
        unpainted = (to_float(edits.photographs) - before) * edits.painted.reshape(f, 1, 1, 1)
        before, after = before + unpainted, jnp.clip(after + jnp.repeat(unpainted, m, 0), 0, 1)
    before, after = _disturbed(key, before, after)
    it = jax.nn.one_hot(fixed.edited[edits.which], fixed.attrs.shape[1])  # [f,m,a]
    missed = turning = turned = drift = jnp.zeros((f, m))
    for (variables, columns, thresholds), logits_fn in zip(fixed.judges, logits_fns, strict=True):
        said = [logits_fn(variables, x)[:, columns] - thresholds.reshape(1, -1) for x in (before, after)]
        spread = lax.stop_gradient(said[0].std(0) + 0.3).reshape(1, 1, -1)
        was = lax.stop_gradient(said[0])[:, None] / spread  # [f,1,a]
        now = said[1].reshape(f, m, -1) / spread  # [f,m,a]
        wanted = (now * it).sum(-1) * jnp.sign(edits.factor)
        missed += _soft(MARGIN * jnp.abs(edits.factor) - wanted)
        room = jnp.minimum(jnp.abs(was), NEAR)
        turns = _soft(room - jnp.where(was >= 0, now, -now)) - _soft(room - jnp.abs(was))
        turning += (jnp.maximum(turns, 0) * (1 - it)).mean(-1)
        turned += (((was >= 0) != (now >= 0)) * (1 - it)).sum(-1) / max(it.shape[-1] - 1, 1)
        drift += (jnp.square(now - was) * (1 - it)).mean(-1)
    judges = len(logits_fns)
    missed, turning, turned, drift = missed / judges, turning / judges, turned / judges, drift / judges
    length = jnp.square(own).sum(-1)
    weight = multipliers[edits.which]
    value = (missed + weight * turning + DRIFT * drift + LENGTH * length) / (1 + weight / MULTIPLIER)
    parts = {"missed": missed, "turned": turned, "drift": drift, "length": length}
    return value.mean(), ({name: part.mean() for name, part in parts.items()}, turned)


def _soft(x: jax.Array) -> jax.Array:
    return jax.nn.softplus(SHARP * x) / SHARP


def _disturbed(key: jax.Array, before: jax.Array, after: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Pictures [f,h,w,3] and their edits [f·m,h,w,3], softened and moved alike, with noise on both."""
    soft, noise, place = jax.random.split(key, 3)
    (f, h), m = before.shape[:2], len(after) // len(before)
    sigma = jax.random.uniform(soft, (f,)) * SOFT * h / 64
    grain = NOISE * jax.random.normal(noise, before.shape)
    shift = jax.random.randint(place, (2,), -MOVED, MOVED + 1)
    before = jnp.roll(blur(before, sigma) + grain, shift, (1, 2))
    after = jnp.roll(blur(after, jnp.repeat(sigma, m)) + jnp.repeat(grain, m, 0), shift, (1, 2))
    return before, after
