"""Text inside a TensorFlow graph: the pieces of `tokenizers` and the n-grams of NumPy, exactly."""

import json
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import BPE, Unigram, WordPiece
from tokenizers.normalizers import NFKC, BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, Whitespace

pytest.importorskip("tensorflow", reason="the extra [tensorflow] is not installed")

import tensorflow as tf

from spacy_bert_zh.checkpoint.tokenizer import load_tokenizer
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.export.savedmodel.ngrams import TextNgrams
from spacy_bert_zh.export.savedmodel.pieces import TextPieces
from spacy_bert_zh.pieces.encoder import EMBEDDED, PieceEncoder, windows
from spacy_bert_zh.textcat.hashing import NgramTable, find_rows, ngram_features
from tests.conftest import TEXTS, make_docs
from tests.pieces.test_texts import ODD

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXT = [tf.TensorSpec([None], tf.string)]
CODES = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]

# Accents that the normalizer keeps: of two side by side, Unicode's order may swap the two.
_plain = BertNormalizer().normalize_str
ACCENTS = "".join(chr(code) for code in CODES if any(map(unicodedata.combining, _plain(chr(code)))))

anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=ACCENTS), max_size=8)
likely = st.text(
    "的味道不错米饭，。！ab1 é\u0301İΣς한ᄒ\t\u3000\x00\ufffd\xad😀🏽\u200d[]#豈𠮷", max_size=8
)
spelled = st.sampled_from([*SPECIAL, "[[SEP]]", "[SEP", "[sep]", "SEP]", "unaffable", "abab", "的"])
texts_of = st.lists(
    st.lists(anything | likely | spelled | st.text("abc", max_size=12), max_size=8).map("".join),
    max_size=5,
)

Cut = Callable[[list[str]], None]


def with_steps(model: Any, normalizer: Any, added: list[Any] = SPECIAL) -> Tokenizer:
    tokenizer = Tokenizer(model)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.add_special_tokens(added)
    return tokenizer


def word_piece(prefix: str, most: int) -> WordPiece:
    """Pieces of many lengths; the prefix alone and an empty piece are of no use."""
    pieces = ["a", "ab", "un", "é", "E", "的", "味道", "한", "ᄒ", "#", "豈", "\ufffd", "", prefix]
    pieces += [prefix + end for end in ("a", "b", "ba", "aff", "able", "的", "é", "e", "ᅡ", "ᆫ")]
    vocab = {piece: id for id, piece in enumerate(dict.fromkeys([*SPECIAL, *pieces]))}
    return WordPiece(
        vocab,
        unk_token="[UNK]",
        max_input_chars_per_word=most,
        continuing_subword_prefix=prefix,
    )


def even_unigram() -> Unigram:
    """Whole scores, so that many ways through a word are equally good."""
    pieces = {"a": -1, "b": -2, "ab": -3, "ba": -3, "aba": -4, "bb": -3, "cab": -25, "味道": -2}
    return Unigram([*((piece, -9.0) for piece in SPECIAL), *pieces.items()], unk_id=1)


TOKENIZERS: dict[str, Callable[[Path], Tokenizer]] = {
    "checkpoint": load_tokenizer,
    "embedded unigram": lambda _: load_tokenizer(EMBEDDED),
    "cased": lambda _: with_steps(word_piece("##", 100), BertNormalizer(lowercase=False)),
    "short words": lambda _: with_steps(
        word_piece("@", 6), BertNormalizer(handle_chinese_chars=False, strip_accents=False)
    ),
    "not cleaned": lambda _: with_steps(
        word_piece("##", 100), BertNormalizer(clean_text=False, lowercase=False, strip_accents=True)
    ),
    "not normalized": lambda _: with_steps(word_piece("", 100), None),
    # Longer pieces go first, wherever added ones overlap; some have ids beyond the vocabulary.
    "equal scores": lambda _: with_steps(
        even_unigram(), BertNormalizer(), [*SPECIAL, "b[S", "[SEP]]", "的味"]
    ),
}
# max_length, stride and max_windows of each.
WINDOWS = [(6, 1, 0), (16, 4, 3), (3, 0, 0), (8, 5, 2), (512, 64, 0), (7, 0, 1), (10, 3, 0)]


