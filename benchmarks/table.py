"""Rows of results as tables: aligned text for the terminal, Markdown for the documents.

    python -m benchmarks.table

writes the tables of README.md (what has a target) and docs/benchmarks.md (all) anew from benchmarks/results/.
"""

from collections.abc import Iterable
from pathlib import Path

from benchmarks.timing import RESULTS, Row, comparisons, read
from jvae.files import replacing

ROOT = Path(__file__).parent.parent
DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "benchmarks.md")
BEGIN, END = "<!-- from benchmarks/results, by python -m benchmarks.table -->\n", "<!-- end -->\n"


def verdict(row: Row) -> str:
    """Whether the row reaches its target: "met", "short by 12 %", "not measured"; "" without a target."""
    if row.target is None:
        return ""
    said = []
    for field, sign, wanted in comparisons(row.target):
        value = getattr(row, field)
        if value is None:
            said.append("not measured")
        elif value >= wanted if sign == ">=" else value <= wanted:
            said.append("met")
        else:
            share = 1 - value / wanted if sign == ">=" else value / wanted - 1
            said.append(f"short by {max(1, round(100 * share))} %")
    return said[0] if len(set(said)) == 1 else ", ".join(said)


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def text(rows: Iterable[Row]) -> str:
    """The rows as one aligned text table, targets beside the figures; devices and commit above it."""
    rows = list(rows)
    heads = ("bench", "case", "ours", "least to most", "unit", "peer", "", "times", "of limit", "target", "")
    lines: list[tuple[str, ...]] = [heads]
    for r in rows:
        peer = "not installed" if r.peer_name == "PyTorch" and r.peer is None else _figure(r.peer)
        lines.append(
            (
                r.bench,
                r.case,
                _figure(r.ours) or "-",
                f"{_figure(r.spread[0])} to {_figure(r.spread[1])}" if r.spread else "",
                r.unit,
                r.peer_name or "",
                peer if r.peer_name else "",
                f"{r.ratio:.2f}" if r.ratio is not None else "",
                f"{100 * r.limit_fraction:.0f} %" if r.limit_fraction is not None else "",
                r.target or "",
                verdict(r),
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    right = {2, 6, 7, 8}
    out = [
        "  ".join(c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    ]
    above = [f"{name}, commit {commit}" for name, commit in dict.fromkeys((r.device, r.git) for r in rows)]
    return "\n".join([*above, *(line.rstrip() for line in out)])


def markdown(rows: Iterable[Row]) -> str:
    """A line a case and peer, the figures of a CPU and of an accelerator side by side."""
    cases: dict[tuple[str, str, str | None], dict[bool, Row]] = {}
    for r in rows:
        cases.setdefault((r.bench, r.case, r.peer_name), {})[" cores of " not in r.device] = r
    lines, last = [], ""
    for (bench, case, _), by_device in cases.items():
        if bench != last:
            command = next(iter(by_device.values())).command
            lines += ["", f"**{bench}**: `{command}`", "", "| case | CPU | | GPU | |", "|---|---|---|---|---|"]
            last = bench
        lines.append("| " + " | ".join([case, *_cells(by_device.get(False)), *_cells(by_device.get(True))]) + " |")
    return "\n".join(lines[1:]) + "\n"


def _cells(r: Row | None) -> tuple[str, str]:
    """The figure, and what it is compared with."""
    if r is None or r.ours is None:
        return "not measured yet", ""
    said = []
    if r.ratio is not None:
        said.append(f"**{_figure(r.ratio)} ×** {r.peer_name} ({_figure(r.peer)})")
    elif r.peer_name:
        said.append(f"{r.peer_name}: not measured")
    if r.limit_fraction is not None:
        said.append(f"{100 * r.limit_fraction:.0f} % of the limit")
    if r.target:
        said.append(f"{r.target.replace('>=', '≥').replace('<=', '≤').replace('ratio', '×')}: {verdict(r)}")
    return f"{_figure(r.ours)} {r.unit}".strip(), "; ".join(said)


def renewed(document: Path, results: Path = RESULTS) -> str:
    """The text of a document with the table of what `results` holds between its two comments."""
    rows = [row for path in sorted(results.glob("*.jsonl")) for row in read(path)]
    if document.name == "README.md":
        rows = [row for row in rows if row.target]
    before, rest = document.read_text(encoding="utf-8").split(BEGIN)
    return before + BEGIN + markdown(rows) + END + rest.split(END, 1)[1]


if __name__ == "__main__":
    for path in DOCUMENTS:
        text_of = renewed(path)
        with replacing(path) as part:
            part.write_text(text_of, encoding="utf-8")
