"""Evaluation of real pipelines: spaCy's own bag of words, trained for a moment."""

import importlib
import json
import random
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from rich.cells import cell_len
from spacy.language import Language
from spacy.scorer import Scorer
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus, Example
from typer.testing import CliRunner

from spacy_bert_zh.cli import app
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import print_table
from spacy_bert_zh.evaluate.flow import evaluate
from spacy_bert_zh.evaluate.metrics import measure
from spacy_bert_zh.evaluate.predictions import Predictions
from spacy_bert_zh.evaluate.report import confused_pairs, rank_mistakes

LABELS = ["财经", "体育", "科技 $x^2$"]
UNSEEN = "<b>没有例子</b>"
WORDS = ["股市 基金 利率 央行 上涨", "球队 进球 教练 决赛 联赛", "芯片 手机 算法 卫星 发布"]
ATTACK = "<script>alert('进球')</script>"
FACTORIES = ["textcat", "textcat_multilabel"]


def make_rows(seed: int, exclusive: bool, count: int = 60) -> list[tuple[str, dict[str, float]]]:
    """Short texts of mixed words; the label is that of most of them, so some are hard."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        main, other = draw.sample(range(3), 2)
        words = draw.choices(WORDS[main].split(), k=draw.randint(1, 9))
        words += draw.choices(WORDS[other].split(), k=draw.randint(0, 4))
        chosen = {main} if exclusive or len(words) % 2 else {main, other}
        cats = {label: float(i in chosen) for i, label in enumerate(LABELS)}
        rows.append(("，".join(words), {**cats, UNSEEN: 0.0}))
    return rows


def write_shard(path: Path, rows: list[tuple[str, dict[str, float]]]) -> Path:
    tokenize = spacy.blank("zh")
    shard = DocBin()
    for text, cats in rows:
        doc = tokenize(text)
        doc.cats = cats
        shard.add(doc)
    path.parent.mkdir(parents=True, exist_ok=True)
    shard.to_disk(path)
    return path


def train(*factories: str) -> Language:
    """A pipeline with the text classifiers, named as their factories."""
    nlp = spacy.blank("zh", meta={"name": "tiny", "version": "1.2.3"})
    for factory in factories:
        exclusive = factory == "textcat"
        model = {
            "@architectures": "spacy.TextCatBOW.v3",
            "exclusive_classes": exclusive,
            "ngram_size": 1,
            "no_output_layer": False,
            "length": 4096,
        }
        nlp.add_pipe(factory, config={"model": model, "threshold": 0.4})
        for label in [*LABELS, UNSEEN]:
            nlp.get_pipe(factory).add_label(label)
    rows = make_rows(0, "textcat" in factories)
    examples = [Example.from_dict(nlp.make_doc(text), {"cats": cats}) for text, cats in rows]
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(3):
        nlp.update(examples, sgd=optimizer)
    return nlp


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pipelines")
    for factory in FACTORIES:
        train(factory).to_disk(folder / factory)
    train(*FACTORIES).to_disk(folder / "both")
    spacy.blank("zh").to_disk(folder / "none")
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """For each factory a folder of two shards."""
    folder = tmp_path_factory.mktemp("corpora")
    for factory in FACTORIES:
        rows = make_rows(1, factory == "textcat")
        if factory == "textcat_multilabel":
            rows.append(("球队，芯片", {LABELS[0]: 0.0, LABELS[1]: 1.0}))  # the others: unknown
        else:
            rows.append((ATTACK, {LABELS[0]: 0.9, LABELS[1]: 0.1}))  # soft, and mistaken
        write_shard(folder / factory / "dev-0.spacy", rows[:30])
        write_shard(folder / factory / "dev-1.spacy", rows[30:])
    return {path.name: path for path in folder.iterdir()}


def assert_same(metrics: dict[str, Any], scores: dict[str, Any]) -> None:
    """Our measures are those of spaCy's scorer, macro averages those of labels with a text."""
    short = {"p": "precision", "r": "recall", "f": "f1"}
    for key, ours in short.items():
        expected = scores[f"cats_micro_{key}"]
        assert metrics["averages"]["micro"][ours] == pytest.approx(expected, abs=1e-6)
        rows = scores["cats_f_per_type"].items()
        present = [row[key] for label, row in rows if label not in metrics["absent"]]
        macro = metrics["averages"]["macro"][ours]
        assert macro == (pytest.approx(np.mean(present), abs=1e-6) if present else None)
    for label, expected in scores["cats_f_per_type"].items():
        row = metrics["classes"][label]
        assert {key: row[ours] for key, ours in short.items()} == pytest.approx(expected, abs=1e-6)
    for label, expected in scores["cats_auc_per_type"].items():
        if expected is not None:  # spaCy has none where the corpus is soft
            assert metrics["classes"][label]["roc_auc"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_scores_are_those_of_spacy_evaluate(
    pipelines: dict[str, Path],
    corpora: dict[str, Path],
    factory: str,
    tmp_path: Path,
    recwarn: pytest.WarningsRecorder,
) -> None:
    metrics = evaluate(pipelines[factory], corpora[factory], tmp_path)
    assert not [w for w in recwarn if issubclass(w.category, UserWarning)]
    nlp = spacy.load(pipelines[factory])
    assert_same(metrics, nlp.evaluate(list(Corpus(corpora[factory])(nlp))))
    assert 0.4 < metrics["averages"]["macro"]["f1"] < 0.95  # neither trivial nor perfect
    assert metrics["absent"] == [UNSEEN]
    assert metrics["classes"][UNSEEN]["roc_auc"] is None
    assert metrics["corpus"] == {"name": factory, "texts": 61}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("exclusive", "labels"), [(True, 2), (True, 5), (False, 1), (False, 2), (False, 5)]
)
@pytest.mark.parametrize("texts", [1, 2, 40])
def test_any_predictions_score_as_in_spacy(exclusive: bool, labels: int, texts: int) -> None:
    draw = np.random.default_rng([labels, texts])
    names = [f"类{i}" for i in range(labels)]
    scores = draw.random((texts, labels)).round(2)
    if exclusive:
        gold = np.eye(labels, dtype=int)[draw.integers(labels, size=texts)]
        predicted = np.eye(labels, dtype=int)[scores.argmax(axis=1)]
    else:
        gold, predicted = draw.integers(2, size=(texts, labels)), (scores >= 0.5).astype(int)
    predictions = Predictions(
        labels=names,
        exclusive=exclusive,
        gold=gold,
        predicted=predicted,
        scores=scores,
        known=np.ones_like(gold, dtype=bool),
        excerpts=[""] * texts,
        lengths=np.arange(texts) + 1,
    )
    vocab = spacy.blank("zh").vocab
    examples = [Example(Doc(vocab), Doc(vocab)) for _ in range(texts)]
    for example, score, truth in zip(examples, scores.tolist(), gold.tolist(), strict=True):
        example.predicted.cats = dict(zip(names, score, strict=True))
        example.reference.cats = dict(zip(names, map(float, truth), strict=True))
    metrics = measure(predictions)
    expected = Scorer.score_cats(examples, "cats", labels=names, multi_label=not exclusive)
    assert_same(metrics, expected)
    assert metrics["accuracy"] == np.mean((gold == predicted).all(axis=1))
    assert sum(one["texts"] for one in metrics["lengths"]) == texts