@pytest.fixture(scope="module", params=zip(TOKENIZERS, WINDOWS, strict=True), ids=list(TOKENIZERS))
def same(request: pytest.FixtureRequest, checkpoint: Path) -> Cut:
    """Check that some texts are cut as the tokenizer does it."""
    name, (max_length, stride, most) = request.param
    tokenizer = TOKENIZERS[name](checkpoint)
    cut = tf.function(TextPieces(tokenizer, max_length, stride, most), input_signature=TEXT)

    def check(texts: list[str]) -> None:
        cls, sep = (tokenizer.token_to_id(piece) for piece in ("[CLS]", "[SEP]"))
        expected = [
            (row, [cls, *encoding.ids[start:end], sep])
            for row, encoding in enumerate(tokenizer.encode_batch(texts, add_special_tokens=False))
            for start, end in windows(len(encoding.ids), max_length - 2, stride, most)
        ]
        assert windows_of(cut(tf.constant(texts, tf.string))) == expected

    return check


def test_a_prefix_begins_every_window(checkpoint: Path) -> None:
    tokenizer = load_tokenizer(checkpoint)
    encoder = PieceEncoder(tokenizer, 9, 1, 0, "ab: ")
    docs = make_docs([*TEXTS, "好" * 40])
    encoded = encoder(docs, is_train=True)
    cut = TextPieces(tokenizer, 9, 1, 0, "ab: ")
    rows = [
        tuple(part.tolist())
        for batch in encoded.batches
        for part in np.split(batch.ids, np.cumsum(batch.lengths)[:-1])
    ]
    expected = [
        (doc, list(rows[window]))
        for doc, window in zip(encoded.docs.tolist(), encoded.windows.tolist(), strict=True)
    ]
    assert windows_of(cut(tf.constant([doc.text for doc in docs]))) == expected
    with pytest.raises(BertZhError, match="can't put the prefix 'ab' in front"):
        TextPieces(tokenizer, 9, 1, 0, "ab")


def windows_of(found: Any) -> list[tuple[int, list[int]]]:
    """The text and the pieces of each window; checks the padding."""
    ids, lengths, owners = (part.numpy() for part in found)
    assert ids.dtype == lengths.dtype == owners.dtype == np.int32
    assert not len(ids) or ids.shape[1] == lengths.max()
    assert not ids[np.arange(ids.shape[1]) >= lengths[:, None]].any()
    rows = zip(owners, ids, lengths, strict=True)
    return [(int(owner), row[:length].tolist()) for owner, row, length in rows]


@settings(deadline=None, max_examples=100)
@given(texts=texts_of)
def test_pieces_are_those_of_the_tokenizer(same: Cut, texts: list[str]) -> None:
    same(texts)


def test_every_character_is_read_as_the_tokenizer_does(same: Cut) -> None:
    codes = CODES[:0x20000] + CODES[0x20000::16]
    same(["".join(f"a{chr(code)}" for code in codes[i : i + 64]) for i in range(0, len(codes), 64)])


def test_odd_long_and_no_texts(same: Cut) -> None:
    same([])
    same(list(ODD.values()))
    same(["味道不错米饭ab" * 2500, "", "a" * 20_000, "的，" * 10_000])
    same(["a" * size for size in (5, 6, 7, 100, 101)])


def test_broken_utf_8_reads_as_replacement_characters() -> None:
    tokenizer = with_steps(word_piece("##", 100), None)
    cut = TextPieces(tokenizer, 16, 0, 0)
    broken, mended = (cut(tf.constant([text])) for text in (b"a \xff \xe5\xa5", "a \ufffd \ufffd"))
    assert windows_of(broken) == windows_of(mended)


WHOLE = [*((piece, -1.0) for piece in SPECIAL), ("a", -2.0)]


