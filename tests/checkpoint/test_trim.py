"""Vocabularies cut on load: the same pieces and scores wherever nothing of what went was used."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE

from spacy_bert_zh.backbones.torch.backbone import build_torch_backbone_v1
from spacy_bert_zh.checkpoint import Checkpoint, load_checkpoint, trim
from spacy_bert_zh.checkpoint.tokenizer import parse_tokenizer
from spacy_bert_zh.errors import BertZhError
from tests.backbones.families import write_family
from tests.conftest import TEXTS, make_docs

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = "embeddings.word_embeddings.weight"
SIGNS = "的味道不错米饭，。！ab1é▁ω"  # what stands alone in Chinese texts
OTHERS = "ωждиκα한글"

piece = st.text(SIGNS + OTHERS, min_size=1, max_size=4)
scores = st.integers(-60, 0).map(lambda tenths: tenths / 4)  # many are equal
vocabularies = st.dictionaries(piece, scores, min_size=1, max_size=60)
# With at most one foreign letter at a time.
chinese = st.lists(
    st.text(SIGNS.replace("ω", "") + "㊙ ", min_size=1, max_size=6), max_size=6
).flatmap(lambda parts: st.sampled_from("ωжκ한").map(lambda sign: sign.join(parts)))


def unigram(vocabulary: dict[str, float], **parts: Any) -> Tokenizer:
    model = {
        "type": "Unigram",
        "unk_id": 1,
        "vocab": [*([name, 0.0] for name in SPECIAL), *map(list, vocabulary.items())],
    }
    added = [{"id": id, "content": name, "special": True} for id, name in enumerate(SPECIAL)]
    # One whose id lies beyond those of the model.
    added.append({"id": len(model["vocab"]), "content": "<更多>", "special": True})
    splitter = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}
    whole = {"added_tokens": added, "pre_tokenizer": splitter, "model": model, **parts}
    return parse_tokenizer(json.dumps(whole), "tokenizer.json")


def of(tokenizer: Tokenizer) -> Checkpoint:
    """A checkpoint whose embeddings tell which piece they are of."""
    size = tokenizer.get_vocab_size() + 3  # rows that no piece has
    config = {"vocab_size": size, "pad_token_id": 0, "eos_token_id": size - 1}
    return Checkpoint(config, tokenizer, {WORDS: np.arange(size, dtype=np.float32)[:, None]})


def rows(checkpoint: Checkpoint, text: str) -> list[float]:
    """The embeddings of a text's pieces."""
    ids = checkpoint.tokenizer.encode(text, add_special_tokens=False).ids
    return [float(checkpoint.weights[WORDS][id, 0]) for id in ids]


@settings(max_examples=300, deadline=None)
@given(vocabularies, st.lists(chinese, max_size=5))
def test_chinese_texts_keep_their_pieces(vocabulary: dict[str, float], texts: list[str]) -> None:
    full = of(unigram(vocabulary))
    small = trim(full, "zh")
    for text in [*texts, "[MASK]<更多>不错"]:
        assert rows(small, text) == rows(full, text)
    dropped = full.tokenizer.get_vocab().keys() - small.tokenizer.get_vocab().keys()
    assert all(sum(c in OTHERS for c in name) > 1 for name in dropped)
    assert len(small.weights[WORDS]) == small.config["vocab_size"]
    assert small.config["vocab_size"] == small.tokenizer.get_vocab_size()
    assert small.config["eos_token_id"] is None and small.config["pad_token_id"] == 0


@settings(max_examples=100, deadline=None)
@given(st.sets(piece, max_size=40), st.lists(chinese, max_size=5))
def test_wordpiece_does_so_too(words: set[str], texts: list[str]) -> None:
    names = [*SPECIAL, *sorted(words | {f"##{word}" for word in words})]
    model = {"type": "WordPiece", "vocab": {name: id for id, name in enumerate(names)}}
    splitter = {"type": "BertPreTokenizer"}
    full = of(parse_tokenizer(json.dumps({"pre_tokenizer": splitter, "model": model}), "here"))
    small = trim(full, "zh")
    for text in texts:
        assert rows(small, text) == rows(full, text)


def test_a_corpus_keeps_what_its_lines_use(tmp_path: Path) -> None:
    vocabulary = {"不错": -1.0, "米饭": -1.0, "▁": -2.0, "不": -3.0, "饭": -9.0, "▁query": -4.0}
    full = of(unigram(vocabulary))
    (tmp_path / "corpus.txt").write_text("不错\n不错\n", "utf-8")
    small = trim(full.with_prefix("query "), str(tmp_path / "corpus.txt"))
    left = {"不错", "▁", "不", "饭", "▁query", "<更多>", *SPECIAL}  # a prefix is a text as well
    assert small.tokenizer.get_vocab().keys() == left
    assert rows(small, "不错") == rows(full, "不错")
    assert small.tokenizer.encode("饭").tokens == full.tokenizer.encode("饭").tokens


def test_the_lowest_score_and_bytes_stay() -> None:
    vocabulary = {"жд": -50.0, "дж": -2.0, "<0xE4>": -3.0, "不": -1.0}
    left = trim(of(unigram(vocabulary)), "zh").tokenizer.get_vocab()
    assert "жд" in left and "<0xE4>" in left and "дж" not in left


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_vectors_are_equal_to_the_bit(pooling: Any, tmp_path: Path) -> None:
    write_family("xlm-roberta", tmp_path / "full")
    full, small, cut = (
        build_torch_backbone_v1(str(tmp_path / "full"), max_length=32, pooling=pooling, trim=rule)
        for rule in (None, "zh", str(tmp_path / "texts"))
    )
    (tmp_path / "texts").write_text("\n".join(TEXTS), "utf-8")
    for model in (full, small, cut):
        model.initialize()
        np.testing.assert_array_equal(model.predict(make_docs()), full.predict(make_docs()))
    again = build_torch_backbone_v1(max_length=32, pooling=pooling, trim="zh")
    again.from_bytes(cut.to_bytes())  # what is stored is trimmed already
    np.testing.assert_array_equal(again.predict(make_docs()), full.predict(make_docs()))
    assert len(cut.to_bytes()) < len(small.to_bytes()) < len(full.to_bytes())


def test_the_head_of_masked_language_modelling_is_cut_too(checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    full = load_checkpoint(str(folder))
    (tmp_path / "texts").write_text("味道", "utf-8")
    small = trim(full, str(tmp_path / "texts"))
    assert len(small.weights["cls.predictions.bias"]) == small.config["vocab_size"]
    assert Checkpoint.from_bytes(small.to_bytes()).config == small.config


def test_what_cannot_be_is_said(tmp_path: Path) -> None:
    full = of(unigram({"不": -1.0}))
    (tmp_path / "gb.txt").write_bytes("中文".encode("gb18030"))
    for rule in ("de", str(tmp_path), str(tmp_path / "gb.txt"), "\0"):
        with pytest.raises(BertZhError, match=r'is neither "zh" nor a text file') as info:
            trim(full, rule)
        assert "\n" not in str(info.value)
    merged = Checkpoint(full.config, Tokenizer(BPE({"a": 0}, [])), {})
    with pytest.raises(BertZhError, match=r"can't cut a tokenizer of the kind BPE"):
        trim(merged, "zh")
