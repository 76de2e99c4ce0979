"""Pipelines of other languages than Chinese, or of none."""

from pathlib import Path

import pytest
import spacy

from spacy_bert_zh.loading import answer_all, load_pipeline
from tests.conftest import REPOSITORY, run_cli


@pytest.mark.parametrize("lang", ["en", "xx"])
def test_a_pipeline_of_another_language_works_the_same(
    lang: str, train_args: list[str], tmp_path: Path
) -> None:
    config = REPOSITORY / "configs" / "torch.cfg"
    run_cli("train", config, *train_args, "--output", tmp_path / "run", "--nlp.lang", lang)
    nlp = load_pipeline(tmp_path / "run" / "model-last")
    assert nlp.lang == lang
    good, bad = answer_all(nlp, ["味道不错，推荐！ very good", "难吃，太慢了 terrible"])
    assert good is not None and good.labels == ["pos"]
    assert bad is not None and bad.labels == ["neg"]
    loaded = spacy.load(tmp_path / "run" / "model-last")
    assert loaded("好吃").cats == nlp("好吃").cats
