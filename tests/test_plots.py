"""The pictures: readable Chinese, safe labels, the same bytes in every run."""

import logging
from xml.etree import ElementTree

import numpy as np
import pytest

from spacy_bert_zh.plots import bars, confusion_heatmap, curves, short_label, text_width, to_svg

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def counts(size: int) -> np.ndarray:
    return np.arange(size * size).reshape(size, size)


def test_labels_stay_text_that_the_reader_sees_in_a_chinese_font() -> None:
    svg = to_svg(confusion_heatmap(counts(2), ["财经", "体育"]))
    assert texts(svg).count("财经") == texts(svg).count("体育") == 2
    assert "'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC'" in svg
    assert "DejaVu" not in svg


def test_labels_are_neither_markup_nor_formulas() -> None:
    hostile = ["$x^2$ 与 $y$", "<script>alert(1)</script>", 'a & "b"', r"\frac{1}{2}$", "一\n二"]
    for figure in (
        confusion_heatmap(counts(5), hostile),
        bars(hostile, [0.5] * 5, ["$1$"] * 5, "F1"),
    ):
        svg = to_svg(figure)
        assert "<script" not in svg
        assert {"$x^2$ 与 $y$", "<script>alert(1)</script>", 'a & "b"', "一 二"} <= set(texts(svg))


@pytest.mark.parametrize(("size", "annotated"), [(1, True), (2, True), (20, True), (67, False)])
def test_counts_are_written_where_they_can_be_read(size: int, annotated: bool) -> None:
    labels = [f"第{i}类" for i in range(size)]
    written = texts(to_svg(confusion_heatmap(np.full((size, size), 777), labels)))
    assert written.count("777") == (size * size if annotated else 0)
    assert set(labels) <= set(written)


@pytest.mark.parametrize("label", ["计算机科学与人工智能技术", "W" * 24, "一"])
def test_the_margin_has_room_for_the_widest_label(label: str) -> None:
    root = ElementTree.fromstring(to_svg(confusion_heatmap(counts(2), [label, "短"])))
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    places = [element.attrib for element in root.iter(f"{SVG}text") if element.text == label]
    ems = {place["transform"].startswith("rotate(-90"): place for place in places}
    room = text_width(label) / 2 * 9  # a Chinese character is 9 points wide, as high as the font
    assert float(ems[False]["x"]) >= room
    assert height - float(ems[True]["y"]) >= room
    assert width > float(ems[False]["x"])


def test_pictures_are_reproducible_without_ids_that_collide() -> None:
    first, second = (to_svg(confusion_heatmap(counts(3), list("甲乙丙"))) for _ in range(2))
    assert first == second
    assert "<g id=" not in first and "<metadata" not in first


def test_the_text_takes_the_colour_of_the_page() -> None:
    svg = to_svg(bars(["甲"], [0.5], ["0.5"], "准确率"))
    styles = [e.attrib["style"] for e in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    assert styles and all("fill: currentColor" in style for style in styles)
    assert "#ffffff" not in svg


def test_missing_glyphs_make_no_noise(
    recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        to_svg(confusion_heatmap(counts(2), ["财经", "体育"]))
    assert not recwarn.list and not caplog.records


def test_long_labels_are_cut_by_width() -> None:
    assert short_label("财经") == "财经"
    assert short_label("长" * 40) == "长" * 15 + "…"
    assert short_label("x" * 40) == "x" * 31 + "…"


def test_there_is_no_half_of_a_trial() -> None:
    axes = curves(
        {"trial": [(number, 0.5 + number / 9) for number in range(4)]}, "trial", "y"
    ).axes[0]
    assert all(float(tick).is_integer() for tick in axes.get_xticks())
