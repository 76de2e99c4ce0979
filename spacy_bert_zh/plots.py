"""Pictures as SVG for HTML pages: they take the page's text colour and the reader's own fonts.

matplotlib ships no Chinese glyphs, so text stays text in the SVG and the browser draws it.
matplotlib thus can't measure it either: the margins here come from `text_width`.
"""

import io
import re
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spacy_bert_zh.errors import missing_extra

try:
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.colors import LinearSegmentedColormap, LogNorm
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, MaxNLocator
except ImportError:
    raise missing_extra("matplotlib", "plots", "Drawing plots") from None

FONTS = (
    "'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', 'Noto Sans SC', "
    "'WenQuanYi Zen Hei', 'WenQuanYi Micro Hei', sans-serif"
)
ACCENT = "#3572d4"  # reads on white and on near-black
INK = "#010203"  # stands for the colour of the page's text until `to_svg`
FONT_SIZE = 9.0  # points
LONGEST_LABEL = 32  # columns, i.e. 16 Chinese characters
STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],  # ships with matplotlib: the same layout on every machine
    "font.size": FONT_SIZE,
    "svg.fonttype": "none",
    "svg.hashsalt": "spacy_bert_zh",  # the same ids in every run
    "text.parse_math": False,  # a "$" in a label is a dollar
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
}


def to_svg(figure: Figure) -> str:
    """Render a figure as an ``<svg>`` element to be put inside an HTML page.

    The same figure gives the same characters in every run.
    """
    buffer = io.StringIO()
    no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        figure.savefig(buffer, format="svg", metadata=no_metadata)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    # The ids of groups only name them, and would collide with the page's other pictures.
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    return svg.replace(INK, "currentColor").replace("'DejaVu Sans'", FONTS)


