"""A store and a config in; a run directory with checkpoints and metrics, or a judge of attributes, out."""
