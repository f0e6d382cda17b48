"""What tests export: each model, with random weights and vectors of random latents."""

import jax
import numpy as np

from jvae.data.source import DataId
from jvae.export.bundle import Bundle
from jvae.latent.kinds import Kind
from jvae.latent.vectors import AttributeVectors, Origin
from jvae.models.linear import Linear
from jvae.models.principal import Principal
from jvae.models.residual import Residual
from jvae.runtime.hashing import random_key
from jvae.runtime.mesh import to_host
from jvae.trained import TrainedModel
from tests.runs import ONE, TINY, fresh
from tests.test_vectors import sums

EXTRA = "needs the extra export: pip install 'jvae[export]'"
CONFIGS = {
    "book": TINY.replace(widths=(4, 8)),
    "residual": TINY.replace(model=Residual(image_size=16, widths=(8, 16), blocks=(1, 1), latent_dim=6, groups=4)),
    "plain residual": TINY.replace(
        model=Residual(image_size=16, widths=(8,), blocks=(1,), latent_dim=6, norm="none", activation="leaky_relu")
    ),
    "principal": TINY.replace(
        model=Principal(image_size=16, widths=(4, 8), blocks=(1, 1), groups=2, latent_dim=6, head_width=4)
    ),
    "linear": TINY.replace(model=Linear(image_size=16, latent_dim=6)),
}


def bundle_of(name: str = "book", scorecard: dict | None = None, source: str = "rendered") -> Bundle:
    """A model of random weights and vectors of random latents, of three kinds."""
    cfg, rng = CONFIGS[name], np.random.default_rng(0)
    variables = to_host(fresh(cfg.model.module(np.float32), 16, random_key(0)))
    noisy = jax.tree.map(lambda x: np.asarray(x + 0.05 * rng.uniform(size=x.shape), np.float32), variables)
    model = TrainedModel(cfg, noisy, step=3, data=DataId(source, "rendered", "0"), mesh=ONE)
    attrs = rng.uniform(size=(60, 3)) < 0.5
    z = rng.normal(size=(60, 6)) + attrs @ rng.normal(size=(3, 6))
    known = AttributeVectors(sums(z, attrs), ("Smiling", "Eyeglasses", "Male"), Origin(digest=model.digest))
    kinds = (known, known.of_kind("regression"), known.of_kind(Kind("regression", keep=("Male",))))
    return Bundle("faces", model, kinds, {"objective": 12.5}, scorecard or {})