def test_labels_without_a_text_are_left_out_of_the_macro_average_and_said(
    pipelines: dict[str, Path],
    corpora: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    metrics = evaluate(pipelines["textcat"], corpora["textcat"], tmp_path)
    present = [metrics["classes"][label]["f1"] for label in LABELS]
    assert metrics["averages"]["macro"]["f1"] == pytest.approx(np.mean(present))
    print_table(metrics)
    said = "1 of 4 labels have no text here and are left out of the macro average"
    assert said in " ".join(capsys.readouterr().out.split())
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert f"{said}: {UNSEEN}" in " ".join(page.text.split())


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.9, 1.0])
def test_another_threshold_decides_and_is_shown(
    threshold: float, pipelines: dict[str, Path], corpora: dict[str, Path], tmp_path: Path
) -> None:
    folder, corpus = pipelines["textcat_multilabel"], corpora["textcat_multilabel"]
    metrics = evaluate(folder, corpus, tmp_path, threshold=threshold)
    assert metrics["pipeline"]["threshold"] == threshold
    assert metrics["pipeline"]["own_threshold"] == 0.4
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    said = f"from the score {threshold} (the pipeline's own threshold is 0.4)"
    assert said in " ".join(page.text.split())
    nlp = spacy.load(folder)
    for label in LABELS:
        docs = [nlp(doc.text) for doc in (e.reference for e in Corpus(corpus)(nlp))][:60]
        given = sum(doc.cats[label] >= threshold for doc in docs)
        row = metrics["classes"][label]
        assert given <= row["tp"] + row["fp"] <= given + 1  # one text more, partly labelled


