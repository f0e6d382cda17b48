"""Pictures as people have them in; examples, one by one in an order that never changes, out."""

from collections.abc import Callable
from typing import Any

from jvae.registry import find

# What `jvae pack` calls a source: where it is, imported when it is asked for.
SOURCES: dict[str, str] = {
    "rendered": "jvae.data.sources.rendered:RenderedFaces",
    "celeba": "jvae.data.sources.celeba:CelebAFolder",
    "folder": "jvae.data.sources.folder:FolderSource",
    "tfds": "jvae.data.sources.tfds:CelebATFDS",
}


def find_source(name: str) -> Callable[..., Any]:
    """What makes the source that SOURCES calls `name`; InputError with the nearest names when there is none."""
    return find("source", SOURCES, name)
