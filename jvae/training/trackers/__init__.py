"""Where curves may go beside TensorBoard, by name. To add a tracker, write `trackers/NAME.py`, and its line here."""

# Name -> "module:function" that begins, or goes on with, a run's curves there and gives a `jvae.training.log.Tracker`.
# The module is imported when it is asked for, and with it the package that it needs.
TRACKERS: dict[str, str] = {
    "none": "jvae.training.log:NoTracker",
    "trackio": "jvae.training.trackers.trackio:begin",
    "wandb": "jvae.training.trackers.wandb:begin",
}