@pytest.mark.parametrize(
    ("factory", "threshold", "message"),
    [
        ("textcat", 0.3, "--threshold 0.3: the labels of 'textcat' exclude each other"),
        ("textcat_multilabel", 1.5, "--threshold 1.5: a score is between 0 and 1"),
        ("textcat_multilabel", float("nan"), "--threshold nan: a score"),
    ],
)
def test_thresholds_that_mean_nothing(
    factory: str,
    threshold: float,
    message: str,
    pipelines: dict[str, Path],
    corpora: dict[str, Path],
    tmp_path: Path,
) -> None:
    with pytest.raises(BertZhError, match=message):
        evaluate(pipelines[factory], corpora[factory], tmp_path / "out", threshold=threshold)
    assert not (tmp_path / "out").exists()


def test_the_report_says_what_the_pipeline_reads(
    trained: Path, corpus: Path, tmp_path: Path
) -> None:
    metrics = evaluate(trained, corpus / "dev", tmp_path)
    said = "at most 2 of them: the first 116 pieces of a text. What comes after plays no part."
    assert metrics["pipeline"]["reads"].endswith(said)
    assert said in (tmp_path / "report.html").read_text("utf-8")


def test_what_is_written_is_whole_and_the_same_every_time(
    pipelines: dict[str, Path], corpora: dict[str, Path], tmp_path: Path
) -> None:
    outputs = [tmp_path / "一", tmp_path / "二"]
    metrics = [evaluate(pipelines["textcat"], corpora["textcat"], out) for out in outputs]
    for name in ("metrics.json", "report.html"):
        first, second = ((out / name).read_text("utf-8") for out in outputs)
        assert first == second
        assert str(tmp_path.parent) not in first
    assert json.loads((outputs[0] / "metrics.json").read_text("utf-8")) == metrics[0]
    pipeline = metrics[0]["pipeline"]
    assert (pipeline["name"], pipeline["version"]) == ("zh_tiny", "1.2.3")
    assert pipeline["labels"] == sorted([*LABELS, UNSEEN])
    for label, row in metrics[0]["confusion"].items():
        assert sum(row.values()) == metrics[0]["classes"][label]["support"]
        assert row.get(label, 0) == metrics[0]["classes"][label]["tp"]


