"""The command `jvae`: which subcommands there are, and how each is found.

A subcommand NAME is the module jvae.cli.NAME (with _ for -), imported only when it is chosen. It has a function `main`,
whose annotated signature and docstring are its flags. Where those depend on its first word, it has instead
`choose(words)`, which gives the function and the words that are left for it, `--help` as a first word included; and
WORDS, the first words there are, from which Tab completes.
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from jvae.cli.run import call, plainly
from jvae.errors import unknown

GROUPS = {
    "From pictures to a trained model": {
        "pack": "decode pictures once into a packed store",
        "train": "train a model on a store; the same command again resumes",
        "sweep": "train many models at once, in one compiled program",
        "prepare-tfds": "make a TFDS data set of CelebA's files, downloaded by hand",
        "convert-tfds": "convert a TFDS build of celeb_a to ArrayRecord",
    },
    "Attribute vectors": {
        "vectors": "estimate all attribute vectors of a run in one pass",
        "explore": "open a page with a slider for every attribute",
        "edit": "move faces, or the face in a photograph, along an attribute",
        "neighbourhood": "change one face along two attributes at once",
        "scores": "show how well each vector tells its attribute",
        "map": "show which vectors point the same way",
    },
    "Between faces": {
        "morph": "morph one face into another, or round through several",
        "sheet": "draw what lies between four faces",
        "analogy": "draw an analogy: a is to b as c is to what?",
    },
    "What a model has learnt": {
        "reconstruct": "show originals over their reconstructions",
        "sample": "draw new faces",
        "traverse": "walk along the latent dimensions that carry most",
        "posterior": "compare the latents with the standard normal",
        "judge": "train the classifier that edits are judged by",
        "scorecard": "score edits, reconstructions and samples of a run",
        "export": "write a run as files that others open: a model hub, ONNX, StableHLO, a web page",
    },
    "Keeping house": {
        "runs": "list runs: where each stands, and its best score",
        "watch": "follow a training from another shell: its curve, and the time left",
        "check": "verify every checksum of a store, a run or a file",
        "completion": "print what makes Tab complete these commands, for bash or zsh",
    },
}
COMMANDS = tuple(name for group in GROUPS.values() for name in group)


def main() -> None:
    """Runs the subcommand that the command line names; exits 2 where there is none of that name."""
    with plainly(sys.argv[1:]) as words:
        if not words or words[0] in ("-h", "--help"):
            print(overview())
            return
        name, *rest = words
        function, left = find_command(name, rest)
        call(function, left, " ".join(["jvae", name, *rest[: len(rest) - len(left)]]))


def find_command(name: str, words: Sequence[str] = ()) -> tuple[Callable[..., Any], list[str]]:
    """The function of a subcommand, and which of the words after its name are left for it.

    Raises:
      InputError: there is no such subcommand, or it does not take these words.
    """
    if name not in COMMANDS:
        raise unknown("command", name, COMMANDS)
    module = importlib.import_module(f"jvae.cli.{name.replace('-', '_')}")
    return module.choose(list(words)) if hasattr(module, "choose") else (module.main, list(words))


def overview() -> str:
    """What `jvae --help` prints."""
    lines = [
        "usage: jvae COMMAND [flags]",
        "",
        "Trains a variational autoencoder on faces, and works in its latent space.",
    ]
    for title, group in GROUPS.items():
        lines += ["", f"{title}:", *(f"  {name:15s}{does}" for name, does in group.items())]
    return "\n".join([*lines, "", "jvae COMMAND --help lists the flags of a command."])
