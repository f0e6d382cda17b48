"""What is exported in; its README out: what it is, what it was made of, how good it is, and what its edits leak."""

import numpy as np

from jvae.export.bundle import Bundle, licence
from jvae.export.plain import plain_lines
from jvae.models.registry import MODELS
from jvae.registry import name_of

HITS = 0.9  # share of faces that an edit should change; the factor that the card tells is the smallest that does
MOST = 12  # attributes listed


def card(bundle: Bundle, format: str) -> str:
    """The README.md of an exported folder.

    Args:
      bundle: what is exported.
      format: in which.
    """
    parts = [_front(bundle, format), _what(bundle), _USES[format](bundle), _scores(bundle), _leaks(bundle), _FOR]
    return "\n".join(part for part in parts if part)


def _front(bundle: Bundle, format: str) -> str:
    name = licence(bundle.source)[0]
    lines = [f"license: {name}", *(["license_name: see-below"] if name == "other" else [])]
    lines.append("tags: [vae, faces, image-editing, jax, flax]")
    if format == "web":
        lines += [f"title: {bundle.name}", "sdk: static", "app_file: index.html"]
    elif format == "onnx":
        lines += ["library_name: onnx"]
    else:
        lines += ["library_name: jvae", "pipeline_tag: image-to-image"]
    return "\n".join(["---", *lines, "---", ""])


def _what(bundle: Bundle) -> str:
    model, known = bundle.model, bundle.vectors
    name = name_of(MODELS, type(model.config.model))
    crop = f"cut by `{model.crop}`" if model.crop else "of a crop that the run does not say"
    lines = [
        f"# {bundle.name}\n",
        f"A variational autoencoder of faces, {model.image_size}×{model.image_size} pixels, with {model.latent_dim} "
        f"latents: jvae's model `{name}`, at step {model.step:,}.\n",
        "| | |",
        "|---|---|",
        f"| trained on | {bundle.source}, {crop} |",
        f"| licence of the data | {licence(bundle.source)[1]} |",
    ]
    if known is not None:
        lines += [
            f"| attributes | {', '.join(known.names)} |",
            f"| vectors | {'; '.join(str(each.kind) for each in bundle.kinds)}; of {known.totals.n:,} images |",
        ]
    return "\n".join([*lines, ""])


def _of_hub(bundle: Bundle) -> str:
    cfg = bundle.model.config.model
    lines = plain_lines(name_of(MODELS, type(cfg)), type(cfg), bundle.model.latent_dim).strip()
    picture = "![Sampled faces, and their edits by two standard deviations](edits.png)\n\n" if bundle.vectors else ""
    edits = (
        'vectors = jvae.AttributeVectors.load("vectors.npz")  # or of another kind: .of_kind("regression")\n'
        f'faces = jvae.apply_vector(z, vectors["{bundle.vectors.names[0]}"], [-2, 0, 2], "sd", model=model)\n'
        if bundle.vectors
        else ""
    )
    arrays = (
        "\n`directions.npz` holds the vectors of every kind for readers without jvae: `directions` [kind,attribute,d], "
        "what to add to z for one standard deviation of the data, beside their `names` and `kinds`. "
        "`numpy.load` reads it without pickle.\n"
        if bundle.vectors
        else ""
    )
    return (
        f'{picture}## Use it\n\nWith jvae, in this folder:\n\n```python\nimport jvae\n\nmodel = jvae.load(".")\n'
        f"z = model.encode(images)  # uint8 [n,{bundle.model.image_size},{bundle.model.image_size},3]\n{edits}```\n\n"
        f"Without it, in plain Flax:\n\n```python\n{lines}\n```\n{arrays}"
    )


def _shapes(bundle: Bundle, suffix: str) -> str:
    size, d = bundle.model.image_size, bundle.model.latent_dim
    rows = [
        "| file | takes | gives |",
        "|---|---|---|",
        f"| `encoder{suffix}` | `image` [b,{size},{size},3] | `mean`, `logvar` [b,{d}] |",
        f"| `decoder{suffix}` | `z` [b,{d}] | `image` [b,{size},{size},3] |",
    ]
    if (known := bundle.vectors) is not None:
        rows.append(
            f"| `edit{suffix}` | `image` [b,{size},{size},3], `factors` [{len(known)}] | `edited` [b,{size},{size},3] |"
        )
    said = "Everything is float32, images are RGB in [0, 1] with channels last, and a batch b is of any size."
    if known is not None:
        said += (
            f" A factor is a number of standard deviations along the `{known.kind}` vector of an attribute; they are, "
            f"in this order: {', '.join(known.names)}."
        )
    return "\n".join([*rows, "", said, ""])


def _of_onnx(bundle: Bundle) -> str:
    return (
        f"## Use it\n\n{_shapes(bundle, '.onnx')}\n```python\nimport numpy as np\nimport onnxruntime\n\n"
        'decoder = onnxruntime.InferenceSession("decoder.onnx")\n'
        f"z = np.random.default_rng(0).normal(size=(4, {bundle.model.latent_dim})).astype(np.float32)\n"
        '(images,) = decoder.run(["image"], {"z": z})\n```\n'
    )


