"""jvae: train a variational autoencoder on faces, fast, and work in its latent space.

model = jvae.load("runs/y")
store = jvae.PackedStore.open("data/x")
z = model.encode(store.images[:5])  # [5,d]
glasses = jvae.AttributeVectors.load("runs/y/vectors.npz")["Eyeglasses"]
tiles = jvae.apply_vector(z, glasses, range(-4, 5), model=model)  # uint8 [5,9,h,w,3]
jvae.save_png("glasses.png", jvae.sheet(tiles, title="Eyeglasses"))
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jvae.config import Config
    from jvae.data.packed import PackedStore, pack
    from jvae.data.source import Source, Store
    from jvae.data.sources.folder import FolderSource
    from jvae.data.sources.rendered import RenderedFaces
    from jvae.errors import InputError
    from jvae.evaluate.card import scorecard
    from jvae.judge.judge import Judge
    from jvae.latent.attribute import AttributeVector
    from jvae.latent.grids import analogy, between_four, j_diagram, neighbourhood
    from jvae.latent.kinds import Kind
    from jvae.latent.trajectories import apply_vector, even_steps, gaussian_lerp, lerp, loop, morph, slerp
    from jvae.latent.vectors import AttributeVectors
    from jvae.render.sheet import save_png, sheet
    from jvae.trained import TrainedModel, load
    from jvae.training.loop import train
    from jvae.training.presets import preset

_HOMES = {
    "Config": "config",
    "preset": "training.presets",
    "PackedStore": "data.packed",
    "pack": "data.packed",
    "Source": "data.source",
    "Store": "data.source",
    "FolderSource": "data.sources.folder",
    "RenderedFaces": "data.sources.rendered",
    "InputError": "errors",
    "Judge": "judge.judge",
    "scorecard": "evaluate.card",
    "TrainedModel": "trained",
    "load": "trained",
    "analogy": "latent.grids",
    "j_diagram": "latent.grids",
    "neighbourhood": "latent.grids",
    "between_four": "latent.grids",
    "apply_vector": "latent.trajectories",
    "even_steps": "latent.trajectories",
    "gaussian_lerp": "latent.trajectories",
    "Kind": "latent.kinds",
    "lerp": "latent.trajectories",
    "loop": "latent.trajectories",
    "morph": "latent.trajectories",
    "slerp": "latent.trajectories",
    "save_png": "render.sheet",
    "sheet": "render.sheet",
    "AttributeVector": "latent.attribute",
    "AttributeVectors": "latent.vectors",
    "train": "training.loop",
}

__all__ = [
    "AttributeVector",
    "AttributeVectors",
    "Config",
    "FolderSource",
    "InputError",
    "Judge",
    "Kind",
    "PackedStore",
    "RenderedFaces",
    "Source",
    "Store",
    "TrainedModel",
    "analogy",
    "apply_vector",
    "between_four",
    "even_steps",
    "gaussian_lerp",
    "j_diagram",
    "lerp",
    "load",
    "loop",
    "morph",
    "neighbourhood",
    "pack",
    "preset",
    "save_png",
    "scorecard",
    "sheet",
    "slerp",
    "train",
]


def __dir__() -> list[str]:
    """Names for completion, those not loaded yet included."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Loads a public name on first use, so that `import jvae` starts at once and imports no jax."""
    if name not in _HOMES:
        raise AttributeError(f"module 'jvae' has no attribute {name!r}")
    return getattr(importlib.import_module(f"jvae.{_HOMES[name]}"), name)
