"""A config's settings as flags: --model.latent-dim 64, --loop.steps 1000, whatever fields its parts have."""

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import tyro

from jvae.config import PARTS, Config
from jvae.errors import InputError
from jvae.models.registry import MODELS
from jvae.registry import find
from jvae.training.presets import PRESETS, preset
from jvae.training.tasks import TASKS

DOORS = {"model": MODELS, "objective": TASKS}
KEPT = ("image_size", "latent_dim", "r_loss_factor", "beta", "sigma")  # what means the same in all that have it


def chosen(words: Sequence[str]) -> tuple[Config, list[str]]:
    """The config that the first word names, with the model and the objective that flags name, and the words left.

    A word such as `--model residual` puts that model, with its own defaults, in the place of the preset's; of the
    settings that both have, those in KEPT stay.

    Raises:
      InputError: there is no such preset, model or objective.
    """
    if not words or words[0].startswith("-"):
        raise InputError(f"name a preset first: {', '.join(PRESETS)}")
    cfg, rest = preset(words[0]), [part for word in words[1:] for part in _parted(word)]
    for part, registered in DOORS.items():
        flag = f"--{part}"
        while flag in rest:
            at = rest.index(flag)
            name = next(iter(rest[at + 1 :]), "-")
            if name.startswith("-"):
                raise InputError(f"{flag} needs a name: {', '.join(registered)}")
            cls = find(part, registered, name)
            kept = {f: v for f, v in vars(getattr(cfg, part)).items() if f in KEPT and f in cls.__dataclass_fields__}
            cfg, rest = cfg.replace(**{part: cls(**kept)}), rest[:at] + rest[at + 2 :]
    for name in cfg.objective.alternatives:
        if any(word.split("=")[0] in (f"--objective.{name}", f"--objective.{name.replace('_', '-')}") for word in rest):
            cfg = cfg.replace(**{name: 1.0})  # so that the preset's own is out of the way; the flag says how much
    return cfg, rest


def _parted(word: str) -> list[str]:
    """`--model=NAME` as two words, any other word as it is."""
    flag, equals, name = word.partition("=")
    return [flag, name] if equals and flag.removeprefix("--") in DOORS else [word]


def with_settings(main: Callable[..., Any], cfg: Config) -> Callable[..., Any]:
    """`main`, whose first argument is a config, as a function that takes the settings of `cfg` as flags instead."""

    def function(*, seed: int, **rest: Any) -> Any:
        parts = {name: rest.pop(name) for name in PARTS}
        return main(Config(**parts, seed=seed, preset=cfg.preset), **rest)

    own = list(inspect.signature(main, eval_str=True).parameters.values())[1:]
    settings = [(name, type(getattr(cfg, name)), getattr(cfg, name)) for name in PARTS]
    more = [*settings, ("seed", int, cfg.seed)]
    given = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=_unprefixed(p.annotation)) for p in own]
    given += [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, annotation=t, default=v) for n, t, v in more]
    function.__signature__ = inspect.Signature(given)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in given}
    about = inspect.getdoc(main) or ""
    function.__doc__ = f"{about.rstrip()}\n  seed: seed of everything random in the run.\n"
    function.prefixed = True  # type: ignore[attr-defined]
    return function


def _unprefixed(annotation: Any) -> Any:
    """A group of flags of the command's own, which have no prefix as those of a config's parts have."""
    return tyro.conf.OmitArgPrefixes[annotation] if dataclasses.is_dataclass(annotation) else annotation
