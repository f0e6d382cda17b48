"""Rows of results as tables: aligned text for the terminal, Markdown for the documents.

    python -m benchmarks.table

writes the tables of docs/benchmarks.md anew from benchmarks/results/.
"""

from collections.abc import Iterable
from pathlib import Path

from benchmarks.timing import RESULTS, Row, comparisons, read
from jvae.io.files import replacing

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "benchmarks.md"
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
        absent = r.peer is None and (r.peer_name or "").startswith("PyTorch") and "(" not in (r.peer_name or "")
        peer = "not installed" if absent else _figure(r.peer)
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
    """Tables for a document, one a subject: a row a case, columns for a CPU, an accelerator, or both side by side.

    What has no figure is left out: a row of which nothing was measured, a column of a device that measured nothing.
    """
    by_bench: dict[str, list[Row]] = {}
    for r in rows:
        if r.ours is not None or r.peer is not None:
            by_bench.setdefault(r.bench, []).append(r)
    return "\n".join(_subject(bench, found) for bench, found in by_bench.items())


def _subject(bench: str, rows: list[Row]) -> str:
    cases: dict[tuple[str, str | None], dict[str, Row]] = {}
    for r in rows:
        peer = r.peer_name.split(" (")[0] if r.peer_name else None
        device = "CPU" if " cores of " in r.device else "GPU"
        cases.setdefault((r.case, peer), {})[device] = r  # the last of a kind of device counts
    shown = [r for by_device in cases.values() for r in by_device.values()]
    devices = [name for name in ("CPU", "GPU") if any(name in by_device for by_device in cases.values())]
    sources = dict.fromkeys((r.device, r.versions.get("jax"), r.versions.get("torch"), r.git, r.command) for r in shown)
    lines = [f"**{bench}**", ""]
    for device, jax_version, torch_version, commit, command in sources:
        packages = f"jax {jax_version}" + (f", torch {torch_version}" if torch_version else "")
        lines.append(f"- {device}, {packages}, commit {commit}: `{command}`")
    heads = ["case", *(head for name in devices for head in (name, ""))]
    lines += ["", _line(heads), "|---" * len(heads) + "|"]
    for (case, _), by_device in cases.items():
        cells = [_cells(by_device[name]) if name in by_device else ("", "") for name in devices]
        lines.append(_line([case, *(cell for pair in cells for cell in pair)]))
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"


def _cells(r: Row) -> tuple[str, str]:
    """The figure with its spread, and what it is compared with."""
    if r.ours is None:
        return "not reached", ""
    figure = f"{_figure(r.ours)} {r.unit}".strip()
    if r.spread and r.n and r.n > 1:
        figure += f" ({_figure(r.spread[0])} to {_figure(r.spread[1])})"
    said = []
    if r.ratio is not None:
        said.append(f"**{_figure(r.ratio)} ×** as good as {r.peer_name}: {_figure(r.peer)}")
    elif r.peer_name and " (" in r.peer_name:
        said.append(r.peer_name)
    if r.limit_fraction is not None:
        said.append(f"{100 * r.limit_fraction:.0f} % of the limit")
    if r.target:
        said.append(f"target {_words(r.target, r.unit)}: {verdict(r)}")
    return figure, "; ".join(said)


def _words(target: str, unit: str) -> str:
    """A target for people: "ratio >= 1.5, limit_fraction >= 0.4" is "1.5 ×, 40 % of the limit"."""
    words = []
    for field, sign, value in comparisons(target):
        if field == "ratio":
            words.append(f"{value:g} ×")
        elif field == "limit_fraction":
            words.append(f"{100 * value:g} % of the limit")
        else:
            words.append(f"{'at least' if sign == '>=' else 'at most'} {value:g} {unit}".strip())
    return ", ".join(words)


def renewed(document: Path = DOCUMENT, results: Path = RESULTS) -> str:
    """The text of a document with the tables of what `results` holds between its two comments."""
    rows = [row for path in sorted(results.glob("*.jsonl")) for row in read(path)]
    before, rest = document.read_text(encoding="utf-8").split(BEGIN)
    return before + BEGIN + markdown(rows) + END + rest.split(END, 1)[1]


def renew() -> None:
    """Writes the tables of docs/benchmarks.md."""
    new = renewed()
    with replacing(DOCUMENT) as part:
        part.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    renew()
