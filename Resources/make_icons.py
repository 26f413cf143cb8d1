"""Draw the icon of the module and the extension: a chest film, a marked place, and the line that is typed.

    python Resources/make_icons.py

Writes an SVG and, where PySide6 is installed, the PNG that the extension catalogue shows.
"""

from __future__ import annotations

import math
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SIZE_PX = 128
_LUNG_POINTS = 24


def lung(side: int) -> str:
    """Outline of a lung as SVG path data; `side` is 1 for the one on the right of the picture, else -1."""
    points = []
    for step in range(_LUNG_POINTS):
        angle = 2 * math.pi * step / _LUNG_POINTS
        # An egg: narrow at the top, wide at the base, flat towards the middle.
        down = 44 + 30 * math.sin(angle)
        width = 15 + 7 * math.sin(angle)
        out = width * math.cos(angle) * (0.75 if math.cos(angle) < 0 else 1.0)
        points.append(f"{64 + side * (24 + out):.1f},{down:.1f}")
    return "M" + " L".join(points) + " Z"


def icon() -> str:
    """The whole icon as SVG."""
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{SIZE_PX}" height="{SIZE_PX}" viewBox="0 0 128 128">
 <rect x="4" y="4" width="120" height="120" rx="14" fill="#26343f"/>
 <rect x="59" y="12" width="10" height="66" rx="5" fill="#aebbc4"/>
 <path d="{lung(-1)}" fill="#5d7484"/>
 <path d="{lung(1)}" fill="#5d7484"/>
 <ellipse cx="93" cy="62" rx="12" ry="9" fill="#e69f00" stroke="#ffd27a" stroke-width="2"/>
 <rect x="14" y="90" width="100" height="24" rx="6" fill="#ffffff"/>
 <rect x="22" y="99" width="20" height="6" rx="3" fill="#0072b2"/>
 <rect x="46" y="99" width="28" height="6" rx="3" fill="#e69f00"/>
 <rect x="78" y="99" width="14" height="6" rx="3" fill="#009e73"/>
 <rect x="97" y="95" width="2" height="14" fill="#26343f"/>
</svg>
"""


def main() -> None:
    """Write the module's SVG and the extension's PNG."""
    svg = ROOT / "TextGuidedSeg" / "Resources" / "Icons" / "TextGuidedSeg.svg"
    svg.write_text(icon(), encoding="utf-8")
    from PySide6.QtCore import QSize
    from PySide6.QtGui import QImage, QPainter
    from PySide6.QtSvg import QSvgRenderer

    picture = QImage(QSize(SIZE_PX, SIZE_PX), QImage.Format.Format_ARGB32)
    picture.fill(0)
    painter = QPainter(picture)
    QSvgRenderer(str(svg)).render(painter)
    painter.end()
    picture.save(str(ROOT / "Resources" / "TextGuidedSeg.png"))
    picture.save(str(svg.with_suffix(".png")))


if __name__ == "__main__":
    main()
