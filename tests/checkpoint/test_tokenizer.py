"""Tokenizers of others: steps that are known, values within bounds, nothing that panics."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import Unigram

from spacy_bert_zh.checkpoint.charsmap import check_charsmap
from spacy_bert_zh.checkpoint.folder import Checkpoint, load_checkpoint, pack, unpack
from spacy_bert_zh.checkpoint.tokenizer import load_tokenizer, parse_tokenizer
from spacy_bert_zh.errors import BertZhError

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = {piece: i for i, piece in enumerate([*SPECIAL, "好", "吃", "##吃", "a"])}
WORDPIECE: dict[str, Any] = {"type": "WordPiece", "vocab": WORDS}
UNIGRAM: dict[str, Any] = {
    "type": "Unigram",
    "unk_id": 1,
    "vocab": [*([piece, 0.0] for piece in SPECIAL), ["▁好", -1.0], ["吃", -2], ["▁", -3]],
}
PLAIN: dict[str, Any] = {
    "version": "1.0",
    "truncation": {"max_length": 1, "stride": 0, "direction": "Right", "strategy": "LongestFirst"},
    "padding": {"strategy": {"Fixed": 10**9}, "pad_id": 0, "pad_token": "[PAD]"},
    "added_tokens": [{"id": 1, "content": "[UNK]", "special": True}],
    "normalizer": {"type": "BertNormalizer", "strip_accents": None},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "ByteLevel"},
    "decoder": {"type": "Replace", "pattern": {"Regex": "("}, "content": ""},
    "model": WORDPIECE,
}


def read(**parts: Any) -> Tokenizer:
    return parse_tokenizer(json.dumps({**PLAIN, **parts}), "tokenizer.json")


def pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    return tokenizer.encode(text, add_special_tokens=False).tokens


def test_padding_truncation_and_what_adds_pieces_are_left_out() -> None:
    assert pieces(read(), "好吃吃A") == ["好", "吃", "吃", "a"]
    assert read().encode("好").tokens == ["好"]


def charsmap(units: list[int], replacements: bytes) -> str:
    table = np.asarray(units, "<u4").tobytes()
    return base64.b64encode(len(table).to_bytes(4, "little") + table + replacements).decode()


def a_to_x() -> list[int]:
    """A double array that holds "a" alone, whose replacement begins at byte 0."""
    units = [0] * 1024
    units[0] = 1 << 10  # the root's children are around place 1 …
    place = 1 ^ ord("a")
    units[place] = ord("a") | 1 << 8 | (512 ^ place) << 10  # … this one has a leaf at 512
    units[512] = 1 << 31
    return units


GOOD = charsmap(a_to_x(), b"x\0")


def test_the_steps_of_xlm_r_are_read() -> None:
    normalizer = {
        "type": "Sequence",
        "normalizers": [
            {"type": "Precompiled", "precompiled_charsmap": GOOD},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        ],
    }
    splitter = {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "WhitespaceSplit"},
            {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True, "str_rep": "▁"},
        ],
    }
    tokenizer = read(normalizer=normalizer, pre_tokenizer=splitter, model=UNIGRAM)
    assert tokenizer.normalizer.normalize_str("aba  a") == "xbx x"
    assert pieces(tokenizer, "好吃 好") == ["▁好", "吃", "▁好"]


HOSTILE_NORMALIZERS = [
    {"type": "ByteLevel"},
    {"type": "Prepend", "prepend": "字" * 1000},
    {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""},
    {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"},
    {"type": "Replace", "pattern": {"String": ""}, "content": "a"},
    {"type": "Replace", "pattern": {"String": "aa", "Regex": " {2,}"}, "content": "a"},
    {"type": "Precompiled", "precompiled_charsmap": ""},
    {"type": "Precompiled", "precompiled_charsmap": "!"},
    {"type": "Precompiled", "precompiled_charsmap": "/////w=="},
    {"type": "Sequence", "normalizers": [{"type": "Sequence", "normalizers": []}]},
    {"type": "Sequence", "normalizers": [{"type": "NFKC"}] * 100},
    {"type": "BertNormalizer", "lowercase": "yes"},
    {"type": "BertNormalizer", "other": 1},
    {"type": None},
    [],
    "BertNormalizer",
]
HOSTILE_SPLITTERS = [
    {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False},
    {"type": "ByteLevel", "add_prefix_space": True},
    {"type": "Metaspace", "replacement": "ab"},
    {"type": "Metaspace", "replacement": ""},
    {"type": "Unknown"},
]
HOSTILE_MODELS = [
    None,
    {},
    {"type": "BPE", "vocab": {}, "merges": []},
    {"type": "WordPiece", "vocab": {}},
    {"type": "WordPiece", "vocab": {"[UNK]": 0}},
    {**WORDPIECE, "vocab": {**WORDS, "b": 10**9}},
    {**WORDPIECE, "vocab": {**WORDS, "b": 3}},
    {**WORDPIECE, "vocab": {**WORDS, "b": -1}},
    {**WORDPIECE, "vocab": {**WORDS, "b": True}},
    {**WORDPIECE, "vocab": {**WORDS, "b": "8"}},
    {**WORDPIECE, "vocab": {**WORDS, "": 8}},
    {**WORDPIECE, "vocab": {**WORDS, "字" * 100_000: 8}},
    {**WORDPIECE, "vocab": {**WORDS, "\ud800": 8}},
    {**WORDPIECE, "max_input_chars_per_word": 10**9},
    {**WORDPIECE, "unk_token": "好"},
    {**UNIGRAM, "unk_id": None},
    {**UNIGRAM, "unk_id": 99},
    {**UNIGRAM, "vocab": []},
    {**UNIGRAM, "vocab": [*UNIGRAM["vocab"], ["吃", 0.0]]},
    {**UNIGRAM, "vocab": [*UNIGRAM["vocab"], ["b", float("nan")]]},
    {**UNIGRAM, "vocab": [*UNIGRAM["vocab"], ["b", 1e300]]},
    {**UNIGRAM, "vocab": [*UNIGRAM["vocab"], ["b"]]},
    {**UNIGRAM, "vocab": [*UNIGRAM["vocab"], ["字" * 1_000_000, 0.0]]},
]
HOSTILE_TOKENS = [
    [{"id": 8, "content": ""}],
    [{"id": 10**9, "content": "b"}],
    [{"id": 8, "content": "b"}, {"id": 8, "content": "c"}],
    [{"id": -1, "content": "b"}],
    [{"id": 8, "content": "b", "special": 1}],
    [{"id": 8, "content": "b", "regex": "a+"}],
    [{"id": 8}],
    {"b": 8},
]


@pytest.mark.parametrize(
    "parts",
    [
        *({"normalizer": part} for part in HOSTILE_NORMALIZERS),
        *({"pre_tokenizer": part} for part in HOSTILE_SPLITTERS),
        *({"model": part} for part in HOSTILE_MODELS),
        *({"added_tokens": part} for part in HOSTILE_TOKENS),
    ],
    ids=lambda parts: str(parts)[:60],
)
def test_what_is_hostile_is_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(BertZhError, match=r"tokenizer\.json") as info:
        read(**parts)
    assert "\n" not in str(info.value) and len(str(info.value)) < 1_000


def test_the_same_holds_inside_a_stored_backbone(checkpoint: Path) -> None:
    whole = load_checkpoint(str(checkpoint))
    assert Checkpoint.from_bytes(whole.to_bytes()).tokenizer.to_str() == whole.tokenizer.to_str()
    hostile = Tokenizer(Unigram([(piece, 0.0) for piece in SPECIAL], unk_id=0))
    hostile.add_tokens(["b" * 1000])
    data = pack(Checkpoint(whole.config, hostile, {}), "graph", b"x")
    with pytest.raises(BertZhError, match=r"The stored tokenizer\.json: added_tokens\.0"):
        unpack(data, "graph")


@settings(max_examples=200, deadline=None)
@given(
    place=st.integers(0, 1023) | st.sampled_from([0, 1 ^ ord("a"), 512]),
    value=st.integers(0, 2**32 - 1),
    text=st.text(st.sampled_from("ab字\0é"), max_size=20),
)
def test_a_table_of_characters_that_passes_never_panics(place: int, value: int, text: str) -> None:
    units = a_to_x()
    units[place] = value
    given_map = charsmap(units, b"x\0yz\0\xe5\xad\x97\0")
    try:
        check_charsmap(given_map)
    except ValueError:
        return
    read(normalizer={"type": "Precompiled", "precompiled_charsmap": given_map}).encode(text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\na\n", "line 7, has the piece 'a' of line 5 again"),
        ("[PAD]\n[UNK]\n\n[CLS]\n[SEP]\n", "line 3, is empty"),
        ("a\nb\n", r"lacks the special piece \[CLS\]"),
        ("", "line 1, is empty"),
        ("[PAD]\n" + "字" * 300, "line 2, is too long"),
        ("[PAD]\n[UNK]\n[CLS]\n[SEP]\n字\n".encode("gb18030"), "is not UTF-8"),
        ("[PAD]\n[UNK]\n[CLS]\n[SEP]\n".encode("utf-16"), "is not UTF-8"),
    ],
)
def test_vocabularies_that_cant_be_right(content: Any, message: str, tmp_path: Path) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "vocab.txt").write_bytes(data)
    with pytest.raises(BertZhError, match=message):
        load_tokenizer(tmp_path)


def test_a_vocabulary_as_windows_writes_it(tmp_path: Path) -> None:
    lines = [*SPECIAL, "好"]
    (tmp_path / "vocab.txt").write_bytes(("\ufeff" + "\r\n".join(lines) + "\r\n").encode())
    assert load_tokenizer(tmp_path).get_vocab() == {piece: i for i, piece in enumerate(lines)}


@pytest.mark.parametrize("value", ["yes", 1, None, [], {}])
def test_settings_of_other_types(value: Any, tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(SPECIAL))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": value}))
    with pytest.raises(BertZhError, match=r"tokenizer_config\.json: do_lower_case"):
        load_tokenizer(tmp_path)


def test_bpe_says_what_to_take() -> None:
    whole = json.dumps({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}})
    with pytest.raises(BertZhError, match=r"there is a BPE .* take a checkpoint with"):
        parse_tokenizer(whole, "there")
