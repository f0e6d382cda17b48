"""A run, its vectors and a judge in; one scorecard out: edits of every kind, reconstruction, samples."""

import dataclasses
import functools
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd

from jvae.data.packed import PackedStore
from jvae.data.source import spread
from jvae.errors import InputError, InputWarning
from jvae.evaluate.edits import FACTORS, MOST_LEAKAGE, WANTED_HITS, Edit, judge_edits
from jvae.evaluate.identity import PHOTOGRAPHS, Identity, features_of, find_descriptor, score_identity
from jvae.evaluate.inception import Inception
from jvae.evaluate.provenance import origin_of, refuse_teacher, warn_of_fit, warn_of_teacher
from jvae.evaluate.similarity import frechet_distance, ssim
from jvae.evaluate.truth import Truth, check_truth, edit_truth, rendered_pairs
from jvae.judge.judge import Judge, batched_logits, check_sizes
from jvae.latent.kinds import Kind, as_kind
from jvae.latent.priors import COMPONENTS, aggregate, mixture_of_faces, standard_normal
from jvae.latent.vectors import AttributeVectors
from jvae.models.model import to_float
from jvae.runtime.mesh import map_rows, put, replicated
from jvae.trained import check_origin
from jvae.training.learned import judge_digest
from jvae.training.validation import Scores

BATCH = 128
LEAST_AUC = 0.9
TRUTHS = ("Eyeglasses", "Smiling", "Wearing_Hat")


