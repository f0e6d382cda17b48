"""`jvae map`: which attribute vectors point the same way, and which labels go together."""

from jvae.cli.flags import Chart, Run, Vectors
from jvae.render.vector_map import save_map


def main(run: Run, vectors: Vectors = Vectors(), chart: Chart = Chart()) -> None:
    """Draws the cosines of all attribute vectors beside the correlations of their labels, alike next to alike."""
    out = chart.path(run, "map")
    save_map(out, vectors.load(run, run.load()))
    print(f"wrote {out}")
