"""Faces and attribute vectors in; whether the edits did what they say, by a judge, out."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jvae.data.source import spread
from jvae.errors import InputError, unknown
from jvae.evaluate.similarity import ssim
from jvae.evaluate.strength import PRICES, foresee
from jvae.judge.judge import Judge
from jvae.latent.attribute import BEYOND
from jvae.latent.vectors import AttributeVectors
from jvae.render.residual import painter
from jvae.runtime.mesh import put_rows, to_host
from jvae.training.checkpoint import digest_of
from jvae.training.learned import judge_digest

FACTORS = np.arange(0, BEYOND + 0.25, 0.5)  # standard deviations of the data along the vector
MOST_LEAKAGE = 0.05
WANTED_HITS = 0.9


class AttributeJudge(Protocol):
    """What says which attributes a picture shows: see `jvae.judge.judge.Judge`."""

    @property
    def attribute_names(self) -> Sequence[str]:
        """[a], in the columns' order."""
        ...

    @property
    def variables(self) -> Any:
        """What the functions take first."""
        ...

    @property
    def thresholds(self) -> np.ndarray:
        """[a], logits at or above which an attribute is there."""
        ...

    @property
    def logits_fn(self) -> Callable[[Any, jax.Array], jax.Array]:
        """Pure: variables, float32 [b,h,w,3] in [0,1] -> [b,a]."""
        ...

    @property
    def features_fn(self) -> Callable[[Any, jax.Array], jax.Array]:
        """Pure: variables, float32 [b,h,w,3] in [0,1] -> [b,k]."""
        ...


class PictureDecoder(Protocol):
    """What decodes: see `jvae.trained.TrainedModel`."""

    @property
    def variables(self) -> Any:
        """What `decode_fn` takes first."""
        ...

    @property
    def mesh(self) -> jax.sharding.Mesh:
        """The devices over which the faces are split."""
        ...

    @property
    def decode_fn(self) -> Callable[[Any, jax.Array], jax.Array]:
        """Pure: variables, latents [b,d] -> float32 [b,h,w,3] in [0,1]."""
        ...


class Edit(NamedTuple):
    """What one attribute's vector does to faces without it, at each of f factors.

    Attributes:
      faces: how many of them the judge saw without it, unedited.
      hits: [f], the share of them that the judge now sees with it.
      flips: [f,a], the share in which each attribute's judgement turned over.
      leakage: [f], the mean of `flips` over all other attributes that are judged; NaN where there are none.
      drift: [f], the mean over those of how far the judge's logit moved, up or down, in its standard deviations over
        the unedited pictures: what leaks before a judgement turns over.
      moved: [f], the mean distance of the judge's features from the unedited picture's, in units of the root mean
        square distance between two of those.
      ssim: [f], the mean structural similarity to the unedited picture.
    """

    faces: int
    hits: np.ndarray
    flips: np.ndarray
    leakage: np.ndarray
    drift: np.ndarray
    moved: np.ndarray
    ssim: np.ndarray

    def smallest(self, hits: float = WANTED_HITS) -> int | None:
        """The first factor's index with that share of hits; None where none has it."""
        reached = np.flatnonzero(self.hits >= hits)
        return int(reached[0]) if len(reached) else None

    def landed(self, hits: float = WANTED_HITS) -> int:
        """The first factor's index with that share of hits, or where they are most."""
        at = self.smallest(hits)
        return int(np.argmax(self.hits)) if at is None else at

    def hits_at(self, leakage: float = MOST_LEAKAGE) -> float:
        """The largest share of hits among the factors that leak no more than this; NaN where nothing can leak."""
        if np.isnan(self.leakage).all():
            return float("nan")
        return float(self.hits[self.leakage <= leakage].max(initial=0))

    def leakage_at(self, hits: float = WANTED_HITS) -> float:
        """The leakage where the hits reach a share, between two factors by a line; NaN where they never do."""
        if (last := self.smallest(hits)) is None:
            return float("nan")
        if last == 0:
            return float(self.leakage[0])
        between = slice(last - 1, last + 1)
        return float(np.interp(hits, self.hits[between], self.leakage[between]))


