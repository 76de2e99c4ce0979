"""Cleaning, tokens and the round trip through DocBin, on any text."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import DocBin
from spacy.vocab import Vocab

from spacy_bert_zh.convert import Options
from spacy_bert_zh.convert.spool import Written
from spacy_bert_zh.convert.writing import make_tokenize, spaced, write_docs
from spacy_bert_zh.reading.cleaning import fault, make_cleaner

Writer = Callable[[list[tuple[str, str]], Path], None]
CHARACTERS = (
    "中文鸟體 \t\n\r\u3000\xa0\u2003\u200b\ufeff\x00，。“”Ａ１ａ1.%％①ｶﾞ\U0001f468\u200d\ufffd"
)
texts = st.text() | st.text(st.sampled_from(CHARACTERS))
cleaners = st.sampled_from(["none", "width", "nfkc"]).flatmap(
    lambda normalize: st.booleans().map(
        lambda join: make_cleaner(Options("text", normalize=normalize, join_segmented=join))
    )
)


@pytest.mark.parametrize(
    ("options", "dirty", "clean"),
    [
        ({}, "ＡＢＣ１２３　％，！（好）", "ABC123 %，！（好）"),
        ({"normalize": "nfkc"}, "ＡＢ①，ｶﾞ", "AB1,ガ"),
        ({"normalize": "none"}, "ＡＢ１，", "ＡＢ１，"),
        ({}, "\ufeff零\u200b宽\u200e字\xad符\x00\x7f", "零宽字符"),
        ({}, "一\r\n二\u2028三\r四\t五", "一\n二\n三\n四 五"),
        ({"simplify": True}, "電腦軟體與頭髮", "电脑软体与头发"),
        (
            {"join_segmented": True},
            "跟 日本 刀 、 iPhone 7 Plus ， 凭 啥 ？",
            "跟日本刀、iPhone 7 Plus，凭啥？",
        ),
        ({"join_segmented": True}, "“ 暴动 ” “ 商品 牛 ” 4 句", "“暴动”“商品牛”4句"),
        ({}, "跟 日本 刀", "跟 日本 刀"),
    ],
)
def test_cleaning(options: dict, dirty: str, clean: str) -> None:
    assert make_cleaner(Options("text", **options))(dirty) == clean


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("好", None),
        ("", "empty"),
        ("半个\ud83d", "lone surrogate"),
        ("字" * 1_000_000, None),
        ("字" * 1_000_001, "longer than 1,000,000 characters"),
    ],
)
def test_fault(text: str, reason: str | None) -> None:
    assert fault(text, None) == reason


@given(cleaners, texts)
def test_cleaning_twice_is_cleaning_once(clean, text: str) -> None:
    once = clean(text)
    assert clean(once) == once


def test_a_letter_and_a_mark_that_are_joined_become_one() -> None:
    clean = make_cleaner(Options("text", normalize="nfkc", join_segmented=True))
    assert clean("カ \u3099") == "\u30ac"


@given(cleaners, texts)
def test_cleaned_text_is_visible(clean, text: str) -> None:
    cleaned = clean(text)
    assert cleaned == cleaned.strip()
    assert not set(cleaned) & set("\t\r\u200b\u200d\ufeff\x00")


@given(texts)
def test_tokens_are_those_of_spacy(text: str) -> None:
    words, spaces, _ = spaced((character, "") for character in text)
    assert (words, spaces) == spacy.util.get_words_and_spaces(list(text), text)


@pytest.fixture(
    scope="module", params=[{}, {"segment": True}, {"pos": True}], ids=["char", "words", "tags"]
)
def writer(request: pytest.FixtureRequest) -> Writer:
    options = Options("jsonl", **request.param)
    tokenize = make_tokenize(options)

    def write(rows: list[tuple[str, str]], folder: Path) -> None:
        write_docs(
            [Written(*row, "a.txt", 1) for row in rows], folder, ["甲", "乙"], tokenize, options
        )

    return write


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(texts.map(make_cleaner(Options("text"))).filter(bool), min_size=1))
def test_docs_spell_their_texts_again(writer: Writer, rows: list[str]) -> None:
    with TemporaryDirectory() as name:
        writer([(text, '["甲"]') for text in rows], Path(name, "docs"))
        docs = list(DocBin().from_disk(Path(name, "docs", "00000.spacy")).get_docs(Vocab()))
    assert [doc.text for doc in docs] == rows
    assert all(doc.cats == {"甲": 1.0, "乙": 0.0} for doc in docs)