@dataclasses.dataclass(frozen=True)
class Scorecard:
    """What `scorecard` finds.

    Attributes:
      edits: kind of vector -> attribute -> what its edit did.
      judged: attributes that the judge tells well, whose flips count as leakage.
      judge: scores of the judge itself, a row an attribute.
      reconstruction: scores of the reconstructions of the test split.
      ssim: mean structural similarity of reconstructions.
      agreement: share of its judgements that the judge makes alike of reconstructions and photographs, over all
        attributes that it knows.
      frechet: whose features -> name of the distribution -> Fréchet distance of its samples to the test split in them.
      truth: kind -> attribute -> the edit beside the face rendered with the attribute.
      seconds: time that it took.
      identity: whether reconstructions and edits are of the same people; None where that was left out.
      of: what all of this is of: digests of the model, the vectors and the judge, the model's step, and whether edits
        were painted.
    """

    edits: dict[Kind, dict[str, Edit]]
    judged: list[str]
    judge: pd.DataFrame
    reconstruction: Scores
    ssim: float
    agreement: float
    frechet: dict[str, dict[str, float]]
    truth: dict[Kind, dict[str, Truth]]
    seconds: float
    identity: Identity | None = None
    of: dict[str, Any] = dataclasses.field(default_factory=dict)

    def shared(self) -> list[str]:
        """The attributes that every kind could edit, by which kinds are compared."""
        return [name for name in self.judged if all(name in edits for edits in self.edits.values())]

    def summary(self) -> pd.DataFrame:
        """A row a kind of vector, over the attributes that all kinds could edit.

        Columns: attributes; hits (the mean largest share of hits at no more than MOST_LEAKAGE of leakage, the figure
        that sums a kind up); reached (share of attributes that reach WANTED_HITS); leakage, drift, ssim and moved there
        (means over the attributes that reach it with every kind); factor (mean smallest that does, in standard
        deviations); same (the mean share of edited faces that are of the same person, where that was looked at).
        """
        names = self.shared()
        everywhere = [name for name in names if all(e[name].smallest() is not None for e in self.edits.values())]
        rows = {}
        for kind, edits in self.edits.items():
            at = {name: edits[name].smallest() or 0 for name in everywhere}
            rows[str(kind)] = {
                "attributes": len(names),
                f"hits at {MOST_LEAKAGE:.0%}": _mean([edits[name].hits_at() for name in names]),
                "reached": _mean([edits[name].smallest() is not None for name in names]),
                f"leakage at {WANTED_HITS:.0%}": _mean([edits[name].leakage_at() for name in everywhere]),
                "drift": _mean([edits[name].drift[i] for name, i in at.items()]),
                "ssim": _mean([edits[name].ssim[i] for name, i in at.items()]),
                "moved": _mean([edits[name].moved[i] for name, i in at.items()]),
                "factor": _mean([FACTORS[i] for i in at.values()]),
            }
            if self.identity:
                kept = self.identity.edits[kind]
                rows[str(kind)]["same"] = _mean([kept[name].after for name in names if name in kept])
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("kind")

    def curve(self, kind: Kind) -> tuple[np.ndarray, np.ndarray]:
        """Leakage [f] and hits [f] at each factor, means over the attributes that all kinds could edit."""
        edits = [self.edits[kind][name] for name in self.shared()]
        return np.mean([edit.leakage for edit in edits], axis=0), np.mean([edit.hits for edit in edits], axis=0)

    def table(self, kind: Kind) -> pd.DataFrame:
        """A row an attribute edited by one kind of vector; columns as in `summary`, and faces.

        Of the same person are a share "same" of faces edited by "same factor", "same before" of them unedited.
        """
        rows = {}
        for name, edit in self.edits[kind].items():
            at = edit.smallest()
            rows[name] = {
                "faces": edit.faces,
                f"hits at {MOST_LEAKAGE:.0%}": edit.hits_at(),
                "most hits": float(edit.hits.max()),
                f"leakage at {WANTED_HITS:.0%}": edit.leakage_at(),
                "drift": float("nan") if at is None else float(edit.drift[at]),
                "ssim": float("nan") if at is None else float(edit.ssim[at]),
                "moved": float("nan") if at is None else float(edit.moved[at]),
                "factor": float("nan") if at is None else float(FACTORS[at]),
            }
            if self.identity and (kept := self.identity.edits[kind].get(name)):
                rows[name] |= {"same": kept.after, "same before": kept.before, "same factor": kept.factor}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("attribute")

    def lines(self) -> list[str]:
        """What is not in the table, a line each: the judge, reconstructions, identity, samples, truth."""
        r, own = self.reconstruction, self.judge.mean()
        return [
            f"judge: {len(self.judged)} of {len(self.judge)} attributes judged; over all of them accuracy "
            f"{own['accuracy']:.3f}, balanced {own['balanced']:.3f}, area under the ROC curve {own['auc']:.3f}",
            f"reconstruction of {r['n']:,.0f} images: squared error {r['error']:.5f}, PSNR {r['psnr']:.2f} dB, "
            f"SSIM {self.ssim:.3f}, {r['bits_per_dim']:.3f} bits/dim, judged as the photographs {self.agreement:.3f}",
            *([self.identity.line()] if self.identity else []),
            *[
                f"Fréchet distance in the features of {whose}: "
                + ", ".join(f"{name} {distance:.2f}" for name, distance in found.items())
                for whose, found in self.frechet.items()
            ],
            *[
                f"truth, {kind}: "
                + ", ".join(f"{name} {t.closed:.0%} there, outside x{t.spoilt:.2f}" for name, t in truths.items())
                for kind, truths in self.truth.items()
            ],
        ]

    def best_attributes(self, count: int) -> list[str]:
        """The attributes whose edits land best with the least leakage, if possible of those that all kinds edit."""
        hits: dict[str, float] = {}
        for edits in self.edits.values():
            hits |= {name: max(np.nan_to_num(edit.hits_at()), hits.get(name, 0)) for name, edit in edits.items()}
        return sorted(self.shared() or hits, key=lambda name: -hits[name])[:count]

    def as_json(self) -> dict[str, Any]:
        """Everything, as numbers, strings, lists and dictionaries; what is not a number is null."""
        return _plain(
            {
                "of": self.of,
                "factors": FACTORS,
                "judged": self.judged,
                "judge": self.judge.to_dict("index"),
                "summary": self.summary().to_dict("index"),
                "edits": {
                    str(kind): {name: edit._asdict() for name, edit in edits.items()}
                    for kind, edits in self.edits.items()
                },
                "reconstruction": self.reconstruction | {"ssim": self.ssim, "agreement": self.agreement},
                "identity": self.identity
                and self.identity._asdict()
                | {
                    "edits": {
                        str(kind): {name: each._asdict() for name, each in kept.items()}
                        for kind, kept in self.identity.edits.items()
                    }
                },
                "frechet": self.frechet,
                "truth": {
                    str(kind): {
                        name: truth._asdict() | {"closed": truth.closed, "spoilt": truth.spoilt}
                        for name, truth in truths.items()
                    }
                    for kind, truths in self.truth.items()
                },
                "seconds": self.seconds,
            }
        )


