"""The figures of ``bench esp`` as a picture: bars for TCP and small packets, one row for each kind of wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

COLOURS = {
    "plain": "#8a8f98",
    "no-cipher": "#c9ccd1",
    "native": "#0b6e4f",
    "libipsec": "#c1666b",
    "python": "#d4a24c",
}
PANELS = (("tcp1", "TCP, one stream, Gbit/s"), ("tcp4", "TCP, four streams, Gbit/s"), ("udp64", "64-octet UDP, kpps"))


def draw(result: dict[str, Any], file: Path) -> None:
    """Write the PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, len(PANELS), figsize=(14, 8), constrained_layout=True)
    for row, wire in zip(axes, ("segmenting", "plain"), strict=True):
        for axis, (what, title) in zip(row, PANELS, strict=True):
            cases = [case for case in result["cases"] if case["wire"] == wire and case["what"] == what]
            cases.sort(key=lambda case: (list(COLOURS).index(case["path"]), case["cipher"]))
            values = [case["value"] / (1000 if what == "udp64" else 1) for case in cases]
            names = [case["path"] + (f" {case['cipher']}" if case["cipher"] != "none" else "") for case in cases]
            bars = axis.barh(range(len(cases)), values, color=[COLOURS[case["path"]] for case in cases])
            axis.bar_label(bars, fmt="%.2f" if what != "udp64" else "%.0f", padding=3, fontsize=8)
            axis.set_yticks(range(len(cases)), names, fontsize=8)
            axis.invert_yaxis()
            axis.margins(x=0.15)
            axis.set_title(f"{title} ({wire} wire)", fontsize=10)
            axis.spines[["top", "right"]].set_visible(False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=100)
    pyplot.close(figure)