class Page(HTMLParser):
    """Collects what a page would run or load, and what it shows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if "href" in name or name == "src"]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_report_stands_alone_and_escapes_what_it_shows(
    pipelines: dict[str, Path], corpora: dict[str, Path], factory: str, tmp_path: Path
) -> None:
    metrics = evaluate(pipelines[factory], corpora[factory], tmp_path)
    html = (tmp_path / "report.html").read_text("utf-8")
    page = Page(html)
    assert not page.tags & {"script", "link", "img", "iframe"} and UNSEEN not in html
    assert all(link.startswith(("data:", "#")) for link in page.links)
    assert "@import" not in html and "prefers-color-scheme: dark" in html
    for label in [*LABELS, UNSEEN]:
        assert label in page.text
    assert f"{metrics['accuracy']:.4f}" in page.text
    if factory == "textcat":
        assert ATTACK in page.text


def test_mistakes_and_confused_pairs_are_ranked() -> None:
    gold = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1]])
    predicted = np.array([[0, 1, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]])
    scores = np.array([[0.3, 0.6, 0.1], [0.1, 0.9, 0.0], [0.0, 0.8, 0.2], [0.2, 0.1, 0.7]])
    known = np.ones_like(gold, dtype=bool)
    lengths = np.array([1, 2, 3, 4])
    excerpts = ["轻", "重", "漏", "对"]
    predictions = Predictions(
        ["甲", "乙", "丙"], False, gold, predicted, scores, known, excerpts, lengths
    )
    order = rank_mistakes(predictions)
    assert [excerpts[row] for row in order] == ["重", "漏", "轻"]
    (pair,) = confused_pairs(predictions, order)
    assert (pair["gold"], pair["predicted"], pair["count"], pair["share"]) == ("甲", "乙", 2, 1.0)
    assert pair["examples"] == ["重", "轻"]


def test_one_of_several_components(
    pipelines: dict[str, Path], corpora: dict[str, Path], tmp_path: Path
) -> None:
    corpus = corpora["textcat"]
    with pytest.raises(BertZhError, match="--component textcat or textcat_multilabel"):
        evaluate(pipelines["both"], corpus, tmp_path)
    chosen = evaluate(pipelines["both"], corpus, tmp_path, component="textcat_multilabel")
    assert not chosen["pipeline"]["exclusive"] and chosen["pipeline"]["threshold"] == 0.4
    assert chosen["confusion"] is None


def test_a_damaged_shard_is_named(
    pipelines: dict[str, Path], corpora: dict[str, Path], tmp_path: Path
) -> None:
    shard = tmp_path / "corpus" / "00000.spacy"
    shard.parent.mkdir()
    source = corpora["textcat"]
    whole = next(source.rglob("*.spacy")) if source.is_dir() else source
    shard.write_bytes(whole.read_bytes()[:200])
    with pytest.raises(BertZhError, match=r"00000\.spacy is damaged"):
        evaluate(pipelines["textcat"], shard.parent, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_pipelines(
    pipelines: dict[str, Path], corpora: dict[str, Path], tmp_path: Path
) -> None:
    corpus = corpora["textcat"]
    with pytest.raises(BertZhError, match="zh_nowhere"):
        evaluate("zh_nowhere", corpus, tmp_path)
    with pytest.raises(BertZhError, match=r"lacks config\.cfg"):
        evaluate(corpus, corpus, tmp_path)
    with pytest.raises(BertZhError, match="its components: none"):
        evaluate(pipelines["none"], corpus, tmp_path)
    with pytest.raises(BertZhError, match="'ner'; its components: textcat"):
        evaluate(pipelines["textcat"], corpus, tmp_path, component="ner")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "holds no text"),
        ([("球队", {})], "1 of 1 texts .* don't have exactly one label"),
        ([("球队", {"财经": 0.0})], "1 of 1 texts"),
        ([("球队", {"财经": 1.0}), ("芯片", {"财经": 1.0, "体育": 1.0})], "1 of 2 texts"),
        ([("球队", {"财经": 1.0, "游戏": 0.0, "房产": 1.0})], "not trained on: 房产, 游戏"),
    ],
)
def test_bad_corpora(
    pipelines: dict[str, Path],
    rows: list[tuple[str, dict[str, float]]],
    message: str,
    tmp_path: Path,
) -> None:
    corpus = write_shard(tmp_path / "dev.spacy", rows)
    with pytest.raises(BertZhError, match=message):
        evaluate(pipelines["textcat"], corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_corpus(pipelines: dict[str, Path], tmp_path: Path) -> None:
    for corpus in (tmp_path, tmp_path / "missing.spacy", Path(__file__)):
        with pytest.raises(BertZhError, match=r"No \.spacy file at .*convert"):
            evaluate(pipelines["textcat"], corpus, tmp_path / "out")


def test_the_command_prints_an_aligned_table(
    pipelines: dict[str, Path], corpora: dict[str, Path], tmp_path: Path
) -> None:
    arguments = [str(pipelines["textcat"]), str(corpora["textcat"]), str(tmp_path)]
    result = CliRunner().invoke(app, ["evaluate", *arguments])
    assert result.exit_code == 0, result.output
    assert f"✔ {tmp_path / 'report.html'}" in result.output
    rows = [line for line in result.output.splitlines() if line.startswith((*LABELS, UNSEEN))]
    assert len(rows) == 4
    assert len({cell_len(row.rstrip()) for row in rows}) == 1


def test_the_table_shows_labels_as_they_are(
    pipelines: dict[str, Path],
    corpora: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    metrics = evaluate(pipelines["textcat"], corpora["textcat"], tmp_path)
    metrics["classes"] = {"[bold]甲[/bold]": metrics["classes"][LABELS[0]]}
    print_table(metrics)
    assert "[bold]甲[/bold]" in capsys.readouterr().out


def test_the_command_fails_in_one_line(corpora: dict[str, Path], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", "zh_nowhere", str(tmp_path), str(tmp_path)])
    assert result.exit_code == 1
    assert "zh_nowhere" in result.output and "Traceback" not in result.output


@pytest.mark.parametrize(
    ("package", "module"), [("matplotlib", "plots"), ("sklearn", "evaluate.metrics")]
)
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    package: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"spacy_bert_zh.{module}")
    with pytest.raises(BertZhError, match=r"spacy-bert-zh\[plots\]"):
        importlib.import_module(f"spacy_bert_zh.{module}")
