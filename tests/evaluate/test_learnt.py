"""What learnt nothing is an error: by its training, its metrics, or what it was packaged from."""

import json
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.cli._util import parse_config_overrides
from spacy.tokens import DocBin
from typer.testing import CliRunner

from spacy_bert_zh.cli import app
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate.learnt import best_constant, check_metrics, check_record
from spacy_bert_zh.evaluate.predictions import find_gold
from spacy_bert_zh.files.outputs import RECORD
from spacy_bert_zh.package.flow import check_learnt, package
from spacy_bert_zh.train.flow import train
from tests.conftest import REPOSITORY, make_examples

CONFIG = REPOSITORY / "configs" / "torch.cfg"
STEPS = "training.optimizer.learn_rate.total_steps"
NO_BETTER = r"is no better than always answering 'neg': accuracy 0\.5000, .* reaches 0\.5000"


def micro_f1(gold: np.ndarray, predicted: np.ndarray) -> float:
    return 2 * (gold * predicted).sum() / max(gold.sum() + predicted.sum(), 1)


@given(
    st.integers(1, 5).flatmap(
        lambda labels: st.lists(
            st.lists(st.sampled_from([0.0, 1.0, np.nan]), min_size=labels, max_size=labels),
            min_size=1,
            max_size=8,
        )
    )
)
def test_no_answer_that_never_changes_is_better(rows: list[list[float]]) -> None:
    gold, known = find_gold(np.array(rows), exclusive=False)
    names = [f"类{i}" for i in range(gold.shape[1])]
    found = best_constant(names, gold.sum(axis=0), known.sum(axis=0), exclusive=False)
    sets = chain.from_iterable(combinations(range(len(names)), n) for n in range(len(names) + 1))
    answers = [np.isin(np.arange(len(names)), chosen) & known for chosen in sets]
    assert found["micro_f1"] == pytest.approx(max(micro_f1(gold, answer) for answer in answers))
    own = np.isin(names, found["labels"]) & known
    assert found["micro_f1"] == pytest.approx(micro_f1(gold, own))


def test_of_exclusive_labels_it_is_the_commonest() -> None:
    support, texts = np.array([2, 5, 3]), np.array([10, 10, 10])
    found = best_constant(["甲", "乙", "丙"], support, texts, exclusive=True)
    assert found == {"labels": ["乙"], "micro_f1": 0.5}


def said(reached: float, constant: float, exclusive: bool = True) -> dict[str, Any]:
    answer = {"labels": ["neg"], "micro_f1": constant}
    return {"exclusive": exclusive, "micro_f1": reached, "constant": answer}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"step": 9, "classifiers": {"a": said(0.9, 0.5), "b": said(0.5, 0.5)}}, "'b' on dev"),
        ({"step": 9, "classifiers": {"a": said(0.5 + 1e-12, 0.5)}}, "no better"),
        ({"step": 9, "classifiers": {"a": said(0.1, 0.2, False)}}, "micro F1 0.1000.*--threshold"),
        ({"step": 9, "classifiers": {"a": said(1.0, 1.0)}}, "all texts have the same labels"),
        *[(broken, "isn't what 'train' writes") for broken in (None, [], "x", {"step": 9})],
        ({"step": 9, "classifiers": {"a": None}}, "isn't what 'train' writes"),
        ({"step": 9, "classifiers": {"a": {**said(1, 0), "constant": 7}}}, "isn't what 'train'"),
    ],
)
def test_records_of_a_training_that_was_for_nothing(record: Any, message: str) -> None:
    with pytest.raises(BertZhError, match=message) as raised:
        check_record("model-best", record)
    assert "\n" not in str(raised.value)


def test_a_record_of_a_training_that_was_not() -> None:
    check_record("model-best", {"step": 9, "classifiers": {"a": said(0.51, 0.5)}})
    check_record("model-best", {"step": 9, "classifiers": {}})  # only an ner was trained


CLASSES = {"甲": {"support": 60}, "乙": {"support": 40}}


@pytest.mark.parametrize(
    ("metrics", "good"),
    [
        ({}, True),  # of another tool
        ({"accuracy": 0.7, "constant": {"labels": ["甲"], "micro_f1": 0.6}}, True),
        ({"accuracy": 0.6, "constant": {"labels": ["甲"], "micro_f1": 0.6}}, False),
        ({"accuracy": 0.7, "classes": CLASSES, "corpus": {"texts": 100}}, True),  # older
        ({"accuracy": 0.6, "classes": CLASSES, "corpus": {"texts": 100}}, False),
        ({"accuracy": "much", "constant": {"labels": [], "micro_f1": 0.0}}, False),
        ({"accuracy": 0.7, "constant": 3}, False),
        ({"pipeline": {"exclusive": False}, "averages": [], "classes": CLASSES}, False),
    ],
)
def test_metrics_of_what_learnt_nothing(metrics: dict[str, Any], good: bool) -> None:
    if good:
        check_metrics("metrics.json", metrics)
    else:
        with pytest.raises(BertZhError, match=r"metrics\.json"):
            check_metrics("metrics.json", metrics)


