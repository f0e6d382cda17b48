"""`jvae pack`: pictures of any source, each decoded once, as a packed store.

The first word is a source; its flags are those of what makes it, by signature and docstring, and those of every pack.
"""

import inspect
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from jvae.cli.annotated import Maybe, without_none
from jvae.data.packed import pack
from jvae.data.sources import SOURCES, find_source
from jvae.errors import InputError

WORDS = tuple(SOURCES)


def choose(words: list[str]) -> tuple[Callable[..., Any], list[str]]:
    """The function for a source, which is the first word, and the words after it.

    Raises:
      InputError: there is no word, or no such source.
    """
    if not words:
        raise InputError(f"name what to pack: jvae pack {', '.join(WORDS)}; jvae pack NAME --help shows its flags")
    if words[0] in ("-h", "--help"):
        return overview, words
    return _command(find_source(words[0])), words[1:]


def overview() -> None:
    """Packs pictures into a store: jvae pack SOURCE [PATH] --out DIRECTORY; jvae pack SOURCE --help shows its flags."""


overview.__doc__ = f"{overview.__doc__}\n\nSources: {', '.join(WORDS)}."


def pack_source(
    source: Any,
    *,
    out: Path,
    size: int = 64,
    crop: Literal["center", "squash", "rendered"] = "center",
    count: Maybe[int] = None,
    skip_bad: bool = False,
    workers: Maybe[int] = None,
    overwrite: bool = False,
) -> None:
    """Packs a source and says what came of it.

    Args:
      source: what to pack.
      out: directory to make.
      size: height and width of the packed images in pixels, a multiple of 16.
      crop: what to keep of an image: the 148x148 in the centre of CelebA's 178x218, or the largest centred square of
        another shape (center); all of it, squashed (squash); or what frames a face as rendered faces are framed
        (rendered).
      count: number of images to pack, from all over the source (default: all).
      skip_bad: leave out images that cannot be read instead of stopping.
      workers: number of decoding threads (default: one a core).
      overwrite: replace the store that is there.
    """
    if message := getattr(source, "message", ""):
        print(message)
    start = time.perf_counter()
    store = pack(
        source, out, size=size, crop=crop, count=count, skip_bad=skip_bad, workers=workers, overwrite=overwrite
    )
    seconds = time.perf_counter() - start
    splits = ", ".join(f"{n} {split}" for split, n in store.meta.counts.items())
    skipped = f"; {len(store.meta.skipped)} could not be read" if store.meta.skipped else ""
    print(f"{out}: {len(store)} images ({splits}){skipped}, {size}x{size}, {len(store) / seconds:.0f} images/s")


def _command(make: Callable[..., Any]) -> Callable[..., None]:
    """A function whose signature and docstring are those of `make`, a source, with those of `pack_source` pack.

    `path` is given without a flag. What both take, such as `size` where a source draws, is said by `make` and is for
    both; its `count` is all there are.
    """
    own, every = inspect.signature(make).parameters, dict(inspect.signature(pack_source).parameters)
    del every["source"]

    def main(*path: Path, **flags: Any) -> None:
        source = make(*path, **{name: flags[name] for name in own if name in flags})
        if "count" in own:
            flags["count"] = None
        pack_source(source, **{name: value for name, value in flags.items() if name in every})

    together = {"out": every["out"], **own, **{name: p for name, p in every.items() if name not in own}}
    parameters = [without_none(p.replace(kind=p.KEYWORD_ONLY)) for p in together.values() if p.name != "path"]
    if "path" in own:
        parameters.insert(0, own["path"].replace(kind=inspect.Parameter.POSITIONAL_ONLY, annotation=Path))
    about = _described(pack_source) | _described(make) | _described(getattr(make, "__init__", make))
    lines = [f"  {p.name}: {about.get(p.name, '')}" for p in parameters]
    setattr(main, "__signature__", inspect.Signature(parameters))  # noqa: B010
    main.__annotations__ = {p.name: p.annotation for p in parameters}
    main.__doc__ = f"Packs a source into a store: {_summary(make)}\n\nArgs:\n" + "\n".join(lines)
    return main


def _summary(make: Callable[..., Any]) -> str:
    """The first paragraph of its docstring, as it follows a colon."""
    text = (inspect.getdoc(make) or "").partition("\n\n")[0]
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def _described(function: Callable[..., Any]) -> dict[str, str]:
    """What its docstring says of each argument."""
    doc = f"{inspect.getdoc(function) or ''}\n\n"
    block = re.search(r"^Args:\n(.*?)\n\n", doc, re.MULTILINE | re.DOTALL)
    found = re.findall(r"^  (\w+): (.*(?:\n   .*)*)", block[1] if block else "", re.MULTILINE)
    return {name: re.sub(r"\s*\n\s*", " ", text) for name, text in found}
