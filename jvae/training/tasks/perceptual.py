"""A VAE that is also held to what a frozen judge sees in picture and reconstruction: layers, features and logits."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from jvae.data.feed import Batch
from jvae.data.source import spread
from jvae.errors import InputError
from jvae.judge.net import MOMENTUM, JudgeNet, init_judge
from jvae.models.model import Posterior, Variables, latent_dim, to_float
from jvae.runtime.hashing import random_key
from jvae.training.task import named, part, static
from jvae.training.tasks.supervised import linear_head, read_off
from jvae.training.tasks.vae import Vae, VaeTask

if TYPE_CHECKING:
    from jvae.judge.judge import Judge


RANDOM = "random"  # instead of a judge's file
SEEN = 256  # training images, spread evenly, by which a random network is normalised and what a network sees is scaled
LEAST = 1e-6  # variance: what does not vary is not scaled up


@dataclass(frozen=True, kw_only=True)
class Perceptual(Vae):
    """Settings of the VAE's objective, and of the judge beside it (Hou et al. 2017, "Deep Feature Consistent VAE").

    The weights are in nats for a squared distance of 1. What a network makes of its layers and features is of whatever
    size its training left them, so each is scaled: two images differ by 1 in it, squared, in the mean over channels.

    Attributes:
      judge: file or run directory of a judge of images of the store's size; `jvae judge` trains one. "random" is a
        network as a judge is before training, which needs no labels.
      layer_weight: weight of the distance in the judge's layers, means over positions and channels, summed over layers.
      feature_weight: weight of the distance in the features that the judge's logits are linear in, summed.
      logit_weight: weight of the distance in the judge's logits, summed.
      readout_weight: weight of the distance between the judge's logits of the picture and a linear readout of the
        posterior's mean, summed; above 0, attributes become what is linear in z.
    """

    judge: str = ""
    layer_weight: float = 10.0
    feature_weight: float = 1.0
    logit_weight: float = 1.0
    readout_weight: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_at_least(0, "layer_weight", "feature_weight", "logit_weight", "readout_weight")
        if self.judge == RANDOM and self.readout_weight:
            raise InputError(
                f"readout_weight={self.readout_weight}: a random network tells no attributes: give 0, or a judge"
            )

    def labels(self, store: Any) -> tuple[str, ...]:
        """What is read from z: all that the judge tells, where there is a readout. A batch carries no labels.

        The judge is opened here, so that a wrong one is refused at once.
        """
        if self.judge == RANDOM:
            return ()
        judge = open_judge(self.judge, store.size)
        return judge.attribute_names if self.readout_weight else ()

    def task(self, model: Any, labels: tuple[str, ...], dtype: Any) -> "PerceptualTask":
        """The task, without the judge until it is prepared."""
        weights = {
            "layers": np.float32(self.layer_weight),
            "features": np.float32(self.feature_weight),
            "logits": np.float32(self.logit_weight),
            "readout": np.float32(self.readout_weight),
        }
        return PerceptualTask(**self.shared(model, dtype), judge=self.judge, dtype=dtype, weights=weights, read=labels)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class PerceptualTask(VaeTask):
    """The VAE's loss, and the squared distances between what the judge makes of the picture and the reconstruction.

    Attributes:
      judge: file or run directory of the judge.
      dtype: dtype of the judge's matrix work.
      weights: float32 [] each, by the names of `terms`, so that each run of a sweep has its own.
      read: attributes whose logits are read from the posterior's mean, all of the judge's or none.
      net: the judge's network; None until the task is prepared.
      frozen: its variables, which are not trained.
      scales: float32 [l+1], by which squared distances in its l layers and in its features are multiplied.
    """

    judge: str = static()
    dtype: Any = static()
    weights: Any
    read: tuple[str, ...] = static(default=())
    net: JudgeNet | None = static(default=None)
    frozen: Any = None
    scales: Any = None

    @property
    def teacher(self) -> Variables | None:
        """The judge's variables; none of a random network, which are always the same."""
        return None if self.judge == RANDOM else self.frozen

    def prepared(self, store: Any) -> Self:
        """The task with the judge."""
        images = store.images[spread(store.indices("train"), SEEN)]
        if self.judge == RANDOM:
            net, frozen = JudgeNet(1, self.config.image_size), random_variables(images)
        else:
            judge = open_judge(self.judge, self.config.image_size)
            judge.warn_unless_cut_alike(store)
            net, frozen = judge.net, jax.device_get(judge.variables)
        net = net.clone(dtype=self.dtype)
        return dataclasses.replace(self, net=net, frozen=frozen, scales=scales_of(net, frozen, images))

    def init(self, key: jax.Array) -> Variables:
        """Fresh variables of the model, and a readout that says nothing yet, if there is one."""
        variables = super().init(key)
        if not self.read:
            return variables
        d = latent_dim(self.module, part(variables, "model"), self.config.image_size)
        return named(variables, readout={"params": linear_head(d, len(self.read))})

    def terms(
        self, variables: Variables, batch: Batch, x: jax.Array, recon: jax.Array, posterior: Posterior
    ) -> dict[str, jax.Array]:
        """What the judge sees: layers (means over positions and channels, summed over layers), features and logits; and
        what of its logits of the picture can be read from the posterior's mean, if there is a readout.
        """
        assert self.net is not None  # the loop prepares every task
        judged: Any = [self.net.apply(self.frozen, image) for image in (x, recon)]
        seen, made = judged
        pairs = zip(self.scales[:-1], seen.layers, made.layers, strict=True)
        layers = sum(scale * _distance(a, b) / a[0].size for scale, a, b in pairs)
        features = self.scales[-1] * _distance(seen.features, made.features)
        logits = _distance(seen.logits, made.logits)
        found = {"layers": layers, "features": features, "logits": logits}
        if self.read:
            read = read_off(variables["params"]["readout"], posterior.mean)
            found["readout"] = _distance(seen.logits, read)
        return {name: self.weights[name] * value for name, value in found.items()}


