"""What can be trained, by name. To add an objective, write `tasks/NAME.py`, a config and a task, and a line here."""

# Name -> "module:class" of the objective's config, a `jvae.config.ObjectiveConfig` whose `task` makes the task.
TASKS: dict[str, str] = {
    "vae": "jvae.training.tasks.vae:Vae",
    "perceptual": "jvae.training.tasks.perceptual:Perceptual",
    "supervised": "jvae.training.tasks.supervised:Supervised",
    "judge": "jvae.training.tasks.judge:JudgeObjective",
}
