"""A model's record and variables in; weights in safetensors with a config beside them, and back again, out."""

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jvae.errors import InputError, damaged
from jvae.io.fields import read_object
from jvae.io.files import seal, unseal, uri
from jvae.models.model import Variables, init_variables
from jvae.runtime.hashing import random_key
from jvae.training.checkpoint import digest_of
from jvae.training.run import CONFIG, Record, record_fields, record_of

WEIGHTS = "model.safetensors"
FORMAT = "jvae export 1"
HUB = "hf://"


def local(run: str | os.PathLike[str]) -> Path:
    """Where a run is on this disk; one on a hub, hf://OWNER/NAME or hf://OWNER/NAME@REVISION, is downloaded once.

    Raises:
      InputError: huggingface_hub is not installed, or the hub does not give it.
    """
    address = uri(run) or ""
    if not address.startswith(HUB):
        return Path(run)
    name, _, revision = address.removeprefix(HUB).strip("/").partition("@")
    if name.count("/") != 1:
        raise InputError(f"{address} names no model on a hub: give hf://OWNER/NAME")
    if not importlib.util.find_spec("huggingface_hub"):
        raise InputError(
            f"{address} needs the package huggingface_hub, which is not installed: pip install 'jvae[export]'"
        )
    from huggingface_hub import snapshot_download  # pyright: ignore[reportMissingImports]

    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=[CONFIG, WEIGHTS, "*.npz"]))
    except Exception as error:  # of the network, of the hub and of names, by a dozen classes
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(f"{address} cannot be had: {said}") from error


def is_exported(folder: Path) -> bool:
    """Whether `write_exported` has written here."""
    return (folder / WEIGHTS).is_file()


def write_exported(folder: Path, record: Record, step: int, variables: Variables) -> None:
    """Writes a model's weights and config into a folder.

    Args:
      folder: that is there.
      record: what the run says of itself.
      step: of the checkpoint.
      variables: of the model.

    Raises:
      InputError: safetensors is not installed.
      OSError: it cannot be written.
    """
    weights = {_name(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(jax.device_get(variables))}
    about = {"model_type": "jvae", "step": step, "digest": digest_of(variables)}
    (folder / WEIGHTS).write_bytes(_import("save")(weights, metadata={"format": "flax"}))
    fields = seal(about | record_fields(record, FORMAT))
    (folder / CONFIG).write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")


def read_exported(folder: Path) -> tuple[Record, int, Variables]:
    """What `write_exported` wrote: what the run says of itself, the checkpoint's step, and the variables.

    Raises:
      InputError: safetensors is not installed, a file is damaged, or a newer jvae wrote it.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise damaged(str(folder), f"it has no {CONFIG}")
    fields = read_object(path.read_bytes(), str(path))
    if fields.get("format") != FORMAT:
        raise InputError(f"{path} is of format {fields.get('format')!r} and this jvae reads {FORMAT!r}: update jvae")
    try:
        fields = unseal(fields)
    except ValueError as error:
        raise damaged(str(path), str(error)) from None
    step, digest = fields.pop("step", None), fields.pop("digest", None)
    fields.pop("model_type", None)
    record = record_of(fields, str(path))
    try:
        weights = _import("load_file")(folder / WEIGHTS)
    except InputError:
        raise
    except Exception as error:  # safetensors' own
        raise damaged(str(folder / WEIGHTS), str(error)) from None
    model = record.config.model
    shapes = jax.eval_shape(lambda key: init_variables(model.module(np.float32), model.image_size, key), random_key(0))

    def read(path: Any, like: jax.ShapeDtypeStruct) -> np.ndarray:
        found = weights.get(_name(path))
        if found is None or found.shape != like.shape:
            raise damaged(str(folder / WEIGHTS), f"it has no {_name(path)} of shape {list(like.shape)}")
        return found

    variables = jax.tree.map_with_path(read, shapes)
    if not isinstance(step, int) or digest_of(variables) != digest:
        raise damaged(str(folder / WEIGHTS), f"its weights are not those that {CONFIG} is of")
    return record, step, variables


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _import(function: str) -> Callable[..., Any]:
    """A function of the package safetensors, which an extra brings."""
    try:
        from safetensors import numpy
    except ImportError:
        raise InputError(
            "exported weights need the package safetensors, which is not installed: pip install 'jvae[export]'"
        ) from None
    return getattr(numpy, function)
