"""A file of InceptionV3's weights in; the features that published Fréchet distances are computed in, out."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jvae.errors import InputError
from jvae.evaluate.inception_net import InceptionFeatures, InceptionV3, shapes
from jvae.io.arrays import read_npz
from jvae.runtime.mesh import make_mesh, replicated

ORIGINAL, TORCHVISION = 1008, 1000  # classes that the weights were trained for, which tells whose they are
_LEAVES = {  # by the end of torchvision's name: collection, module and leaf of ours
    "conv.weight": ("params", "conv", "kernel"),
    "bn.weight": ("params", "bn", "scale"),
    "bn.bias": ("params", "bn", "bias"),
    "bn.running_mean": ("batch_stats", "bn", "mean"),
    "bn.running_var": ("batch_stats", "bn", "var"),
}


class Inception:
    """InceptionV3 with its weights, whole on every device of a mesh.

    Attributes:
      name: whose weights they are: distances in one's features say nothing of the other's.
      variables: on the devices.
      features_fn: pure: variables, float32 [b,h,w,3] in [0, 1] → features [b,2048] float32.
    """

    def __init__(self, weights: Mapping[str, np.ndarray], *, mesh: Mesh | None = None) -> None:
        """From arrays by torchvision's names, convolutions' kernels [out,in,h,w].

        Raises:
          InputError: one is missing, or has another shape.
        """
        classes = len(weights["fc.weight"]) if "fc.weight" in weights else 0
        if classes not in (ORIGINAL, TORCHVISION):
            raise InputError(
                f"weights for {classes} classes (fc.weight): give those of 2015 that Fréchet distances are computed "
                f"with ({ORIGINAL}), or torchvision's ({TORCHVISION})"
            )
        self.name = f"InceptionV3 ({'2015-12-05' if classes == ORIGINAL else 'torchvision'})"
        mesh = make_mesh() if mesh is None else mesh
        self.variables = jax.device_put(_variables(weights), replicated(mesh))
        self.features_fn = InceptionFeatures(InceptionV3(original=classes == ORIGINAL))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, mesh: Mesh | None = None) -> "Inception":
        """Reads torchvision's state_dict, or pytorch-fid's, as .npz or .safetensors.

        A .pth is a pickle and not read here; PyTorch makes an .npz of it:
        `numpy.savez("inception.npz", **torch.load("….pth", weights_only=True))`.

        Raises:
          InputError: there is no such file, it is damaged, in another format, or of another network.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(f"there are no weights at {path}: give an .npz or .safetensors file of InceptionV3")
        try:
            if path.suffix == ".npz":
                weights = read_npz(path)
            elif path.suffix == ".safetensors":
                weights = _read_safetensors(path)
            else:
                raise InputError(f"{path} is neither .npz nor .safetensors, as weights must be: convert it")
        except InputError:
            raise
        except (ValueError, KeyError) as error:
            raise InputError(f"{path} is damaged or holds no weights: {error}") from error
        try:
            return cls(weights, mesh=mesh)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError:
        raise InputError(
            f"{path} needs the package safetensors: install the extra inception, or give an .npz"
        ) from None
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _variables(weights: Mapping[str, np.ndarray]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, like in jax.tree.leaves_with_path(shapes()):
        collection, *rooms, module, leaf = (key.key for key in path)
        end = next(end for end, ours in _LEAVES.items() if ours == (collection, module, leaf))
        name = ".".join((*rooms, end))
        if name not in weights:
            raise InputError(f"there is no {name} among the weights: they are of another network")
        value = np.asarray(weights[name], np.float32)
        value = value.transpose(2, 3, 1, 0) if leaf == "kernel" and value.ndim == 4 else value
        if value.shape != like.shape or not np.isfinite(value).all():
            wrong = "is not finite" if value.shape == like.shape else f"has the shape {list(value.shape)}"
            raise InputError(f"{name} {wrong}: the weights are of another network, or damaged")
        node = tree
        for room in (collection, *rooms, module):
            node = node.setdefault(room, {})
        node[leaf] = value
    return tree