def _of_stablehlo(bundle: Bundle) -> str:
    return (
        f"## Use it\n\n{_shapes(bundle, '.stablehlo')}\nEach file holds its weights, and runs on a CPU, on CUDA and on "
        "a TPU, by JAX alone:\n\n```python\nimport jax\nimport numpy as np\n\n"
        'decoder = jax.export.deserialize(open("decoder.stablehlo", "rb").read())\n'
        f"z = np.random.default_rng(0).normal(size=(4, {bundle.model.latent_dim})).astype(np.float32)\n"
        "(images,) = decoder.call(z)\n```\n"
    )


def _of_web(bundle: Bundle) -> str:
    return (
        "## Use it\n\nThis folder is a page: put it on any static server, or look at it with "
        "`python -m http.server` in it. The model runs in the browser (onnxruntime-web, MIT licence, in `ort/`): a "
        "photograph that is dropped in does not leave the machine, and nothing is fetched from elsewhere. The faces "
        "that it starts with are drawn by the model and show nobody.\n"
    )


def _scores(bundle: Bundle) -> str:
    shown = {name: value for name, value in bundle.scores.items() if isinstance(value, int | float)}
    rows = [f"| validation {name} | {value:.4g} |" for name, value in shown.items()]
    scored = bundle.scorecard
    rows += [f"| test {name} | {value:.4g} |" for name, value in (scored.get("reconstruction") or {}).items()]
    for whose, found in (scored.get("frechet") or {}).items():
        rows += [f"| Fréchet distance of {name}, features of {whose} | {value:.4g} |" for name, value in found.items()]
    if not rows:
        return ""
    return "\n".join(["## Scores\n", "| | |", "|---|---|", *rows, ""])


def _leaks(bundle: Bundle) -> str:
    if bundle.vectors is None:
        return ""
    judged = bundle.scorecard.get("edits", {}).get(str(bundle.vectors.kind))
    return _judged(bundle, judged) if judged else _by_vectors(bundle)


def _judged(bundle: Bundle, edits: dict) -> str:
    """What a judge saw of the edits, as the scorecard has it."""
    painted = " painted onto photographs," if bundle.scorecard.get("of", {}).get("painted") else ""
    factors, names = np.asarray(bundle.scorecard["factors"]), bundle.scorecard["judged"]
    rows = []
    for name, edit in edits.items():
        hits, leakage, flips = (np.asarray(edit[each], float) for each in ("hits", "leakage", "flips"))
        reach = np.flatnonzero(hits >= HITS)
        at = reach[0] if len(reach) else int(hits.argmax())
        others = [i for i, other in enumerate(names) if other != name]
        most = max(others, key=lambda i: np.nan_to_num(flips[at, i]), default=None)
        worst = "" if most is None else f"{names[most]} ({flips[at, most]:.0%})"
        leaked = "–" if np.isnan(leakage[at]) else f"{leakage[at]:.1%}"
        rows.append((hits[at], f"| {name} | {factors[at]:.1f} | {hits[at]:.0%} | {leaked} | {worst} |"))
    return "\n".join(
        [
            "## What edits leak\n",
            f"By vectors of the kind `{bundle.vectors and bundle.vectors.kind}`, on test images,{painted} by a "
            "classifier trained on photographs (`jvae scorecard`): at so many standard deviations, the share of faces "
            "that it then sees with the attribute, the mean share in which its judgement of the others turned over, "
            "and of which most.\n",
            "| edit | factor | hits | leakage | most |",
            "|---|---|---|---|---|",
            *(line for _, line in sorted(rows, key=lambda row: -row[0])),
            "",
        ]
    )


def _by_vectors(bundle: Bundle) -> str:
    """What moves along, by the vectors themselves: each edit's shift of the others' logits."""
    known = bundle.vectors
    assert known is not None
    why = "No scorecard was made of this run (`jvae scorecard`)"
    if bundle.scorecard:
        why = f"The scorecard of this run does not hold the kind `{known.kind}`"
    elif bundle.stale:
        why = "The scorecard of this run is of other weights or vectors"
    rows = []
    for name in known.table().index[:MOST].tolist():
        step = known[name].step("sd")
        shifts = {other: float(known[other].slope * (step @ known[other].unit)) for other in known.names}
        others = sorted((o for o in shifts if o != name), key=lambda o: -np.nan_to_num(abs(shifts[o])))[:3]
        rows.append(f"| {name} | {shifts[name]:+.2f} | {', '.join(f'{o} {shifts[o]:+.2f}' for o in others)} |")
    return "\n".join(
        [
            "## What edits leak\n",
            f"{why}, so nobody has judged these edits. By the vectors "
            f"alone, of the kind `{known.kind}`, one standard deviation shifts the log-odds of attributes as follows: "
            "an edit changes more than it says wherever another attribute is listed with a large number.\n",
            "| edit | itself | what moves along |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


_FOR = """## Intended use

For research on latent spaces, and for playing with one's own face or with sampled ones. An edit shows what the data
holds to go with a label, correlations and prejudice included; it says nothing about anybody. Not for deciding anything
about people, not for telling who somebody is or what they are like, and not for pictures of others who did not consent.
"""

_USES = {"hub": _of_hub, "onnx": _of_onnx, "stablehlo": _of_stablehlo, "web": _of_web}