def scorecard(
    model: Any,
    vectors: AttributeVectors,
    judge: Judge,
    store: PackedStore,
    *,
    kinds: Sequence[Kind | str],
    edited: Sequence[str] | None = None,
    faces: int = 64,
    least_auc: float = LEAST_AUC,
    truth: int | None = None,
    inception: Inception | None = None,
    identity: str = "auto",
    photographs: int = PHOTOGRAPHS,
    painted: bool = False,
    seed: int = 0,
    report: Callable[[str], None] | None = None,
) -> Scorecard:
    """Scores a model's edits, reconstructions and samples on the test split of a store.

    Samples are of the prior, of all latents, and of a mixture fitted to the training split, where there is one.

    Args:
      model: trained model, a `jvae.trained.TrainedModel`.
      vectors: attribute vectors, from whose sums every kind follows.
      judge: judge of images of the same size.
      store: store with a test split.
      kinds: kinds of vectors to score, or their names; one that the sums do not allow raises, and one that has a vector
        of none of the attributes is left out.
      edited: attributes to edit, each by the kinds that have a vector of it; None is all that are judged.
      faces: number of faces to edit, for each attribute.
      least_auc: an attribute counts, as an edit or as leakage, only when the judge tells it this well on real images:
        what it can only guess turns over by itself.
      truth: seed of rendered faces for `jvae.evaluate.truth`, of a store of such; None leaves that out.
      inception: network in whose features Fréchet distances are measured as well.
      identity: whose descriptor says whether pictures are of the same person, see `jvae.evaluate.identity`: "dlib",
        "judge" for the judge's features, "auto" for the first where it is installed and the store is of CelebA or of
        rendered faces, "none" to leave it out.
      photographs: number of test images, at most, among which that looks for a face's own, spread evenly.
      painted: whether edits are judged, and people looked for in them, as painted onto the photographs, and not as
        decoded.
      seed: seed of the samples.
      report: function that is called with a line at each stage.

    Raises:
      InputError: the vectors say that they are of another checkpoint, or were learned by this judge; the judge is of
        images of another size, of none of the vectors' attributes, or tells none that well; no test split; no kind can
        edit any; a truth of faces that are not rendered, or of the store's own; or see `find_descriptor`,
        `judge_edits` and `jvae.latent.kinds.directions`.

    Warns:
      InputWarning: the vectors were estimated on the test split, the model was trained by this judge, or the judge by
        images that were cut in another way.
    """
    if vectors.origin.digest:
        check_origin(vectors, model)
    check_sizes((judge,), model.image_size, "score")
    wanted = [as_kind(kind) for kind in kinds]
    refuse_teacher(vectors, judge, wanted)
    if truth is not None:
        check_truth(store, truth)
    warn_of_teacher(model, judge)
    warn_of_fit(vectors, "test", store)
    judge.warn_unless_cut_alike(store)
    describe = (
        None if identity == "none" else find_descriptor(identity, judge, store.crop, model.mesh, source=store.source)
    )
    if photographs < 2:
        raise InputError(f"photographs={photographs} must be at least 2: a face's own and a stranger's")
    start, report = time.perf_counter(), report or (lambda line: None)
    rows = store.indices("test")
    store.verify(rows)
    attrs = store.attrs[rows][:, [store.attribute(name) for name in vectors.attribute_names]]
    if not set(judge.attribute_names) & set(vectors.attribute_names):
        raise InputError(
            f"the judge tells {', '.join(judge.attribute_names)}, and the vectors are of "
            f"{', '.join(vectors.attribute_names)}: train a judge on the same store"
        )
    told = dict(zip(judge.scores.index, judge.scores["auc"].to_numpy() >= least_auc, strict=True))
    judged = [name for name in judge.attribute_names if name in vectors.attribute_names and told[name]]
    if not judged:
        raise InputError(f"the judge tells no attribute with an area under the ROC curve of {least_auc:g}: train it on")
    z = model.encode(store.images, rows=rows)
    onto = store.read(rows) if painted else None
    edits, truths, used = {}, {}, {}
    rendered = TRUTHS if truth is not None else ()
    pairs = {name: rendered_pairs(model, name, seed=truth or 0) for name in rendered if name in vectors}
    asked = list(edited or judged)
    names = ", ".join(asked)
    for kind in wanted:
        known = vectors.of_kind(kind)
        found = judge_edits(model, known, judge, z, attrs, judged=judged, edited=asked, faces=faces, photographs=onto)
        if not found:
            report(f"{kind} is left out: it can edit no face by {names}")
            continue
        used[kind], edits[kind] = known, found
        if truth is not None:
            truths[kind] = {name: edit_truth(model, known[name], pairs[name]) for name in pairs if name in known}
        report(f"{kind}: {len(found)} attributes edited")
    if wanted and not edits:
        if not any(name in vectors.of_kind(kind) for kind in wanted for name in asked):
            raise InputError(f"no kind that is scored has a vector of {names}: give other attributes, or other kinds")
        raise InputError(
            f"the judge sees {names} in every face that is labelled without, so that no edit can be scored: give other "
            "attributes, or train the judge for longer"
        )
    scores = model.reconstruction_scores(store, rows)
    by_rows = functools.partial(map_rows, mesh=model.mesh, size=min(len(rows), BATCH))
    n, every, reconstructions = len(rows), np.arange(len(rows)), model.decode(z)
    priors = {"the prior": standard_normal(z.shape[1]), "the aggregate": aggregate(vectors.totals)}
    if (store.splits == "train").sum() >= COMPONENTS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputWarning)  # one that has not settled is drawn from as it is
            priors["a mixture"] = mixture_of_faces(model, store, seed=seed)
    samples = {name: model.decode(prior.sample(n, seed=seed)) for name, prior in priors.items()}
    samples["reconstructions"] = reconstructions
    frechet: dict[str, dict[str, float]] = {}
    extractors: dict[str, Any] = {"the judge": judge} | ({} if inception is None else {inception.name: inception})
    for whose, of in extractors.items():
        features = functools.partial(features_of, put(of.variables, replicated(model.mesh)), features_fn=of.features_fn)
        real = by_rows(features, (store.images, rows))
        frechet[whose] = {
            name: frechet_distance(by_rows(features, (made, every)), real) for name, made in samples.items()
        }
    alike = by_rows(_likeness, (store.images, rows), (reconstructions, every)).mean()
    seen = [
        batched_logits(judge.logits_fn, judge.variables, images, which, model.mesh)
        for images, which in ((store.images, rows), (reconstructions, every))
    ]
    agreement = float((judge.says(seen[0]) == judge.says(seen[1])).mean())
    own = None
    if describe:
        some = spread(every, photographs)
        report(f"looking for {len(some):,} faces among their photographs, by {describe[0]}")
        both = {kind: (used[kind], found) for kind, found in edits.items()}
        real = store.read(rows[some])
        of_some = (real, z[some], reconstructions[some], attrs[some])
        own = score_identity(model, describe, *of_some, both, paint=painted)
    seconds = time.perf_counter() - start
    of = {**origin_of(model, vectors), "judge": judge_digest(judge), "step": model.step, "painted": painted}
    return Scorecard(edits, judged, judge.scores, scores, float(alike), agreement, frechet, truths, seconds, own, of)


@jax.jit
def _likeness(first: jax.Array, second: jax.Array) -> jax.Array:
    return ssim(to_float(first), to_float(second))


def _mean(values: Sequence[float]) -> float:
    """Of those that were measured."""
    there = [value for value in values if not np.isnan(value)]
    return float(np.mean(there)) if there else float("nan")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
