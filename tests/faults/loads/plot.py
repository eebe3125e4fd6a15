"""Draws curves into an SVG file, one small plot below the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT, _LEFT, _GAP = 720, 110, 60, 34


def draw_plots(file: Path, curves: Mapping[str, Sequence[float]], below: str, step: int) -> None:
    """Write ``file``: each curve from 0 to its largest value; ``step``: how far two samples are apart on the x axis.

    Raises OSError.
    """
    parts = []
    for row, (name, values) in enumerate(curves.items()):
        top = row * (_HEIGHT + _GAP) + 24
        most = max([*values, 1e-9]) * 1.1
        across = (_WIDTH - _LEFT - 10) / max(1, len(values) - 1)
        places = " ".join(
            f"{_LEFT + index * across:.1f},{top + _HEIGHT * (1 - value / most):.1f}"
            for index, value in enumerate(values)
        )
        parts += [
            f'<text x="{_LEFT}" y="{top - 8}">{escape(name)}</text>',
            f'<path d="M{_LEFT},{top}V{top + _HEIGHT}H{_WIDTH - 10}" fill="none" stroke="#888"/>',
            f'<text x="{_LEFT - 6}" y="{top + 10}" text-anchor="end">{most:.3g}</text>',
            f'<text x="{_LEFT - 6}" y="{top + _HEIGHT}" text-anchor="end">0</text>',
            f'<polyline points="{places}" fill="none" stroke="#2563eb" stroke-width="1.5"/>',
        ]
    height = len(curves) * (_HEIGHT + _GAP) + 40
    count = (len(next(iter(curves.values()))) if curves else 0) * step
    parts.append(f'<text x="{_WIDTH - 10}" y="{height - 14}" text-anchor="end">{count} {escape(below)}</text>')
    box = f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box}>'
    back = f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>'
    file.write_text("\n".join([head, back, *parts, "</svg>"]) + "\n", encoding="utf-8")
