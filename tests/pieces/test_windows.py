"""What is said of how much a pipeline reads is what it reads."""

from typing import Any

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st

from spacy_bert_zh.pieces.encoder import windows
from spacy_bert_zh.pieces.windows import describe_reading, find_backbone, pieces_read
from tests.conftest import REPOSITORY


@given(st.integers(3, 60), st.data(), st.integers(1, 5))
def test_the_pieces_read_are_those_of_the_windows(
    max_length: int, data: st.DataObject, most: int
) -> None:
    stride = data.draw(st.integers(0, max_length - 3))
    settings = {"max_length": max_length, "stride": stride, "max_windows": most}
    spans = windows(100_000, max_length - 2, stride, most)
    assert pieces_read(settings) == spans[-1][1]
    assert pieces_read({**settings, "max_windows": 0}) is None


BACKBONE = {"max_length": 128, "stride": 16, "max_windows": 2}


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"backbone": BACKBONE}, "the first 236 pieces of a text. What comes after plays no part."),
        ({"backbone": BACKBONE, "linear_model": {}}, "What comes after plays a part as well"),
        ({"backbone": {**BACKBONE, "stride": None}}, "at most 2 of them: the first 236 pieces"),
        ({"backbone": {"max_length": 128}}, "at most 2 of them: the first 236 pieces"),
        ({"backbone": {**BACKBONE, "max_windows": 0}}, "in several windows, to its end."),
    ],
)
def test_the_sentence(model: dict[str, Any], said: str) -> None:
    assert said in (describe_reading({"model": model}) or "")


def test_our_own_factories_say_it() -> None:
    nlp = spacy.blank("zh")
    nlp.add_pipe("bert_textcat")
    sentence = describe_reading(nlp.config.interpolate()["components"]["bert_textcat"])
    assert sentence and "the first 236 pieces of a text. What comes after plays a part" in sentence


def test_of_other_models_nothing_is_said() -> None:
    assert describe_reading({"factory": "textcat", "model": {}}) is None
    assert describe_reading({"factory": "sentencizer"}) is None
    for broken in (
        None,
        [],
        {"max_length": "128", "stride": 16},
        {"max_length": 128, "stride": ""},
    ):
        assert describe_reading({"model": {"backbone": broken}}) is None


def test_text_behind_the_windows_of_the_ensemble_does_play_a_part(make_pipeline: Any) -> None:
    """The claim that the sentence corrects."""
    nlp = spacy.blank("zh")
    linear = {"@architectures": "spacy_bert_zh.NgramLinear.v1", "ngram_size": 1, "length": 64}
    backbone = make_pipeline(max_length=8, stride=0, max_windows=1).config["components"][
        "bert_textcat"
    ]["model"]["backbone"]
    model = {
        "@architectures": "spacy_bert_zh.BertTextCatEnsemble.v1",
        "exclusive_classes": True,
        "linear_model": linear,
        "backbone": backbone,
    }
    pipe: Any = nlp.add_pipe("bert_textcat", config={"model": model})
    for label in ("neg", "pos"):
        pipe.add_label(label)
    nlp.initialize()
    *_, ngrams = pipe.model.layers
    ngrams.set_param("W", ngrams.get_param("W") + 0.1 * ngrams.ops.xp.eye(64, 2, dtype="f"))
    assert nlp("好" * 6).cats != nlp("好" * 6 + "难吃米饭外卖老板").cats
    sentence = describe_reading(nlp.config["components"]["bert_textcat"])
    assert sentence and "plays a part as well" in sentence


def test_the_configs_tell_their_backbone() -> None:
    for name in ("torch", "ensemble", "multilabel", "tensorflow"):
        backbone = find_backbone(REPOSITORY / "configs" / f"{name}.cfg")
        assert (backbone["max_length"], pieces_read(backbone)) == (128, 236)
    assert pieces_read(find_backbone(None)) == 236
    assert find_backbone(REPOSITORY / "configs" / "shared.cfg") == {}