@pytest.mark.parametrize(
    ("tokenizer", "named"),
    [
        (with_steps(word_piece("##", 100), NFKC()), "the normalizer NFKC"),
        (with_steps(BPE(unk_token="[UNK]"), None), "the model BPE"),
        (with_steps(Unigram(WHOLE, unk_id=1, byte_fallback=True), None), "byte fallback"),
        (with_steps(Unigram(WHOLE), None), "no unknown piece"),
        (with_steps(WordPiece({"a": 0}, unk_token="?"), None), "no unknown piece"),
        (with_steps(word_piece("##", 9), None, [AddedToken("的", lstrip=True)]), "lstrip"),
    ],
)
def test_other_tokenizers_are_refused(tokenizer: Tokenizer, named: str) -> None:
    with pytest.raises(BertZhError, match=named):
        TextPieces(tokenizer, 16, 0, 0)
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.normalizer = BertNormalizer()
    with pytest.raises(BertZhError, match="the pre-tokenizer Whitespace"):
        TextPieces(tokenizer, 16, 0, 0)


WEIGHTS = np.random.default_rng(0).standard_normal((1021, 3), dtype=np.float32)


TABLES = [
    NgramTable(WEIGHTS, 1, 1021),
    NgramTable(WEIGHTS, 3, 1021),
    NgramTable(WEIGHTS, 3, 2042, np.arange(0, 2042, 2, dtype="int32")),
    NgramTable(WEIGHTS[:0], 3, 2042, np.zeros(0, dtype="int32")),
]


@pytest.fixture(scope="module", params=TABLES)
def linear(request: pytest.FixtureRequest) -> tuple[NgramTable, Any]:
    """A table, and the model of it in a graph."""
    return request.param, tf.function(TextNgrams(request.param), input_signature=TEXT)


def logits_of(texts: list[str], table: NgramTable) -> Any:
    owners, hashes, scores = ngram_features(texts, table.ngram_size, table.length)
    known, rows = find_rows(table.keys, hashes)
    logits = np.zeros((len(texts), 3), dtype=np.float32)
    np.add.at(logits, owners[known], table.weights[rows] * scores[known, None])
    return logits


@settings(deadline=None)
@given(texts=st.lists(st.text() | likely, max_size=5))
def test_logits_are_those_of_numpy(linear: tuple[NgramTable, Any], texts: list[str]) -> None:
    table, graph = linear
    found = graph(tf.constant(texts, tf.string)).numpy()
    np.testing.assert_allclose(found, logits_of(texts, table), rtol=1e-6, atol=2e-6)


def test_logits_of_odd_long_and_cased_texts(linear: tuple[NgramTable, Any]) -> None:
    table, graph = linear
    texts = [*ODD.values(), "味道不错，" * 4000, "".join(map(chr, CODES[:20_000]))]
    found = graph(tf.constant(texts)).numpy()
    np.testing.assert_allclose(found, logits_of(texts, table), rtol=1e-6, atol=1e-5)
    assert not found[0].any()


LOAD = """
import json, sys
import tensorflow as tf
module = tf.saved_model.load(sys.argv[1])
found = module.serve(tf.constant(json.loads(sys.argv[2])))
assert "spacy_bert_zh" not in sys.modules and "tokenizers" not in sys.modules
print(json.dumps([part.numpy().tolist() for part in found]))
"""


def test_a_saved_graph_needs_nothing_but_tensorflow(tmp_path: Path) -> None:
    module = tf.Module()
    module.pieces = TextPieces(load_tokenizer(EMBEDDED), 8, 2, 0)
    module.ngrams = TextNgrams(NgramTable(WEIGHTS, 3, len(WEIGHTS)))
    module.serve = tf.function(
        lambda texts: (*module.pieces(texts), module.ngrams(texts)), input_signature=TEXT
    )
    tf.saved_model.save(module, tmp_path)
    # All tables and the vocabulary of 24,000 pieces.
    assert (tmp_path / "saved_model.pb").stat().st_size < 4e6
    texts = ["味道不错，推荐给你们大家。[SEP]", "", "Ünknown 𠮷"]
    command = [sys.executable, "-c", LOAD, str(tmp_path), json.dumps(texts)]
    loaded = subprocess.run(command, capture_output=True, check=True, cwd=tmp_path, text=True)
    expected = [part.numpy().tolist() for part in module.serve(tf.constant(texts))]
    assert json.loads(loaded.stdout.splitlines()[-1]) == expected
