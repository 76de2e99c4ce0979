"""Word pieces: the same as transformers', nothing lost, nothing too large."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer
from transformers import BertTokenizerFast

from spacy_bert_zh.checkpoint.saving import SPECIAL
from spacy_bert_zh.checkpoint.tokenizer import load_tokenizer
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pieces.encoder import (
    EMBEDDED,
    MAX_BATCH_PIECES,
    Batch,
    PieceEncoder,
    batches,
    windows,
)
from spacy_bert_zh.pretrain.vocabulary import tokenizer_of
from tests.conftest import GOOD, NOUNS

# What tokenizers stumble over: half- and full-width, emoji, NUL, controls, accents, rare planes.
ODDITIES = (
    "ＡＢｃ１２３，。￥ \t\n\u3000\x00\x07\x1f\x7f"
    "\u200b\ufeff\ufffd😀👍🏽👩‍👩‍👧éÀßİñ臺灣台湾𠮷𪚥 ab##aa[MASK]"
)
texts = st.lists(
    st.sampled_from([*GOOD, *NOUNS, *ODDITIES, "[SEP]", "[PAD]", "unaffable", "a" * 120])
    | st.text()
).map("".join)


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint to change."""
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    tokens: list[str] = tokenizer.encode(text, add_special_tokens=False).tokens
    return tokens


sizes = st.integers(1, 40).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1)))


@given(length=st.integers(0, 300), shape=sizes)
def test_windows_cover_every_piece_and_overlap_by_stride(
    length: int, shape: tuple[int, int]
) -> None:
    size, stride = shape
    spans = windows(length, size, stride)
    assert spans[0][0] == 0
    assert spans[-1][1] == length
    assert all(end - start <= size for start, end in spans)
    assert all(left[1] - right[0] == stride for left, right in pairwise(spans))
    assert all(left[1] < right[1] for left, right in pairwise(spans))


@given(length=st.integers(0, 300), shape=sizes, limit=st.integers(1, 5))
def test_max_windows_keeps_the_first(length: int, shape: tuple[int, int], limit: int) -> None:
    assert windows(length, *shape, limit) == windows(length, *shape)[:limit]


@given(
    lengths=st.lists(st.integers(1, 80)),
    budget=st.integers(1, 200),
    most_padding=st.none() | st.integers(0, 200),
)
def test_batches_hold_each_index_once_within_budget(
    lengths: list[int], budget: int, most_padding: int | None
) -> None:
    groups = batches(lengths, budget, most_padding)
    order = [index for group in groups for index in group]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[i] for i in order] == sorted(lengths)
    for group in groups:
        own = [lengths[i] for i in group]
        pieces = sum(own) if most_padding is None else len(own) * own[-1]
        assert len(group) == 1 or pieces <= budget


def test_groups_that_are_padded_hold_similar_lengths() -> None:
    assert batches([1, 2, 30], budget=100) == [[0, 1, 2]]
    assert batches([1, 2, 30], budget=100, most_padding=1000) == [[0, 1, 2]]
    assert batches([1, 2, 30], budget=100, most_padding=10) == [[0, 1], [2]]
    assert batches([7, 2, 7, 2], budget=100, most_padding=0) == [[1, 3], [0, 2]]
    assert batches([5, 5, 5, 5], budget=10) == [[0, 1], [2, 3]]


@settings(deadline=None)
@given(text=texts)
def test_same_ids_as_transformers(checkpoint: Path, text: str) -> None:
    theirs = BertTokenizerFast(str(checkpoint / "vocab.txt"))
    assert (
        load_tokenizer(checkpoint).encode(text, add_special_tokens=False).ids
        == theirs(text, add_special_tokens=False)["input_ids"]
    )


@settings(deadline=None)
@given(
    docs=st.lists(texts, min_size=1, max_size=5),
    max_windows=st.integers(0, 3),
    is_train=st.booleans(),
)
def test_batches_hold_every_window_of_every_document(
    docs: list[str], max_windows: int, is_train: bool
) -> None:
    nlp = spacy.blank("zh")
    tokenizer = load_tokenizer(EMBEDDED)
    encoder = PieceEncoder(tokenizer, max_length=12, stride=3, max_windows=max_windows)
    made = [nlp.make_doc(text) for text in docs]
    encoded = encoder(made, is_train=is_train)
    rows = [row for batch in encoded.batches for row in split(batch)]
    found: list[list[list[int]]] = [[] for _ in docs]
    for window, doc in zip(encoded.windows, encoded.docs, strict=True):
        found[doc].append(rows[window])
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    for doc, windows_found, reading in zip(made, found, encoded.readings, strict=True):
        ids = tokenizer.encode(doc.text, add_special_tokens=False).ids
        spans = windows(len(ids), 10, 3, max_windows)
        assert windows_found == [[cls, *ids[start:end], sep] for start, end in spans]
        assert reading == {
            "pieces": len(ids),
            "pieces_read": spans[-1][1],
            "windows": len(spans),
        }
        assert not doc.user_data
    assert encoded.size == len(docs)
    different = len(encoded.windows) if is_train else len(set(map(tuple, rows)))
    assert len(rows) == different


