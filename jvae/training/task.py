"""What is trained, as a value: how its variables begin, what an example loses, and how a validation scores it.

One train step, one loop, one sweep and one checkpoint serve every task. A task is a frozen dataclass and a pytree: what
shapes its program is static (`static()`), and its other fields are arrays, which are arguments of the compiled step.
So tasks that differ in a weight alone share one program, and a frozen network is never a constant in it.
"""

import dataclasses
import functools
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from jvae.config import OptimizerConfig
from jvae.data.feed import Batch
from jvae.models.model import Variables
from jvae.training.muon import scale_by_muon

static: Any = functools.partial(dataclasses.field, metadata={"static": True})
"""A field of a task that shapes its program, and no array: compared by value, so it must be hashable."""


class Loss(NamedTuple):
    """What the examples of a batch lose.

    Attributes:
      values: [b] float32, whose mean is minimised.
      parts: what it is made of, and whatever else is worth a curve: [b] each, by name.
      collections: the variables other than the parameters, after the step.
    """

    values: jax.Array
    parts: dict[str, jax.Array]
    collections: Variables


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Hyper:
    """The numbers of an optimiser that are arguments of the compiled step.

    Attributes:
      learning_rate: float32 [], the peak.
      total_steps: int32 [], of the whole run: where a schedule ends.
      optimizer: the other settings, which shape the program.
    """

    learning_rate: Any
    total_steps: Any
    optimizer: OptimizerConfig = static()

    @classmethod
    def of(cls, cfg: OptimizerConfig, total_steps: int) -> Self:
        """Those of `cfg`, on the host."""
        return cls(np.float32(cfg.learning_rate), np.int32(total_steps), cfg.replace(learning_rate=1.0))

    def rate(self, step: Any) -> Any:
        """The learning rate at `step`: linear warm-up to the peak, then constant or a cosine to 0 at the last step.

        A step that is a number of Python's gives one at once, where a schedule of optax would compile its parts.
        """
        xp = jnp if isinstance(step, jax.Array) else np
        warmup, rest = self.optimizer.warmup_steps, 1.0
        if self.optimizer.schedule == "cosine":
            falling = xp.maximum(1, self.total_steps - warmup)
            rest = (1 + xp.cos(np.pi * xp.clip((step - warmup) / falling, 0, 1))) / 2
        warm = xp.minimum(step / warmup, 1) if warmup else 1.0
        return self.learning_rate * warm * rest

    def adam(self, scale: float = 1.0) -> optax.GradientTransformation:
        """Adam by the schedule, its rate times `scale`; with weight decay, of matrices and kernels, AdamW."""
        rate, epsilon = (lambda step: scale * self.rate(step)), self.optimizer.adam_epsilon
        if not self.optimizer.weight_decay:
            return optax.adam(rate, eps=epsilon)
        return optax.adamw(rate, eps=epsilon, weight_decay=self.optimizer.weight_decay, mask=_matrices)

    def descent(self, scale: float = 1.0) -> optax.GradientTransformation:
        """The optimiser that the config names, its rate times `scale`: Adam, or Muon and Adam for all but matrices."""
        if self.optimizer.name == "adam":
            return self.adam(scale)
        muon = optax.chain(
            scale_by_muon(),
            optax.add_decayed_weights(self.optimizer.weight_decay),
            optax.scale_by_learning_rate(lambda step: scale * self.rate(step)),
        )
        return optax.partition({True: muon, False: self.adam(scale)}, _matrices)


def _matrices(params: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


class Task(Protocol):
    """The contract, and what a task that says nothing else gets.

    A subclass is decorated with `jax.tree_util.register_dataclass` and `dataclasses.dataclass(frozen=True)`. A task
    that trains a model of faces keeps the model's variables under the name "model" (`named`), where `jvae.load` looks.

    Attributes:
      best: the score that chooses the best checkpoint; the lowest is the best.
    """

    best: ClassVar[str] = "objective"

    @property
    def labels(self) -> tuple[str, ...]:
        """The attributes that a batch carries beside its images, a of them; none unless a task says so."""
        return ()

    @property
    def closed_form(self) -> bool:
        """Whether `solve` gives the variables, and there is nothing to be trained step by step."""
        return False

    @property
    def teacher(self) -> Variables | None:
        """Variables of a judge that the task learns from and does not train, once prepared; a run keeps to the same."""
        return None

    def prepared(self, store: Any) -> Self:
        """The task with the arrays that come of the data or of files: weights of rare labels, a frozen network."""
        return self

    def init(self, key: jax.Array) -> Variables:
        """Fresh variables: {"params": …, and any other collections}."""
        ...

    def solve(self, images: Any, rows: np.ndarray, mesh: Mesh) -> Variables:
        """The variables at the optimum, of a task with a closed form.

        Args:
          images: uint8 [n,h,w,3].
          rows: int [m], those to learn from.
          mesh: the devices.
        """
        raise TypeError(f"{type(self).__name__} has no closed form")

    def begun(self, variables: Variables, images: Any, rows: np.ndarray, mesh: Mesh) -> Variables:
        """What training begins with: fresh variables as they are, unless a task knows better ones from the data.

        Args:
          variables: of `init`.
          images: as in `solve`.
          rows: as in `solve`.
          mesh: as in `solve`.
        """
        return variables

    def augmented(self, batch: Batch, key: jax.Array) -> Batch:
        """What a step learns from, of a batch as it came, on the device: the batch itself, unless a task says another.

        Args:
          batch: as in `loss`.
          key: of this step, and of nothing else in it.
        """
        return batch

    def loss(self, variables: Variables, batch: Batch, key: jax.Array, step: jax.Array) -> Loss:
        """What each example of a batch loses.

        Args:
          variables: all collections.
          batch: images uint8 [b,h,w,3], and labels bool [b,a] where the task has some; see `augmented`.
          key: of this step alone.
          step: int32 [], steps before this one.
        """
        ...

    def score(self, variables: Variables, batch: Batch, keys: jax.Array) -> dict[str, jax.Array]:
        """Scores [b] by name, without randomness other than `keys` [b], one for each image whatever its batch."""
        ...

    def summary(self, means: dict[str, float]) -> dict[str, float]:
        """What a validation reports, of the means of `score` over its images: these, unless a task adds to them."""
        return means

    def trouble(self, means: dict[str, float]) -> str | None:
        """What is wrong with a run, and what to change, in one line; None where nothing is.

        Args:
          means: of the parts of `loss` in the last steps; of `score`, where there were no steps.
        """
        return None

    def reconstruct(self, variables: Variables, images: jax.Array) -> jax.Array | None:
        """Pictures float32 [b,h,w,3] in [0, 1] to show under images uint8 [b,h,w,3]; None where there is nothing."""
        return None

    def optimizer(self, hyper: Hyper) -> optax.GradientTransformation:
        """What moves the parameters; for several groups `optax.partition` of several `hyper.descent(scale)`."""
        return hyper.descent()


def named(before: Variables | None = None, **parts: Variables) -> Variables:
    """Variables of several networks as one: {collection: {name: …}} of name={collection: …}.

    Those of `before` stay where no part has others.
    """
    out = {collection: dict(tree) for collection, tree in (before or {}).items()}
    for name, variables in parts.items():
        for collection, tree in variables.items():
            out.setdefault(collection, {})[name] = tree
    return out


def part(variables: Variables, name: str) -> Variables:
    """The variables of one of the networks of `named`."""
    return {collection: tree[name] for collection, tree in variables.items() if name in tree}
