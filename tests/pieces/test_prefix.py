"""What stands in front of each text: its pieces in every window, in every engine, stored."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from tokenizers.pre_tokenizers import Metaspace

from spacy_bert_zh.backbones.onnx.backbone import build_onnx_backbone_v1
from spacy_bert_zh.backbones.torch.backbone import build_torch_backbone_v1
from spacy_bert_zh.checkpoint import load_checkpoint, load_tokenizer, save_checkpoint
from spacy_bert_zh.checkpoint.saving import write_tokenizer
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pieces import PieceEncoder
from tests.conftest import close, initialized, make_docs

ENGINES = [build_torch_backbone_v1, build_onnx_backbone_v1]


def rows_of(encoder: PieceEncoder, texts: list[str]) -> list[list[int]]:
    """The windows of the texts, in their order."""
    encoded = encoder(make_docs(texts))
    rows = [
        part.tolist()
        for batch in encoded.batches
        for part in np.split(batch.ids, np.cumsum(batch.lengths)[:-1])
    ]
    return [rows[window] for window in encoded.windows]


def test_every_window_begins_with_it(checkpoint: Path) -> None:
    tokenizer = load_tokenizer(checkpoint)
    encoder = PieceEncoder(tokenizer, 8, 1, 0, "ab: ")
    text = "味道不错，推荐。" * 2
    front = tokenizer.encode("ab:").ids
    assert encoder.front == front and encoder.room == 6 - len(front) and encoder.is_apart
    rows = rows_of(encoder, [text, ""])
    assert all(row[1 : 1 + len(front)] == front and len(row) <= 8 for row in rows)
    assert rows[-1] == [2, *front, 3]
    # Overlapping by one piece, they are the text.
    inner = [row[1 + len(front) : -1] for row in rows[:-1]]
    assert [inner[0][0], *(id for part in inner for id in part[1:])] == tokenizer.encode(text).ids
    assert encoder(make_docs([text])).readings[0]["pieces"] == 16


def test_a_text_goes_on_with_the_word_of_a_prefix() -> None:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁问", "：", "▁", "好", "：好", "吃"]
    tokenizer = Tokenizer(Unigram([(piece, -1.0) for piece in pieces], unk_id=1))
    tokenizer.pre_tokenizer = Metaspace()
    encoder = PieceEncoder(tokenizer, 6, 0, 0, "问：")
    assert not encoder.is_apart
    first, second = rows_of(encoder, ["好吃吃吃"])
    assert [tokenizer.id_to_token(id) for id in first] == ["[CLS]", "▁问", "：好", "吃", "[SEP]"]
    assert second == [2, *encoder.front, 9, 9, 3]


@pytest.mark.parametrize("engine", ENGINES)
def test_vectors_are_those_of_the_longer_text(engine: Any, still: Path) -> None:
    plain, fronted = (engine(str(still), max_length=32, prefix=p) for p in (None, "ab: "))
    for model in (plain, fronted):
        model.initialize()
    found = fronted.predict(make_docs(["味道不错", "", "好"]))
    expected = plain.predict(make_docs(["ab: 味道不错", "ab: ", "ab: 好"]))
    np.testing.assert_array_equal(found, expected)
    # It is stored with the weights; another one can be set, or none.
    for prefix, same in ((None, found), ("", plain.predict(make_docs(["味道不错", "", "好"])))):
        again = engine(None, max_length=32, prefix=prefix).from_bytes(fronted.to_bytes())
        np.testing.assert_array_equal(again.predict(make_docs(["味道不错", "", "好"])), same)


@pytest.fixture
def prompted(still: Path, tmp_path: Path) -> Path:
    """A checkpoint of sentence-transformers that has a prompt by default."""
    folder = Path(shutil.copytree(still, tmp_path / "prompted"))
    prompts = {"prompts": {"query": "query: ", "passage": None}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    return folder


def test_the_checkpoint_has_a_default(prompted: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(str(prompted))
    assert checkpoint.prefix == "query: "
    save_checkpoint(checkpoint, tmp_path / "made")
    assert load_checkpoint(str(tmp_path / "made")).prefix == "query: "
    for given, expected in ((None, "query: "), ("", ""), ("a ", "a ")):
        model = build_torch_backbone_v1(str(prompted), max_length=32, prefix=given)
        model.initialize()
        shim: Any = model.shims[0]
        assert shim.checkpoint().prefix == shim._encoder.prefix == expected


def test_a_pipeline_keeps_it(make_pipeline: Callable[..., Any], tmp_path: Path) -> None:
    nlp = make_pipeline(prefix="ab: ")
    initialized(nlp)
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert loaded("味道不错").cats == close(nlp("味道不错").cats)
    assert loaded.config["components"]["bert_textcat"]["model"]["backbone"]["prefix"] == "ab: "


def test_plain_files_put_it_there_themselves(checkpoint: Path, tmp_path: Path, capsys: Any) -> None:
    tokenizer = load_tokenizer(checkpoint)
    write_tokenizer(tokenizer, tmp_path, 8, "ab: ")
    written = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    (row,) = rows_of(PieceEncoder(tokenizer, 8, 0, 1, "ab: "), ["味道不错，推荐。"])
    written.enable_truncation(8)
    assert written.encode("味道不错，推荐。").ids == row
    assert capsys.readouterr().out == ""
    write_tokenizer(tokenizer, tmp_path, 8, "ab")
    assert "in another way than with 'ab'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prefix": "味道" * 20}, r"the prefix '味道.*' takes 40 of max_length = 32 .* a shorter"),
        ({"prefix": "味" * 26}, r"no room for a text \(stride = 4\)"),
    ],
)
def test_one_that_is_too_long_is_refused(
    settings: dict[str, Any], message: str, still: Path
) -> None:
    model = build_torch_backbone_v1(str(still), max_length=32, **settings)
    with pytest.raises(BertZhError, match=message) as info:
        model.initialize()
    assert "\n" not in str(info.value)


@pytest.mark.parametrize(
    "content", ['{"prompts": []}', '{"default_prompt_name": 1}', "{", '{"prompts": {"a": 1}}']
)
def test_prompts_that_cant_be_right(content: str, prompted: Path) -> None:
    (prompted / "config_sentence_transformers.json").write_text(content)
    with pytest.raises(BertZhError, match=r"config_sentence_transformers\.json"):
        load_checkpoint(str(prompted))


def test_a_prefix_of_the_config_has_bounds(still: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(still, tmp_path / "copy"))
    config = json.loads((folder / "config.json").read_text())
    for prefix in (1, "好" * 2_000):
        (folder / "config.json").write_text(json.dumps({**config, "prefix": prefix}))
        with pytest.raises(BertZhError, match=r"config\.json: prefix"):
            load_checkpoint(str(folder))
