"""A model, its vectors and a judge in; what figures of them are of, and whether they say what they seem to, out."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jvae.errors import InputError, InputWarning
from jvae.io.fields import read_object
from jvae.judge.judge import Judge
from jvae.latent.kinds import Kind
from jvae.latent.vectors import AttributeVectors, Learned
from jvae.training.checkpoint import digest_of
from jvae.training.learned import judge_digest

SCORECARD = Path("scorecard", "scorecard.json")  # where `jvae scorecard` writes it, in a run


def origin_of(model: Any, vectors: AttributeVectors | None) -> dict[str, str]:
    """What tells a model and its vectors, of whatever kind, from others: the CRC-32 of each, by name.

    Args:
      model: a `jvae.trained.TrainedModel`.
      vectors: its vectors; None leaves them out.
    """
    found = {"model": model.digest}
    if vectors is not None:
        learned = {} if vectors.learned is None else {"learned": vectors.learned.vectors}
        found["vectors"] = digest_of({"sums": [part._asdict() for part in vectors.parts], **learned})
    return found


def read_scorecard(run: Path, model: Any, vectors: AttributeVectors | None, done: str) -> tuple[dict[str, Any], str]:
    """What `jvae scorecard` wrote in a run, nothing where it did not; and why not to trust it, "" where all is well.

    Args:
      run: directory of the run.
      model: a `jvae.trained.TrainedModel`.
      vectors: its vectors; None lets the scorecard be of any.
      done: what is done with both: "exported".

    Raises:
      InputError: the file is damaged.
    """
    path = run / SCORECARD
    if not path.is_file():
        return {}, ""
    found = read_object(path.read_bytes(), str(path))
    said = found.get("of")
    if isinstance(said, dict) and origin_of(model, vectors).items() <= said.items():
        return found, ""
    return found, f"{path} is of other weights or vectors than are {done}, or does not say of which"


def refuse_teacher(vectors: AttributeVectors, judge: Judge, kinds: Sequence[Kind]) -> None:
    """Raises InputError where vectors of a kind that is scored were trained by the judge that is to score them."""
    learned = vectors.learned if any(kind.name == "learned" for kind in kinds) else None
    if learned and judge_digest(judge) in learned.judges:
        raise InputError(
            "the learned vectors were trained by the judge that is given, which would find them better than they are: "
            "give another judge, of another seed, as `jvae judge --seed 1` trains one"
        )


def warn_of_teacher(model: Any, judge: Judge, learned: Learned | None = None) -> None:
    """An `InputWarning` where a model, a `jvae.trained.TrainedModel`, or learned vectors were trained by the judge."""
    digest = judge_digest(judge)
    pleased = ["the model was"] if model.teacher == digest else []
    pleased += ["learned vectors were"] if learned and digest in learned.judges else []
    if pleased:
        warnings.warn(
            f"{' and '.join(pleased)} trained to please the judge that scores it, which finds pictures and edits "
            "better than they are: let another one score it, as `jvae judge --seed 1` trains one",
            InputWarning,
            stacklevel=3,
        )


def warn_of_fit(vectors: AttributeVectors, split: str, store: Any) -> None:
    """An `InputWarning` where vectors are scored on the split that they were estimated on.

    Args:
      vectors: the vectors.
      split: split that is scored.
      store: store that is scored.
    """
    origin = vectors.origin
    if origin.split == split:
        warnings.warn(
            f"the vectors were estimated on the split {split} of {origin.store or 'a store'}, and are scored on the "
            f"split {split} of {store.path.name}: of the same images that says how well they fit, and no more; score "
            "another split, or estimate them on another, as `jvae vectors --split train` does",
            InputWarning,
            stacklevel=3,
        )
