"""Faces, a step and judges in; how many steps each face takes, out.

No number of steps suits all faces: one smiles after half of what another needs, a third turns into somebody else before
it does. So judges look at every face after every number of steps, and each face takes the number that is worth most:
the chance that its attribute is seen then, less a price times the share of all other judgements that turn over. Where
nothing is worth the price, the face stays as it is.
"""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jvae.errors import InputError
from jvae.render.residual import painter
from jvae.runtime.mesh import map_rows, put, replicated

if TYPE_CHECKING:
    from jvae.judge.judge import Judge

PRICES = (20.0, 10.0, 5.0, 2.5)
SHARP = 2.0  # of the logistic curve that makes a chance of how far a logit is above its threshold: chosen on CelebA


class Prospects(NamedTuple):
    """What judges expect of n faces, each moved by f factors; means over the judges.

    Attributes:
      seen: [n,f] in [0,1], the chance that the attribute is there; of steps that take it away, that it is not.
      turned: [n,f] in [0,1], the expected share of all other judgements that turn over.
    """

    seen: np.ndarray
    turned: np.ndarray

    def choose(self, prices: Sequence[float] | np.ndarray) -> np.ndarray:
        """Int [n,p], which of the factors each face takes at each price: the first with the most seen − price · turned.

        At a price of 10 an edit is worth what it shows only while less than a tenth of the rest turns over.
        """
        worth = self.seen[:, None] - np.asarray(prices, np.float64)[:, None] * self.turned[:, None]  # [n,p,f]
        return worth.argmax(2)


def foresee(
    model: Any,
    judges: Sequence["Judge"],
    name: str,
    step: np.ndarray,
    factors: Sequence[float] | np.ndarray,
    z: np.ndarray,
    photographs: np.ndarray | None = None,
    *,
    away: bool = False,
) -> Prospects:
    """What judges expect of faces moved along a vector, by every factor.

    Args:
      model: decodes, a `jvae.trained.TrainedModel`.
      judges: one or more, of images of the model's size. Score by another one: edits were chosen to please these.
      name: attribute that the step is to show.
      step: [d], what a factor of 1 adds.
      factors: [f].
      z: [n,d] float32.
      photographs: uint8 [n,h,w,3] of the same faces: what the step changes is painted onto them, as by
        `jvae.render.residual`, and judged there; None judges what is decoded.
      away: whether the attribute is to be taken away and not added.

    Raises:
      InputError: no judge, one of images of another size, one that does not know the attribute, or judges that share no
        other.
    """
    from jvae.judge.judge import check_sizes, reading  # here, as it imports pandas and scikit-learn, and takes a second

    if not judges:
        raise InputError("no judge to choose by: jvae judge trains one; give it, better two of other seeds")
    check_sizes(judges, model.image_size, "choose for")
    shared = [other for other in judges[0].attribute_names if all(other in j.attribute_names for j in judges)]
    names = [name, *(other for other in shared if other != name)]
    if len(names) < 2:
        raise InputError(
            f"the judges share no attribute but {name}, so that no change has a price: give judges of more attributes"
        )
    fixed = (model.variables, [reading(judge, names) for judge in judges], np.asarray(step, np.float32))
    fixed = put((*fixed, np.asarray(factors, np.float32)), replicated(model.mesh))
    functions = (model.decode_fn, tuple(judge.logits_fn for judge in judges))
    look = functools.partial(_look, *fixed, functions=functions)
    arrays = [z.astype(np.float32, copy=False), *([] if photographs is None else [photographs])]
    every = np.arange(len(z))
    seen, turned = map_rows(look, *((each, every) for each in arrays), mesh=model.mesh, size=min(len(z), 32))
    return Prospects(1 - seen if away else seen, turned)


@functools.partial(jax.jit, static_argnames="functions")
def _look(
    variables: Any,
    judges: Any,
    step: jax.Array,
    factors: jax.Array,
    z: jax.Array,
    photographs: jax.Array | None = None,
    *,
    functions: tuple[Callable, tuple[Callable, ...]],
) -> tuple[jax.Array, jax.Array]:
    """Chances of the first attribute and shares of the others that turn over, [n,f] each."""
    decode_fn, logits_fns = functions
    picture = painter(decode_fn, variables, z, photographs)

    def chances(latents: jax.Array) -> jax.Array:
        x = picture(latents)
        said = [
            logits_fn(own, x)[:, columns] - thresholds[None]
            for (own, columns, thresholds), logits_fn in zip(judges, logits_fns, strict=True)
        ]
        return jax.nn.sigmoid(SHARP * jnp.stack(said))  # [j,n,a]

    before = chances(z)

    def one_factor(factor: jax.Array) -> tuple[jax.Array, jax.Array]:
        after = chances(z + factor * step[None])
        others = jnp.abs(after - before)[:, :, 1:]
        return after[..., 0].mean(0), others.mean((0, 2))

    seen, turned = jax.lax.map(one_factor, factors)  # [f,n]
    return seen.T, turned.T