def split(batch: Batch) -> list[list[int]]:
    """The ids of each window."""
    ends = batch.lengths.cumsum()
    assert ends[-1] == len(batch.ids)
    return [part.tolist() for part in np.split(batch.ids, ends[:-1])]


def test_halves_are_the_whole() -> None:
    docs = [spacy.blank("zh").make_doc("好" * n) for n in (3, 1, 8, 5, 4)]
    (batch,) = PieceEncoder(characters(), 12, 2)(docs).batches
    left, right = batch.halves()
    assert split(left) + split(right) == split(batch)
    assert (len(left), len(right)) == (2, 3)


def test_what_is_read_of_a_document() -> None:
    nlp = spacy.blank("zh")
    docs = [nlp.make_doc("好" * 25), nlp.make_doc("")]
    long, empty = PieceEncoder(characters(), 12, 2, max_windows=2)(docs).readings
    assert long == {"pieces": 25, "pieces_read": 18, "windows": 2}
    assert empty == {"pieces": 0, "pieces_read": 0, "windows": 1}


def characters() -> Tokenizer:
    """A tokenizer in which each character is a piece."""
    return tokenizer_of([*SPECIAL, "好"], "the test's own list")


def test_the_same_text_is_one_window() -> None:
    nlp = spacy.blank("zh")
    docs = [nlp.make_doc(text) for text in ("好", "好好", "好", "好")]
    encoded = PieceEncoder(characters(), 12, 2)(docs)
    assert [batch.lengths.tolist() for batch in encoded.batches] == [[3, 4]]
    assert encoded.windows.tolist() == [0, 1, 0, 0]


def test_a_pass_is_bounded_whatever_the_batch() -> None:
    nlp = spacy.blank("zh")
    docs = [nlp.make_doc("好" * n) for n in (30_000, 1, 500, 500)]
    made = PieceEncoder(characters(), 512, 64)(docs, is_train=True).batches
    assert max(len(batch.ids) for batch in made) <= MAX_BATCH_PIECES
    assert len(made) > 1


def test_tokenizer_json_comes_first_without_its_limits(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    tokenizer.add_tokens([AddedToken("牛肉面", normalized=False)])
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=32)
    tokenizer.save(str(folder / "tokenizer.json"))
    assert pieces(load_tokenizer(folder), "推荐牛肉面推荐") == ["推", "荐", "牛肉面", "推", "荐"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (None, ["a", "##b", "[UNK]"]),
        ({}, ["a", "##b", "[UNK]"]),
        ({"do_lower_case": True}, ["a", "##b", "[UNK]"]),
        ({"do_lower_case": False}, ["[UNK]", "[UNK]"]),
        ({"tokenize_chinese_chars": False}, ["[UNK]"]),
    ],
)
def test_tokenizer_config_is_honoured(
    settings: dict[str, bool] | None, expected: list[str], folder: Path
) -> None:
    if settings is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    assert pieces(load_tokenizer(folder), "AB囧") == expected


def test_windows_line_ends_are_no_part_of_a_piece(folder: Path) -> None:
    path = folder / "vocab.txt"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert pieces(load_tokenizer(folder), "好吃") == ["好", "吃"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n好".encode(), r"lacks the special piece \[SEP\]"),
        ("vocab.txt", "[PAD]\n好".encode("gbk"), "vocab.txt is not UTF-8"),
        ("vocab.txt", b"", "vocab.txt, line 1, is empty"),
        ("tokenizer.json", b"{", "tokenizer.json is not valid JSON"),
        ("tokenizer.json", b'{"model": {}}', "tokenizer.json: model = "),
        ("tokenizer_config.json", b"{", "tokenizer_config.json is not valid JSON"),
        ("tokenizer_config.json", b"[]", "tokenizer_config.json is not a JSON object"),
    ],
)
def test_broken_vocabularies_are_named(
    name: str, content: bytes, message: str, folder: Path
) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(BertZhError, match=message):
        load_tokenizer(folder)


def test_no_vocabulary(tmp_path: Path) -> None:
    with pytest.raises(BertZhError, match=r"expected vocab\.txt or tokenizer\.json"):
        load_tokenizer(tmp_path)
