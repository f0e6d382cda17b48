"""`jvae scorecard`: whether edits do what they say, and how good reconstructions and samples are."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from jvae.cli.annotated import Many, Maybe
from jvae.cli.flags import Trained, VectorFile
from jvae.data.faces import pick_faces
from jvae.errors import InputError
from jvae.evaluate import card
from jvae.evaluate.edits import leak_matrix
from jvae.evaluate.identity import PHOTOGRAPHS
from jvae.evaluate.inception import Inception
from jvae.io.files import replacing
from jvae.judge.judge import Judge
from jvae.latent.kinds import FUNCTIONS, Kind
from jvae.latent.trajectories import apply_vector
from jvae.latent.vectors import AttributeVectors
from jvae.render.charts import save_matrices
from jvae.render.page import save_page
from jvae.render.sheet import sheet
from jvae.runtime.processes import is_main, together
from jvae.trained import load_vectors

BALANCE, KEEP = ("Male",), ("Male", "Young")  # where there are such attributes


@together
def main(
    trained: Trained,
    judge: Path,
    balance: Maybe[tuple[str, ...]] = None,
    keep: Maybe[tuple[str, ...]] = None,
    attributes: Many[str] = (),
    edits: int = 64,
    least_auc: float = card.LEAST_AUC,
    truth: Maybe[int] = None,
    inception: Maybe[Path] = None,
    identity: Literal["auto", "dlib", "judge", "none"] = "auto",
    photographs: int = PHOTOGRAPHS,
    painted: bool = False,
    file: VectorFile = VectorFile(),
    out: Maybe[Path] = None,
) -> None:
    """Scores the edits of every kind of vector, reconstructions and samples of a run, on the test split.

    Shows the table and writes a directory: page.png (all of it, to look at), attributes.csv (a row a kind and
    attribute), leakage.png (large) and scorecard.json (everything).

    Args:
      judge: file or run directory of the judge, a classifier of photographs that `jvae judge` trains.
      balance: attributes by whose groups the balanced vectors average (default: Male, where it is one).
      keep: attributes that the conditional vectors leave as they are (default: those of Male and Young there are).
      attributes: attributes to edit (default: all that the judge tells and that have a vector).
      edits: number of faces to edit, for each attribute.
      least_auc: area under the ROC curve from which on the judge tells an attribute well enough to count.
      truth: seed of rendered faces against which edits are held, another than the store's; only for a rendered store.
      inception: file of InceptionV3's weights (.npz or .safetensors), for Fréchet distances in its features as well.
      identity: whose descriptor says whether pictures are of the same person: dlib's, which the extra identity
        installs, or the judge's features (auto: dlib's where it is installed and the store is of CelebA or of rendered
        faces; none: leave it out).
      photographs: number of test images, at most, among which a face's own is looked for.
      painted: whether edits are judged as painted onto the photographs, as by `jvae edit --paint change`, and not as
        decoded.
      out: directory to write (default: scorecard/ in the run).
    """
    if edits < 2:
        raise InputError(f"edits={edits} must be at least 2")
    out = out or trained.run / "scorecard"
    model, store = trained.open()
    known, judging = load_vectors(trained.run, model, file.vectors), Judge.load(judge, mesh=model.mesh)
    kinds = choose_kinds(known, balance, keep)
    result = card.scorecard(
        model,
        known,
        judging,
        store,
        kinds=kinds,
        edited=attributes or None,
        faces=edits,
        least_auc=least_auc,
        truth=truth,
        inception=Inception.load(inception, mesh=model.mesh) if inception else None,
        identity=identity,
        photographs=photographs,
        painted=painted,
        report=print,
    )
    lines = [*result.summary().to_string(float_format="{:.3f}".format).splitlines(), "", *result.lines()]
    print("\n".join(lines))
    two = (Kind(), Kind("regression"))
    some = pick_faces(store, 1, split="test", seed=0)
    z, best, factors = model.encode(some.images), result.best_attributes(6), np.arange(-3, 4)
    known_two = [known.of_kind(kind) for kind in two]
    rows = [apply_vector(z, of_kind[name], factors, "sd", model)[0] for name in best for of_kind in known_two]
    if not is_main():
        return
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / "scorecard.json") as part:
        part.write_text(json.dumps(result.as_json(), indent=1) + "\n")
    with replacing(out / "attributes.csv") as part:
        pd.concat({str(kind): result.table(kind) for kind in result.edits}, names=["kind"]).to_csv(part)
    matrices = {str(kind): leak_matrix(result.edits[kind], result.judged) for kind in two}
    title = "Share of faces in which a judgement turned over: a row an edit, a column a judgement"
    save_matrices(out / "leakage.png", matrices, result.judged, title=title)
    picture = sheet(
        np.stack(rows),
        rows=[text for name in best for text in (name, "")],
        columns=[f"{factor:+d} sd" if factor else "0" for factor in factors],
        title=f"The attributes whose edits land best, by {two[0]} and, below, by {two[1]}: {some.names[0]}",
    )
    save_page(
        out / "page.png",
        title=f"{trained.run.name}: scorecard",
        lines=lines,
        curves={str(kind): result.curve(kind) for kind in result.edits} if result.shared() else {},
        axes=("leakage, mean", "hits, mean over attributes and faces"),
        matrices={f"{heading}: judgements turned over": matrix for heading, matrix in matrices.items()},
        names=result.judged,
        picture=picture,
    )
    print(f"wrote {out}")


def choose_kinds(
    known: AttributeVectors, balance: tuple[str, ...] | None, keep: tuple[str, ...] | None
) -> tuple[Kind, ...]:
    """The kinds that are scored; those that need attributes to balance or to keep only where there are some.

    Args:
      known: the vectors of the run, of any kind.
      balance: attributes to balance; None is those of `BALANCE` there are.
      keep: attributes to keep; None is those of `KEEP` there are.
    """
    found, there = [], known.of_kind(Kind())  # a kind that keeps an attribute has no vector of it
    for wanted, default, what in ((balance, BALANCE, "balanced"), (keep, KEEP, "conditional")):
        names = tuple(name for name in default if name in there) if wanted is None else wanted
        if not names:
            print(f"kind {what} is left out: no attribute is {' or '.join(default)}, and the flags name no other")
        found.append(names)
    balance, keep = found
    plain = [Kind(name) for name in FUNCTIONS if name not in ("difference", "conditional")]
    kinds = [Kind(), *([Kind("balanced", balance=balance)] if balance else []), *plain]
    if known.learned:
        kinds.append(Kind("learned"))
    return (*kinds, *([Kind("conditional", keep=keep), Kind("regression", keep=keep)] if keep else []))
