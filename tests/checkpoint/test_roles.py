"""Special pieces by role: wherever it is told, they get BERT's names and keep their ids."""

import json
from pathlib import Path
from typing import Any

import pytest

from spacy_bert_zh.checkpoint import load_tokenizer
from spacy_bert_zh.checkpoint.roles import new_names
from spacy_bert_zh.errors import BertZhError
from tests.backbones.families import FAIRSEQ, write_tokenizer

NAMES = ("[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]")
ODD = {"cls": "<开头>", "pad": "<空>", "sep": "<结尾>", "unk": "<不识>", "mask": "<遮>"}


def ids_of(folder: Path) -> list[int | None]:
    tokenizer = load_tokenizer(folder)
    return [tokenizer.token_to_id(name) for name in NAMES]


def write(folder: Path, name: str, content: Any) -> None:
    (folder / name).write_text(json.dumps(content), "utf-8")


@pytest.mark.parametrize("names", [FAIRSEQ, ODD])
def test_they_are_found_whatever_they_are_called(names: dict[str, str], tmp_path: Path) -> None:
    write_tokenizer(tmp_path, names)
    assert ids_of(tmp_path) == [0, 1, 2, 3, 4]
    tokenizer = load_tokenizer(tmp_path)
    masked = tokenizer.encode("味道[MASK]☃")
    assert masked.tokens[:3] == ["▁味道", "[MASK]", "▁"]
    assert masked.ids[1] == 4 and masked.ids[3] == list(names).index("unk")
    assert tokenizer.token_to_id(names["cls"]) is None


def test_the_post_processor_counts_more_than_the_files(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, FAIRSEQ)
    told = {"cls_token": "<mask>", "mask_token": {"content": "<s>"}, "pad_token": "<pad>"}
    write(tmp_path, "tokenizer_config.json", told)
    assert load_tokenizer(tmp_path).token_to_id("[CLS]") == 0


@pytest.mark.parametrize("content", [lambda piece: piece, lambda piece: {"content": piece}])
def test_the_files_tell_where_there_is_no_post_processor(content: Any, tmp_path: Path) -> None:
    write_tokenizer(tmp_path, FAIRSEQ)
    parts = json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))
    write(tmp_path, "tokenizer.json", {**parts, "post_processor": None})
    told = {"bos_token": "<s>", "eos_token": "</s>", "mask_token": "<mask>", "pad_token": "<pad>"}
    write(tmp_path, "special_tokens_map.json", {role: content(p) for role, p in told.items()})
    write(tmp_path, "tokenizer_config.json", {})
    assert ids_of(tmp_path) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", ["BertProcessing", "RobertaProcessing"])
def test_older_post_processors(kind: str, tmp_path: Path) -> None:
    write_tokenizer(tmp_path, FAIRSEQ)
    parts = json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))
    one: dict[str, Any] = {"type": kind, "cls": ["<s>", 0], "sep": ["</s>", 2]}
    both = {"type": "Sequence", "processors": [{"type": "ByteLevel"}, one]}
    write(tmp_path, "tokenizer_config.json", {"pad_token": "<pad>"})
    for processor in (one, both):
        write(tmp_path, "tokenizer.json", {**parts, "post_processor": processor})
        assert ids_of(tmp_path)[:4] == [0, 1, 2, 3]


def test_a_vocabulary_of_lines(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join([*FAIRSEQ.values(), "好"]), "utf-8")
    told = {f"{role}_token": piece for role, piece in FAIRSEQ.items()}
    write(tmp_path, "tokenizer_config.json", told)
    assert ids_of(tmp_path) == [0, 1, 2, 3, 4]
    assert load_tokenizer(tmp_path).encode("好<mask>").tokens[0] == "好"


def test_names_that_are_taken_change_places() -> None:
    pieces = ["[CLS]", "<s>", "</s>"]
    assert new_names(pieces, {"cls": "<s>"}) == {"<s>": "[CLS]", "[CLS]": "<s>"}
    assert new_names(pieces, {"cls": "[CLS]"}) == {}
    turned = {"cls": "</s>", "sep": "[CLS]"}
    assert new_names(pieces, turned) == {"</s>": "[CLS]", "[CLS]": "[SEP]"}


def test_without_a_role_a_piece_is_missed(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, FAIRSEQ)
    write(tmp_path, "tokenizer_config.json", {})
    with pytest.raises(BertZhError, match=r"lacks the special piece \[PAD\]"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("told", [{"cls_token": 1}, {"cls_token": ["<s>"]}, {"pad_token": {}}])
def test_what_is_no_name_is_refused(told: dict[str, Any], tmp_path: Path) -> None:
    write_tokenizer(tmp_path, FAIRSEQ)
    write(tmp_path, "special_tokens_map.json", told)
    with pytest.raises(BertZhError, match=r"special_tokens_map\.json[: ]") as info:
        load_tokenizer(tmp_path)
    assert "\n" not in str(info.value)


def test_a_sentencepiece_model_alone_says_how_to_convert_it(tmp_path: Path) -> None:
    (tmp_path / "sentencepiece.bpe.model").write_bytes(b"")
    with pytest.raises(BertZhError, match=r"expected .* make the latter .*save_pretrained"):
        load_tokenizer(tmp_path)
