"""A config and a store in; a run directory with checkpoints, metrics and pictures out; likewise of many at once.

What is trained is a `task`: the one step, loop and checkpoint serve every one.
"""
