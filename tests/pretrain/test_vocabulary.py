"""Vocabularies of pretraining: characters, Latin pieces, words."""

import json
import os
import string
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import Unigram

from spacy_bert_zh.checkpoint.saving import SPECIAL, pieces_of, write_tokenizer
from spacy_bert_zh.checkpoint.tokenizer import load_tokenizer, read_tokenizer
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pretrain import pretrain
from spacy_bert_zh.pretrain.joining import join_pieces
from spacy_bert_zh.pretrain.vocabulary import LETTERS, SIGNS, read_vocabulary, train_vocabulary
from tests.pretrain.pretraining import tiny

KEPT = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS), *SIGNS]
"""What every vocabulary of characters has; one of words has no ``##``."""


def own(tokenizer: Tokenizer) -> list[str]:
    """The pieces that are there for the corpus."""
    return [piece for piece in pieces_of(tokenizer) if piece not in KEPT]


def test_a_vocabulary_has_characters_and_frequent_latin_pieces():
    texts = ["我用iphone拍照", "新的iphone很贵", "iphone好"] * 20 + ["罕"]
    tokenizer = train_vocabulary(texts, len(KEPT) + 20)
    pieces = pieces_of(tokenizer)
    assert pieces[: len(KEPT)] == KEPT
    assert len(pieces) <= len(KEPT) + 20
    assert tokenizer.encode("我用iPhone").tokens == ["我", "用", "iphone"]
    assert "我用" not in pieces


def test_the_most_used_pieces_stay_when_there_is_little_room():
    texts = ["天地人"] * 9 + ["罕"]
    assert own(train_vocabulary(texts, len(KEPT) + 3)) == sorted("天地人")


def test_a_given_vocabulary_is_kept_and_extended(tmp_path):
    path = tmp_path / "vocab.txt"
    lines = [*SPECIAL, "甲", "乙", "a"]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    assert pieces_of(read_vocabulary(path)) == lines
    extended = pieces_of(train_vocabulary(["甲丙", "丙"], len(KEPT) + 3, lines))
    assert extended[:8] == lines
    assert sorted(extended) == sorted([*KEPT, "甲", "乙", "丙"])
    with pytest.raises(BertZhError, match=f"must be more than the {len(KEPT) + 2}"):
        train_vocabulary(["甲丙"], len(KEPT) + 2, lines)


def test_a_large_corpus_is_sampled_evenly(monkeypatch):
    monkeypatch.setattr("spacy_bert_zh.pretrain.vocabulary.SAMPLE", 1_000)
    early, late = ["甲乙丙丁戊"] * 1000, ["子丑寅卯辰"] * 1000
    pieces = own(train_vocabulary([*early, *late], len(KEPT) + 10))
    assert {"甲", "子"} <= set(pieces)


def small(words: bool) -> Tokenizer:
    """A vocabulary of ten lines."""
    return train_vocabulary(["今天天气不错，我们去公园吧"] * 10, 8_000, words=words)


@pytest.fixture(scope="module")
def smalls() -> list[Tokenizer]:
    return [small(False), small(True)]


@given(text=st.text(f"{string.ascii_letters}{string.digits}", min_size=1, max_size=100))
def test_letters_and_digits_are_never_unknown(smalls: list[Tokenizer], text: str) -> None:
    for tokenizer in smalls:
        encoding = tokenizer.encode(text, add_special_tokens=False)
        assert "[UNK]" not in encoding.tokens
        assert "".join(encoding.tokens).replace("##", "") == text.lower()


@given(text=st.text([*string.ascii_letters, *string.digits, *SIGNS, *"今天 \n"], max_size=60))
def test_nor_are_signs_beside_them(smalls: list[Tokenizer], text: str) -> None:
    for tokenizer in smalls:
        assert "[UNK]" not in tokenizer.encode(text, add_special_tokens=False).tokens


WORDS = st.text("abcde12", min_size=1, max_size=8)


@settings(deadline=None)
@given(counts=st.dictionaries(WORDS, st.integers(1, 5), max_size=20), data=st.data())
def test_joins_depend_on_counts_alone(counts: dict[str, int], data: st.DataObject) -> None:
    shuffled = dict(data.draw(st.permutations(list(counts.items()))))
    pieces = join_pieces(counts, 30)
    assert join_pieces(shuffled, 30) == pieces
    assert len(set(pieces)) == len(pieces)
    for piece in pieces:
        begun, bare = not piece.startswith("##"), piece.removeprefix("##")
        assert any(word.startswith(bare) if begun else bare in word[1:] for word in counts)
    joined = [piece for piece in pieces if len(piece.removeprefix("##")) > 1]
    if joined:  # the first of them is the pair of neighbours that is most frequent
        pairs: Counter[str] = Counter()
        for word, count in counts.items():
            for i in range(len(word) - 1):
                pairs[("##" if i else "") + word[i : i + 2]] += count
        assert pairs[joined[0]] == max(pairs.values())


