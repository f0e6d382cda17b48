"""What is exported in; the functions that are exported, with the names and shapes of all they take, out.

They work in float32, on any number of images at once, and use no randomness.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jvae.export.bundle import Bundle, directions
from jvae.models.model import joined, whole


@dataclasses.dataclass(frozen=True)
class Function:
    """What is exported under one name.

    Attributes:
      name: of its file.
      call: pure, of float32 arrays to a tuple of float32 arrays.
      inputs: name → shape, in which None stands for the size of a batch.
      outputs: their names.
      says: what it does, in words.
    """

    name: str
    call: Callable[..., tuple[jax.Array, ...]]
    inputs: dict[str, tuple[int | None, ...]]
    outputs: tuple[str, ...]
    says: str


def functions(bundle: Bundle) -> list[Function]:
    """The encoder and the decoder; and where there are vectors, edits."""
    model, vectors = bundle.model, bundle.vectors
    module, variables = model.config.model.module(jnp.float32), jax.device_get(model.variables)
    image, latent = (None, model.image_size, model.image_size, 3), (None, model.latent_dim)

    def encode(images: jax.Array) -> tuple[jax.Array, ...]:
        found: Any = module.apply(variables, images, method="encode")
        return tuple(joined(found))

    def decode(z: jax.Array) -> tuple[jax.Array, ...]:
        found: Any = module.apply(variables, z, method="decode")
        return (whole(found).image,)

    found = [
        Function("encoder", encode, {"image": image}, ("mean", "logvar"), "an image to its posterior"),
        Function("decoder", decode, {"z": latent}, ("image",), "a latent to an image"),
    ]
    if vectors is not None:
        steps = directions(vectors)

        def edit(images: jax.Array, factors: jax.Array) -> tuple[jax.Array, ...]:
            return decode(encode(images)[0] + factors.reshape(1, -1) @ steps)

        says = "an image and a factor for each attribute to the edited image"
        found.append(Function("edit", edit, {"image": image, "factors": (len(vectors),)}, ("edited",), says))
    return found
