"""What an image costs, and the peak of memory, from ten thousand images to ten million, on one device and on several.

    python -m experiments.scaling

Expect the cost of an image, and the memory, to stay what they are as the store grows. Virtual devices that share two
cores cost no more together than one for statistics; for training eight of them cost 3.4 times as much an image as one,
whose batch they divide. --quick is a look at the smallest sizes. See docs/scaling.md.
"""

from benchmarks.bench_scaling import main
from jvae.cli.run import run

if __name__ == "__main__":
    run(main)
