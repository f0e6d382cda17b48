"""Speed of jvae beside its peers' on the same machine: `python -m benchmarks` runs every bench_*.py."""
