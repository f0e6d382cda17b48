"""Images in; which attributes they show, by a classifier that knows only photographs, and how far to trust it, out."""

import dataclasses
import functools
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
from jax.sharding import Mesh

from jvae.data.augment import blur
from jvae.errors import InputError, InputWarning, unknown
from jvae.io.arrays import read_npz
from jvae.io.fields import build, read_object
from jvae.io.files import replacing
from jvae.judge.net import MOST_BLOCKS, Features, JudgeNet, Logits, init_judge
from jvae.judge.ranking import balanced_accuracy, roc_auc
from jvae.models.model import Variables, to_float
from jvae.runtime.hashing import random_key
from jvae.runtime.mesh import make_mesh, map_rows, put, replicated

FORMAT = "jvae judge 1"
JUDGE = "judge.npz"  # in a run directory
BATCH = 128
SOFT = 1.5 / 64  # standard deviation of a blur such as a VAE's, of the image's size
LARGEST = 4096  # pixels of an image's side
MEASURES = ("accuracy", "balanced", "auc")
COLUMNS = ("n", "share", "majority", *MEASURES, *(f"soft {name}" for name in MEASURES))


class Judge:
    """A classifier of attributes, whole on every device of a mesh.

    Attributes:
      attribute_names: names of the a attributes that it judges.
      image_size: height and width of its images in pixels.
      variables: parameters and running statistics, on the devices.
      thresholds: [a] float64, the logits from which on it says that an attribute is there.
      scores: scores of its own, on images that it was not trained on; a row an attribute. Columns: n (images), share
        (of them that have it), majority (accuracy of always saying what most are), accuracy, balanced (mean of the
        accuracies with and without it; guessing: .5), auc (area under the ROC curve), and these three on softened
        images, "soft …".
      missing: attribute -> why it is not judged.
      net: its network.
      crop: how the images that it learnt from were cut, one of `jvae.data.decode.CROPS`; "" where that is not known.
      mesh: devices that it works on.
      logits_fn: pure function: variables, float32 [b,h,w,3] in [0, 1] → logits [b,a] float32.
      features_fn: pure function: the same → features [b,128] float32, which the logits are linear in.
    """

    def __init__(
        self,
        attribute_names: Sequence[str],
        image_size: int,
        variables: Variables,
        thresholds: np.ndarray,
        scores: pd.DataFrame,
        missing: Mapping[str, str] | None = None,
        *,
        blocks: int = 0,
        crop: str = "",
        mesh: Mesh | None = None,
    ) -> None:
        self.attribute_names, self.image_size, self.crop = tuple(attribute_names), image_size, crop
        self.thresholds, self.scores, self.missing = np.asarray(thresholds, np.float64), scores, dict(missing or {})
        self.mesh = make_mesh() if mesh is None else mesh
        self.net = JudgeNet(len(self.attribute_names), image_size, blocks=blocks)
        if problem := self._misfit(variables):
            raise InputError(f"this is no judge: {problem}")
        self.variables = put(variables, replicated(self.mesh))
        self.logits_fn, self.features_fn = Logits(self.net), Features(self.net)

    def attribute(self, name: str) -> int:
        """The column of attribute `name`; InputError with the reason or the nearest names when it is not judged."""
        if name in self.attribute_names:
            return self.attribute_names.index(name)
        if name in self.missing:
            raise InputError(f"{name} is not judged: {self.missing[name]}")
        raise unknown("attribute", name, self.attribute_names)

    def logits(self, images: np.ndarray, *, soft: bool = False) -> np.ndarray:
        """Logits [n,a] float32 of uint8 images [n,h,w,3], any n; compiled once.

        Args:
          images: uint8 [n,h,w,3] of the judge's size.
          soft: blur them first, as a VAE might.

        Raises:
          InputError: the images are of another size or type.
        """
        shape = (self.image_size, self.image_size, 3)
        if images.ndim != 4 or images.shape[1:] != shape or images.dtype != np.uint8:
            raise InputError(f"images must be uint8 [n,{shape[0]},{shape[1]},3], not {images.dtype} {images.shape}")
        return batched_logits(self.logits_fn, self.variables, images, np.arange(len(images)), self.mesh, soft=soft)

    def warn_unless_cut_alike(self, store: Any) -> None:
        """An `InputWarning` where images are cut in another way than those that the judge learnt from.

        Args:
          store: a store of the images, or a `jvae.trained.TrainedModel` of such, which may not know.
        """
        if self.crop and self.crop != (crop := getattr(store, "crop", None) or self.crop):
            whose = getattr(store, "path", "the store that the run was trained on")
            warnings.warn(
                f"the judge learnt from images of the crop {self.crop}, and those of {whose} are cut by the crop "
                f"{crop}: train a judge on the same store",
                InputWarning,
                stacklevel=2,
            )

    def says(self, logits: np.ndarray) -> np.ndarray:
        """Which attributes are there, [...,a] bool, by the logits [...,a]."""
        return np.asarray(logits) >= self.thresholds

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes an .npz without pickles, whole or not at all.

        Raises:
          OSError: it cannot be written; what was there is as it was.
        """
        arrays: dict[str, Any] = _flat(jax.device_get(self.variables))
        about = {"image_size": self.image_size, "blocks": self.net.blocks, "missing": self.missing, "crop": self.crop}
        with replacing(path) as part, open(part, "wb") as file:
            np.savez(
                file,
                format=np.array(FORMAT),
                about=np.array(json.dumps(about)),
                attribute_names=np.array(self.attribute_names, np.str_),
                thresholds=self.thresholds,
                scores=self.scores[list(COLUMNS)].to_numpy(np.float64),
                **arrays,
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str], mesh: Mesh | None = None) -> "Judge":
        """Reads what `save` wrote.

        Args:
          path: file, or run directory of the judge.
          mesh: devices to work on; None takes all there are.

        Raises:
          InputError: there is no such file, or it is damaged or not of this kind.
        """
        path = Path(path) / JUDGE if Path(path).is_dir() else path
        try:
            npz = read_npz(path)
        except FileNotFoundError as error:
            raise InputError(f"there is no judge at {path}: jvae judge trains one") from error
        plain = ("format", "about", "attribute_names", "thresholds", "scores")
        if lacking := set(plain) - npz.keys():
            raise InputError(f"{path} is damaged or holds no judge: it has no {min(lacking)}")
        kind, about, names, thresholds, scores = (npz.pop(name) for name in plain)
        if str(kind) != FORMAT:
            raise InputError(f"{path} is of format {str(kind)!r}, not {FORMAT!r}: train it again")
        about = build(_About, read_object(str(about), f"about in {path}"), f"about in {path}")
        names = tuple(names.astype(str).ravel().tolist())
        if thresholds.dtype.kind != "f" or scores.dtype.kind != "f" or scores.shape != (len(names), len(COLUMNS)):
            raise InputError(f"{path} is damaged: thresholds and scores are of other attributes")
        try:
            table = pd.DataFrame(scores, _index(names), COLUMNS)
            how = {"blocks": about.blocks, "crop": about.crop, "mesh": mesh}
            return cls(names, about.image_size, _nested(npz), thresholds, table, about.missing, **how)
        except InputError as error:
            raise InputError(f"{path} is damaged: {error}") from None

    def _misfit(self, variables: Variables) -> str | None:
        """What does not fit together, or None."""
        a = len(self.attribute_names)
        if not 1 <= self.image_size <= LARGEST:
            return f"it takes images of {self.image_size} pixels, and {LARGEST} are the most"
        if not a or len(set(self.attribute_names)) < a:
            return f"{a} attributes, {len(set(self.attribute_names))} of them different"
        if self.thresholds.shape != (a,) or not np.isfinite(self.thresholds).all():
            return f"{a} attributes need as many finite thresholds, not {self.thresholds.shape}"
        if tuple(self.scores.index) != self.attribute_names or not set(COLUMNS) <= set(self.scores.columns):
            return "its scores are of other attributes"
        if not 0 <= self.net.blocks <= MOST_BLOCKS:
            return f"its network has {self.net.blocks} blocks after a convolution, and {MOST_BLOCKS} are the most"
        shapes = jax.eval_shape(functools.partial(init_judge, self.net), random_key(0))
        like, found = _flat(shapes), _flat(variables)
        if like.keys() != found.keys():
            return f"variables are missing or too many: {', '.join(sorted(like.keys() ^ found.keys()))}"
        for key, leaf in like.items():
            value = np.asarray(found[key])
            if value.shape != leaf.shape or value.dtype != leaf.dtype:
                return f"{key} is {value.dtype} {list(value.shape)}, not {leaf.dtype} {list(leaf.shape)}"
            if not np.isfinite(value).all():
                return f"{key} is not finite"
        return None


def check_sizes(judges: Sequence[Judge], image_size: int, deed: str) -> None:
    """Raises `InputError` unless all judge images of a model's size: others cannot do the `deed`: "choose for"."""
    for judge in judges:
        if judge.image_size != image_size:
            raise InputError(
                f"a judge of images of {judge.image_size} pixels cannot {deed} a model of images of {image_size}: "
                "train a judge on the same store"
            )


