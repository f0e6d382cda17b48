"""Models by name. To add one, write `models/NAME.py`, with its config and its linen module, and its line here."""

# Name -> "module:class" of the model's config, a `jvae.config.ModelConfig` whose `module` makes the network.
MODELS: dict[str, str] = {
    "book": "jvae.models.book:Book",
    "linear": "jvae.models.linear:Linear",
    "residual": "jvae.models.residual:Residual",
    "principal": "jvae.models.principal:Principal",
    "judge": "jvae.judge.net:JudgeNetwork",
}
