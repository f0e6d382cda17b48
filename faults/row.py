"""What was broken, how often, and what happened."""

from typing import NamedTuple


class Row(NamedTuple):
    """A row of docs/reliability.md: `what` was done `times`, with this `outcome`; `failed` of them ended otherwise."""

    what: str
    times: int
    outcome: str
    failed: int