def text_width(text: str) -> int:
    """The width of a text in columns: two for a Chinese character, one for a Latin letter."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def short_label(label: str) -> str:
    """A label on one line and at most `LONGEST_LABEL` columns wide."""
    label = " ".join(label.split())
    if text_width(label) <= LONGEST_LABEL:
        return label
    while text_width(label) >= LONGEST_LABEL:
        label = label[:-1]
    return label + "…"


@matplotlib.rc_context(STYLE)
def confusion_heatmap(counts: np.ndarray, labels: Sequence[str]) -> Figure:
    """Draw a confusion matrix; the colour of a cell is its share of the true class.

    Args:
        counts: Number of texts, int (labels, labels); a row per true class.
        labels: The classes, in the order of rows and columns.
    """
    labels = [short_label(label) for label in labels]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    readable = len(labels) <= 20
    side = len(labels) * (0.5 if readable else 0.17)
    margin = _inches(labels)
    figure, axes = _axes(side, side, left=margin, bottom=margin + 0.4)
    # Roots, so that a confusion of few percent can be seen.
    axes.imshow(np.sqrt(shares), cmap=_colours(), vmin=0, vmax=1, interpolation="none")
    axes.set_xticks(range(len(labels)), labels, rotation=90, ha="right", rotation_mode="anchor")
    for tick in axes.get_xticklabels():
        tick.set_verticalalignment("center")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xticks(np.arange(len(labels) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(labels) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=INK, alpha=0.12, linewidth=0.5)
    axes.tick_params(which="both", length=0)
    axes.set_xlabel("predicted", labelpad=6)
    axes.set_title("true class by row", loc="left", fontsize=FONT_SIZE)
    if readable:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.3 else INK
                axes.text(column, row, str(count), ha="center", va="center", color=colour)
    return figure


@matplotlib.rc_context(STYLE)
def bars(
    names: Sequence[str],
    values: Sequence[float],
    notes: Sequence[str],
    title: str,
    longest: float = 1.0,
) -> Figure:
    """Draw horizontal bars from 0 to a common end, the first on top.

    Args:
        names: What each bar is, to its left.
        values: The length of each bar.
        notes: What is written after each bar's end.
        title: What the bars measure.
        longest: Where the axis ends.
    """
    names = [short_label(name) for name in names]
    figure, axes = _axes(
        5, 0.26 * len(names), left=_inches(names), bottom=0.3, right=_inches(notes)
    )
    axes.barh(range(len(names)), values, height=0.7, color=ACCENT)
    for row, (value, note) in enumerate(zip(values, notes, strict=True)):
        axes.text(value + 0.01 * longest, row, note, va="center")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(0, longest)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, loc="left", fontsize=FONT_SIZE)
    return figure


@matplotlib.rc_context(STYLE)
def curves(
    series: Mapping[str, Sequence[tuple[float, float]]],
    x: str,
    y: str,
    band: Sequence[tuple[float, float, float]] = (),
) -> Figure:
    """Draw curves over a common axis, the first one thin and the others with points.

    Args:
        series: Points (x, y) by name; an empty one is left out.
        x: What the horizontal axis measures.
        y: What the vertical axis measures.
        band: How sure the first one is: (x, lower end, upper end).
    """
    figure, axes = _axes(5, 2.6, left=0.6, bottom=0.5)
    if band:
        places, low, high = zip(*band, strict=True)
        axes.fill_between(places, low, high, color=ACCENT, alpha=0.15, linewidth=0)
    for number, (name, points) in enumerate(series.items()):
        if points:
            style = {"marker": "o", "markersize": 3} if number else {"linewidth": 0.8, "alpha": 0.6}
            axes.plot(*zip(*points, strict=True), label=name, color=ACCENT, **style)
    axes.set_xlabel(x)
    if all(isinstance(place, int) for points in series.values() for place, _ in points):
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))  # no half of a step
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_title(y, loc="left", fontsize=FONT_SIZE)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


@matplotlib.rc_context(STYLE)
def square(points: Sequence[tuple[float, float]], x: str, y: str, diagonal: bool = False) -> Figure:
    """Draw shares against shares.

    Args:
        points: From 0 to 1.
        x: What the horizontal axis measures.
        y: What the vertical axis measures.
        diagonal: Draw where both are equal, and points that stand apart, on the whole square.
    """
    figure, axes = _axes(3.2, 3.2, left=0.6, bottom=0.5)
    if diagonal:
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        axes.set_ylim(0, 1.02)
    marker = "o" if diagonal else None
    axes.plot(*zip(*points, strict=True), color=ACCENT, marker=marker, markersize=4)
    axes.set_xlim(0, 1.02)
    if not diagonal:
        axes.set_ylim(0, max(0.01, 1.1 * max(value for _, value in points)))
    axes.set_xlabel(x)
    axes.set_title(y, loc="left", fontsize=FONT_SIZE)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


@matplotlib.rc_context(STYLE)
def density(points: Sequence[tuple[float, float]], x: str, y: str) -> Figure:
    """Draw how many points stand where, in hexagons: as many bytes for a million as for a hundred.

    Args:
        points: From 0 on across, from 0 to 1 upwards.
        x: What the horizontal axis measures.
        y: What the vertical axis measures.
    """
    figure, axes = _axes(5, 3.6, left=0.6, bottom=0.5, right=0.9)
    across, upwards = zip(*points, strict=True)
    end = np.ceil(10 * max(across) + 0.1) / 10
    cells = axes.hexbin(
        across,
        upwards,
        gridsize=(40, 16),
        extent=(0, end, 0, 1),
        mincnt=1,
        norm=LogNorm(vmin=0.5, vmax=max(len(points) / 20, 10)),  # 1 is not yet the page's colour
        cmap=_colours(),
        linewidths=0.1,
    )
    axes.set_xlim(0, end)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel(x)
    axes.set_title(y, loc="left", fontsize=FONT_SIZE)
    axes.spines[["top", "right"]].set_visible(False)
    bar = figure.colorbar(cells, ax=axes, format=EngFormatter(sep=""))
    bar.outline.set_visible(False)
    bar.ax.set_title("rows", loc="left", fontsize=FONT_SIZE)
    return figure


@matplotlib.rc_context(STYLE)
def panels(
    series: Mapping[str, Sequence[tuple[float, float]]], x: str, mark: float | None
) -> Figure:
    """Draw curves one above the other, each with its own scale, over a common axis.

    Args:
        series: Points (x, y) by what they measure.
        x: What the horizontal axis measures.
        mark: Where a vertical line stands in all of them; None draws none.
    """
    height, gap, left, bottom = 1.5, 0.45, 0.6, 0.5
    total = bottom + len(series) * (height + gap)
    figure = Figure(figsize=(left + 5.2, total))
    for row, (name, points) in enumerate(series.items()):
        low = total - (row + 1) * (height + gap)
        axes = figure.add_axes((left / (left + 5.2), low / total, 5 / (left + 5.2), height / total))
        if points:
            axes.plot(*zip(*points, strict=True), color=ACCENT, marker="o", markersize=3)
        if mark is not None:
            axes.axvline(mark, color=INK, linewidth=0.8, linestyle=":")
        axes.set_title(name, loc="left", fontsize=FONT_SIZE)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.margins(x=0.02)
    axes.set_xlabel(x)
    return figure


def _axes(
    width: float, height: float, left: float, bottom: float, right: float = 0.2
) -> tuple[Figure, Axes]:
    """A figure, and axes of the given size within the given margins, all in inches."""
    top = 0.3
    size = (left + width + right, bottom + height + top)
    box = (left / size[0], bottom / size[1], width / size[0], height / size[1])
    figure = Figure(figsize=size)
    return figure, figure.add_axes(box)


def _inches(labels: Sequence[str]) -> float:
    """Room for the widest label. The reader's font is unknown: a column may take 0.6 em."""
    return 0.2 + max(text_width(label) for label in labels) * 0.6 * FONT_SIZE / 72


def _colours() -> LinearSegmentedColormap:
    """From transparent to the accent, so that low values look like the page, light or dark."""
    return LinearSegmentedColormap.from_list("share", [f"{ACCENT}00", f"{ACCENT}ff"])