def test_few_texts_tell_nothing_against_a_pipeline() -> None:
    constant = {"labels": ["甲"], "micro_f1": 0.6}
    few = {"accuracy": 0.4, "constant": constant, "corpus": {"texts": 7}}
    assert not check_metrics("metrics.json", few)
    assert check_metrics("metrics.json", {**few, "accuracy": 0.9})


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config whose head starts from nothing: after a single step it knows as much."""
    path = tmp_path_factory.mktemp("config") / "torch.cfg"
    text = CONFIG.read_text("utf-8").replace("BertTextCat.v2", "BertTextCat.v1")
    path.write_text(text.replace("head_rate = 10.0\n", ""), "utf-8")
    return path


@pytest.fixture(scope="module")
def ignorant(config: Path, tmp_path_factory: pytest.TempPathFactory, train_args: list[str]) -> Path:
    """A training of a single step, which ends with an error; the folder of its best pipeline."""
    output = tmp_path_factory.mktemp("ignorant")
    overrides = {**parse_config_overrides(list(train_args)), STEPS: 1}
    with pytest.raises(BertZhError, match=f"'bert_textcat' on dev {NO_BETTER}.*--force"):
        train(config, output, overrides=overrides)
    return output / "model-best"


def test_train_leaves_what_learnt_nothing_to_look_at(ignorant: Path) -> None:
    assert spacy.load(ignorant).meta["training"]["classifiers"]["bert_textcat"]["micro_f1"] == 0.5
    assert sorted(path.name for path in ignorant.parent.iterdir()) == [
        RECORD,
        "history.svg",
        "metrics.jsonl",
        "model-best",
        "model-last",
    ]


def test_force_is_content_with_it(config: Path, train_args: list[str], tmp_path: Path) -> None:
    overrides = {**parse_config_overrides(list(train_args)), STEPS: 1}
    assert train(config, tmp_path / "out", overrides=overrides, force=True).is_dir()


def test_evaluate_shows_the_numbers_and_then_the_error(
    ignorant: Path, corpus: Path, tmp_path: Path
) -> None:
    arguments = ["evaluate", str(ignorant), str(corpus / "dev"), str(tmp_path / "metrics")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert "accuracy 0.5000" in done.output and "report.html" in done.output
    assert "is no better than always answering 'neg'" in done.output
    metrics = json.loads((tmp_path / "metrics" / "metrics.json").read_text("utf-8"))
    assert metrics["constant"] == {"labels": ["neg"], "micro_f1": 0.5}
    assert (tmp_path / "metrics" / "report.html").exists()
    assert CliRunner().invoke(app, [*arguments, "--force"]).exit_code == 0


def test_package_refuses_it_with_metrics_and_without(
    ignorant: Path, trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(BertZhError, match=NO_BETTER):
        package(ignorant, tmp_path / "out")
    measured = {"accuracy": 0.5, "constant": {"labels": ["neg"], "micro_f1": 0.5}}
    (tmp_path / "metrics.json").write_text(json.dumps(measured), "utf-8")
    with pytest.raises(BertZhError, match=rf"metrics\.json, {NO_BETTER}"):
        package(trained, tmp_path / "out", metrics=tmp_path / "metrics.json")
    assert not (tmp_path / "out").exists()
    command = ["package", str(ignorant), str(tmp_path / "out"), "--force"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("training", [None, {"step": 9, "classifiers": {}}])
@pytest.mark.parametrize("metrics", [None, {"speed": 9}])
def test_package_wants_to_be_told(
    training: Any, metrics: Any, make_pipeline: Any, tmp_path: Path
) -> None:
    """Of a pipeline that `nlp.initialize` made, or another program, nothing is known."""
    nlp = make_pipeline()
    nlp.initialize(lambda: make_examples(nlp, 4))
    nlp.meta.update({"training": training} if training else {})
    nlp.to_disk(tmp_path / "pipeline")
    if metrics:
        (tmp_path / "metrics.json").write_text(json.dumps(metrics), "utf-8")
    with pytest.raises(
        BertZhError, match=r"Nothing says that .*run 'evaluate'.*--metrics.*--force"
    ):
        package(
            tmp_path / "pipeline",
            tmp_path / "out",
            metrics=tmp_path / "metrics.json" if metrics else None,
        )
    assert not (tmp_path / "out").exists()


def test_metrics_tell_where_the_training_does_not() -> None:
    good = {"accuracy": 0.7, "constant": {"labels": ["甲"], "micro_f1": 0.6}}
    check_learnt(Path("pipeline"), {}, Path("metrics.json"), good)
    check_learnt(
        Path("pipeline"), {"training": {"step": 9, "classifiers": {"a": said(1, 0.5)}}}, None, {}
    )


def test_a_dev_corpus_of_one_class_can_not_tell(
    corpus: Path, train_args: list[str], tmp_path: Path
) -> None:
    nlp = spacy.blank("zh")
    doc = nlp("好吃")
    doc.cats = {"neg": 0.0, "pos": 1.0}
    DocBin(docs=[doc]).to_disk(tmp_path / "dev.spacy")
    overrides = parse_config_overrides(list(train_args))
    overrides |= {STEPS: 4, "paths.dev": str(tmp_path / "dev.spacy")}
    with pytest.raises(BertZhError, match="all texts have the same labels"):
        train(CONFIG, tmp_path / "out", overrides=overrides)