def open_judge(path: str, image_size: int) -> "Judge":
    """The judge in the file `path`. Raises `InputError` where there is none, or it judges images of another size."""
    if not path:
        raise InputError(
            "judge='': the objective perceptual needs a judge: `jvae judge --data STORE --out JUDGE` trains one on a "
            "store with labels; give --objective.judge JUDGE"
        )
    from jvae.judge.judge import Judge  # here, as it imports pandas and scikit-learn, which training needs not

    found = Judge.load(path)
    if found.image_size != image_size:
        raise InputError(
            f"{path} judges images of {found.image_size} pixels and these have {image_size}: "
            "train a judge on the same store"
        )
    return found


def random_variables(images: np.ndarray) -> Variables:
    """A judge's network before any training: its variables, always the same ones, on the host.

    Its running statistics are those of the images, uint8 [n,h,w,3].
    """
    net = JudgeNet(1, images.shape[1], dropout=0.0)
    how: Any = {"train": True, "mutable": ["batch_stats"], "rngs": {"dropout": random_key(0)}}

    def before_and_after(x: jax.Array) -> tuple[Variables, Any]:
        fresh = init_judge(net, random_key(0))
        return fresh, net.apply(fresh, to_float(x), **how)[1]

    fresh, moved = jax.device_get(jax.jit(before_and_after)(images))
    stats = jax.tree.map(  # a step moves them to a mean of what they were and what they are to be
        lambda old, new: (new - MOMENTUM * old) / (1 - MOMENTUM), fresh["batch_stats"], moved["batch_stats"]
    )
    return {**fresh, "batch_stats": stats}


def scales_of(net: JudgeNet, variables: Variables, images: np.ndarray) -> np.ndarray:
    """What makes two of the images, uint8 [n,h,w,3], differ by 1, squared, in the mean over channels.

    Returns:
      float32 [l+1], of each of l layers and of the features. Two images differ by twice the variance.
    """

    def variances(x: jax.Array) -> list[jax.Array]:
        judged: Any = net.apply(variables, to_float(x))
        return [jnp.var(value, 0).mean() for value in (*judged.layers, judged.features)]

    found = np.array(jax.device_get(jax.jit(variances)(images)), np.float32)
    return np.float32(0.5) / np.maximum(found, LEAST)


def _distance(a: jax.Array, b: jax.Array) -> jax.Array:
    """[b], squared, summed over all but the first axis."""
    return jnp.sum(jnp.square(a - b), axis=tuple(range(1, a.ndim)))