def reading(judge: Judge, names: Sequence[str]) -> tuple[Variables, np.ndarray, np.ndarray]:
    """What reads attributes off a judge: its variables, int [a], the columns of its logits, and float32 [a], from which
    logits on they are there. Raises `InputError` where it does not know one.
    """
    columns = np.array([judge.attribute(name) for name in names])
    return judge.variables, columns, judge.thresholds[columns].astype(np.float32)


def batched_logits(
    logits_fn: Logits, variables: Variables, images: np.ndarray, rows: np.ndarray, mesh: Mesh, *, soft: bool = False
) -> np.ndarray:
    """Logits [m,a] float32 of the `rows` [m] of uint8 images [n,h,w,3], softened if `soft`, in batches of one size."""
    batch = functools.partial(_batch, logits_fn, variables, soft=soft)
    return map_rows(batch, (images, rows), mesh=mesh, size=BATCH)


@functools.partial(jax.jit, static_argnums=0, static_argnames="soft")
def _batch(logits_fn: Logits, variables: Variables, images: jax.Array, *, soft: bool) -> jax.Array:
    x = to_float(images)
    if soft:
        x = blur(x, jax.numpy.full((x.shape[0],), SOFT * x.shape[1]))
    return logits_fn(variables, x)


def score_judge(
    attribute_names: Sequence[str], thresholds: np.ndarray, attrs: np.ndarray, sharp: np.ndarray, soft: np.ndarray
) -> pd.DataFrame:
    """The table that `Judge.scores` is.

    Args:
      attribute_names: of the a attributes.
      thresholds: [a].
      attrs: [n,a] bool, each attribute with and without.
      sharp: [n,a], logits of the images.
      soft: [n,a], logits of the images softened.
    """
    rows = []
    for i, threshold in enumerate(thresholds):
        has = attrs[:, i]
        share = float(has.mean())
        row = {"n": len(has), "share": share, "majority": max(share, 1 - share)}
        for prefix, logits in (("", sharp[:, i]), ("soft ", soft[:, i])):
            said = logits >= threshold
            row[f"{prefix}accuracy"] = float((said == has).mean())
            row[f"{prefix}balanced"] = balanced_accuracy(said, has)
            row[f"{prefix}auc"] = roc_auc(logits, has)
        rows.append(row)
    return pd.DataFrame(rows, _index(attribute_names), COLUMNS, dtype=np.float64)


@dataclasses.dataclass(frozen=True)
class _About:
    image_size: int
    missing: dict[str, str]
    blocks: int = 0
    crop: str = ""


def _index(names: Sequence[str]) -> pd.Index:
    return pd.Index(names, name="attribute")


def _flat(tree: Any) -> dict[str, Any]:
    """Leaves by path, "params/head/bias"."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in jax.tree.leaves_with_path(tree)
    }


def _nested(flat: Mapping[str, Any]) -> Variables:
    tree: Variables = {}
    for key, leaf in flat.items():
        *rooms, last = key.split("/")
        try:
            functools.reduce(lambda node, room: node.setdefault(room, {}), rooms, tree)[last] = leaf
        except (AttributeError, TypeError, IndexError):  # of an array
            raise InputError(f"{key} lies within an array") from None
    return tree