TRAIN = """
import sys
from spacy_bert_zh.pretrain.vocabulary import train_vocabulary
import random
random.seed(0)
texts = ["".join(random.choices("abcdef天地人好坏123，。 ", k=30)) for _ in range(300)]
for words in (False, True):
    print(train_vocabulary(texts, 300, words=words).to_str())
"""


def test_every_process_trains_the_same_vocabulary() -> None:
    settings = ({"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2", "RAYON_NUM_THREADS": "1"})
    made = {
        subprocess.run(
            [sys.executable, "-c", TRAIN],
            env={**os.environ, **changes},
            capture_output=True,
            check=True,
        ).stdout
        for changes in (*settings, {"TOKENIZERS_PARALLELISM": "false"})
    }
    assert len(made) == 1


TEXTS = ["我在北京大学读书", "北京很大", "这家店的iPhone很好，推荐", "ＡＢ公司在北京"] * 20


@pytest.fixture(scope="module")
def words() -> Tokenizer:
    return train_vocabulary(TEXTS, 150, words=True)


def test_frequent_words_are_pieces(words: Tokenizer) -> None:
    assert words.encode("北京大学的店").tokens == ["北京大学", "的", "店"]
    assert words.encode("大北京，iphone").tokens == ["大", "北京", "，", "iphone"]
    assert pieces_of(words)[:5] == list(SPECIAL)
    assert len(pieces_of(words)) <= 150


@settings(deadline=None)
@given(text=st.lists(st.sampled_from([*"北京大学我在读书，iab ", "北京", "[SEP]"])).map("".join))
def test_pieces_of_words_are_the_text_again(words: Tokenizer, text: str) -> None:
    encoding = words.encode(text, add_special_tokens=False)
    ends = [0]
    for start, end in encoding.offsets:
        assert not text[ends[-1] : start].strip()
        ends.append(end)
    assert not text[ends[-1] :].strip()


def test_no_length_is_too_long_for_words(words: Tokenizer) -> None:
    assert len(words.encode("北京大" * 5_000).ids) == 10_000


def test_given_pieces_stay_but_for_those_that_go_on_a_word() -> None:
    given = [*SPECIAL, "甲", "##a", "a"]
    pieces = pieces_of(train_vocabulary(TEXTS, 150, given, words=True))
    assert pieces[:7] == [*SPECIAL, "甲", "a"]


def test_transformers_cuts_into_the_same_words(words: Tokenizer, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    write_tokenizer(words, tmp_path, 64)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}), "utf-8")
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    ours = load_tokenizer(tmp_path)
    text = "我在ＡＢ公司，北京的iPhone"
    cls, sep = ours.token_to_id("[CLS]"), ours.token_to_id("[SEP]")
    ids = ours.encode(text, add_special_tokens=False).ids
    assert theirs(text)["input_ids"] == [cls, *ids, sep]
    assert (theirs.mask_token, theirs.pad_token_id) == ("[MASK]", ours.token_to_id("[PAD]"))
    assert theirs.model_max_length == 64


def test_words_from_the_command_line_and_from_a_file(text: Path, tmp_path: Path) -> None:
    made = pretrain(text, tmp_path / "bert", tiny(words=True, vocab_size=200))
    tokenizer = load_tokenizer(made)
    assert any(len(piece) > 1 for piece in pieces_of(tokenizer)[len(SPECIAL) :])
    again = pretrain(text, tmp_path / "again", tiny(vocabulary=made / "tokenizer.json"))
    assert pieces_of(load_tokenizer(again)) == pieces_of(tokenizer)
    assert read_vocabulary(made / "tokenizer.json").to_str() == load_tokenizer(made).to_str()


def test_a_json_that_is_no_tokenizer_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}", "utf-8")
    with pytest.raises(BertZhError, match="lacks model"):
        read_tokenizer(tmp_path / "tokenizer.json")
    Tokenizer(Unigram([("[UNK]", 0.0)], unk_id=0)).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(BertZhError, match="lacks the special piece"):
        read_vocabulary(tmp_path / "tokenizer.json")


def test_words_need_room_beside_a_given_vocabulary(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(SPECIAL) + "\n", "utf-8")
    with pytest.raises(BertZhError, match="--words extends --vocabulary"):
        tiny(words=True, vocabulary=tmp_path / "vocab.txt")