def judge_edits(
    model: PictureDecoder,
    vectors: AttributeVectors,
    judge: AttributeJudge,
    z: np.ndarray,
    attrs: np.ndarray,
    *,
    judged: Sequence[str] | None = None,
    edited: Sequence[str] | None = None,
    faces: int = 64,
    factors: np.ndarray = FACTORS,
    photographs: np.ndarray | None = None,
    choosers: Sequence[Judge] = (),
    prices: Sequence[float] | np.ndarray = PRICES,
) -> dict[str, Edit]:
    """Edits faces without an attribute by its vector, factor after factor, and has the judge look at them.

    With choosers, other judges, each face is moved by a factor of its own, as `jvae.evaluate.strength` chooses it of
    all, at each price: then `factors` in what is returned are the prices.

    Decoding and judging are one compiled call an attribute: no picture leaves the device.

    Args:
      model: decodes.
      vectors: of any kind. Their `attribute_names` are the columns of `attrs`.
      judge: knows the same attributes, in any order.
      z: [n,d] float32, latents of held-out faces.
      attrs: [n,a] bool, their labels.
      judged: attributes whose flips count as leakage; None is all that the judge knows.
      edited: attributes to edit; None is all that are judged. Those without a vector are left out.
      faces: at most, an attribute; those spread evenly over the rows.
      factors: [f], the first is 0, in standard deviations along the vector.
      photographs: uint8 [n,h,w,3] of the same faces: what the edit changes is painted onto them, as by
        `jvae.render.residual`, and judged there; None judges what is decoded.
      choosers: judges that choose each face's factor, not `judge` itself; none moves all faces by the same factors.
      prices: [p], from the highest on, what it costs that other judgements turn over.

    Returns:
      attribute -> what its edit did; without those that have no vector, or of which no face was left to edit.

    Raises:
      InputError: the judge or the vectors do not know an attribute, the factors do not start at 0, the judge is one of
        the choosers, or see `foresee`.
    """
    if not len(factors) or factors[0]:
        raise InputError(
            f"factors must start at 0, not {factors}: the unedited pictures are what others are held against"
        )
    if choosers and digest_of(judge.variables) in map(judge_digest, choosers):
        raise InputError("a judge that chooses how far faces go finds its own choice good: score by another one")
    known = list(judge.attribute_names)
    judged = list(judged if judged is not None else [name for name in known if name in vectors.attribute_names])
    for name in (*judged, *(edited or ())):
        if name not in known:
            raise InputError(f"the judge does not know {name}: it was trained on {', '.join(known)}")
    for name in edited or ():
        if name not in vectors.attribute_names:
            raise unknown("attribute", name, vectors.attribute_names)
    columns = np.array([known.index(name) for name in judged])
    found: dict[str, Edit] = {}
    for name in judged if edited is None else edited:
        if name not in vectors:
            continue
        without = np.flatnonzero(~attrs[:, vectors.attribute_names.index(name)])
        if not len(without):
            continue
        start = spread(without, faces)
        size = -(-faces // model.mesh.size) * model.mesh.size
        step = np.asarray(vectors[name].step("sd"), np.float32)
        seen = _judge(
            (model.variables, judge.variables),
            put_rows(z.astype(np.float32, copy=False), start, size, model.mesh),
            None if photographs is None else put_rows(photographs, start, size, model.mesh),
            len(start),
            step,
            np.asarray(factors, np.float32),
            np.asarray(judge.thresholds, np.float32),
            functions=(model.decode_fn, judge.logits_fn, judge.features_fn),
        )
        said, drift, moved, alike = (value[: len(start)] for value in to_host(seen))
        it = known.index(name)
        there = ~said[:, 0, it]
        if not there.any():
            continue
        turned = said != said[:, :1]
        looked = (said, turned, drift, moved, alike)
        if choosers:
            onto = None if photographs is None else photographs[start]
            own = foresee(model, choosers, name, step, factors, z[start], onto).choose(prices)  # [n,p]
            looked = tuple(value[np.arange(len(start))[:, None], own] for value in looked)
        said, turned, drift, moved, alike = (value[there] for value in looked)
        flips = turned.mean(0)  # [f,a]
        others = columns[columns != it]
        unmeasured = np.full(len(flips), np.nan)
        found[name] = Edit(
            faces=len(said),
            hits=said[:, :, it].mean(0),
            flips=flips[:, columns],
            leakage=flips[:, others].mean(1) if len(others) else unmeasured,
            drift=drift.mean(0)[:, others].mean(1) if len(others) else unmeasured,
            moved=moved.mean(0),
            ssim=alike.mean(0),
        )
    return found


@functools.partial(jax.jit, static_argnames="functions")
def _judge(
    variables: tuple[Any, Any],
    z: jax.Array,
    photographs: jax.Array | None,
    count: jax.Array,
    step: jax.Array,
    factors: jax.Array,
    thresholds: jax.Array,
    *,
    functions: tuple[Callable, Callable, Callable],
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Judgements and drifts [n,f,a], moves and similarities [n,f] of latents [n,d] edited by factors [f] times `step`,
    decoded or painted onto photographs [n,h,w,3].

    The rows from `count` on are filling.
    """
    decode_fn, logits_fn, features_fn = functions
    n = len(z)
    picture = painter(decode_fn, variables[0], z, photographs)

    def one_factor(factor: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        x = picture(z + factor * step[None])
        return x, logits_fn(variables[1], x), features_fn(variables[1], x)

    base, base_logits, base_features = one_factor(jnp.float32(0))
    there = (jnp.arange(n) < count)[:, None]
    spread = _measured(base_logits.std(0, where=there)[None])  # [1,a]
    squares = base_features.var(0, where=there).sum() * count / jnp.maximum(count - 1, 1)
    apart = _measured(jnp.sqrt(2 * squares))  # root mean square between two faces

    def look(factor: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        x, logits, features = one_factor(factor)
        said = logits >= thresholds[None]
        drift = jnp.abs(logits - base_logits) / spread
        return said, drift, jnp.linalg.norm(features - base_features, axis=1) / apart, ssim(x, base)

    found = jax.lax.map(look, factors)  # [f,n,...]
    return tuple(value.swapaxes(0, 1) for value in found)


def _measured(unit: jax.Array) -> jax.Array:
    """A unit to measure in; NaN where it is 0, as of one face."""
    return jnp.where(unit > 0, unit, jnp.nan)


def leak_matrix(edits: dict[str, Edit], judged: Sequence[str], hits: float = WANTED_HITS) -> np.ndarray:
    """[a,a]: row, the attribute edited; column, the share of faces in which the judgement of that one turned over.

    At the first factor with a share of hits, or where they are most; NaN in the rows of attributes not edited.
    """
    matrix = np.full((len(judged), len(judged)), np.nan)
    for i, name in enumerate(judged):
        if name in edits:
            matrix[i] = edits[name].flips[edits[name].landed(hits)]
    return matrix
