"""What is said of a corpus: words of labels, and mistakes in the report of `evaluate`."""

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.tokens import DocBin
from typer.testing import CliRunner

from spacy_bert_zh.cli import app
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import evaluate
from spacy_bert_zh.explain import Mistakes, explain, summarise
from tests.conftest import FACTORIES, make_examples


def write(nlp: Any, folder: Path, wrong: int = 0) -> Path:
    """A corpus of which some texts have the other label."""
    docs = [example.reference for example in make_examples(nlp, 12, seed=5)]
    for doc in docs[:wrong]:
        doc.cats = {label: 1.0 - value for label, value in doc.cats.items()}
    DocBin(docs=docs).to_disk(folder / "dev.spacy")
    return folder / "dev.spacy"


def test_words_of_labels_are_the_sums_of_their_effects(trained_one: Any, tmp_path: Path) -> None:
    nlp = trained_one("BertTextCatEnsemble.v3")
    corpus = write(nlp, tmp_path)
    found = summarise(nlp, corpus)
    texts = [doc.text for doc in DocBin().from_disk(corpus).get_docs(nlp.vocab)]
    explanations = explain(nlp, texts)
    assert found.texts == len(texts) == sum(label.texts for label in found.labels)
    assert [one.texts for one in found.labels] == sorted([one.texts for one in found.labels])[::-1]
    for label in found.labels:
        ours = [one for one in explanations if one.given == (label.label,)]
        assert label.texts == len(ours) and label.words
        assert [word.effect for word in label.words] == sorted(
            [word.effect for word in label.words], reverse=True
        )
        for word in label.words:
            pairs = [
                (number, effect)
                for number, one in enumerate(ours)
                for (start, end), effect in zip(one.words, one.shares[0].effects, strict=True)
                if one.text[start:end] == word.text
            ]
            assert word.effect == pytest.approx(sum(effect for _, effect in pairs), abs=1e-4)
            assert word.texts == len({number for number, _ in pairs})


def test_the_page_draws_the_words_of_each_label(trained_one: Any, tmp_path: Path) -> None:
    nlp = trained_one("BertTextCatEnsemble.v3")
    nlp.to_disk(tmp_path / "pipeline")
    corpus, page = write(nlp, tmp_path), tmp_path / "page.html"
    arguments = ["explain", str(tmp_path / "pipeline"), "--rate", str(corpus)]
    done = CliRunner().invoke(app, [*arguments, "--html", str(page)])
    assert done.exit_code == 0, done.output
    found = summarise(nlp, corpus)
    html = page.read_text("utf-8")
    assert html.count("<svg") == len(found.labels) and "<script" not in html
    for label in found.labels:
        assert label.label in done.output
        for word in label.words:
            # In the table, and as text in the picture.
            assert html.count(f">{word.text}") >= 1 and word.text in done.output
    done = CliRunner().invoke(app, [*arguments, "--json"])
    (said,) = map(json.loads, done.output.splitlines())
    assert said["labels"][0]["words"][0]["text"] == found.labels[0].words[0].text


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_report_explains_the_most_confident_mistakes(
    factory: str, trained_one: Any, tmp_path: Path
) -> None:
    nlp = trained_one("BertTextCatEnsemble.v3", factory)
    nlp.to_disk(tmp_path / "pipeline")
    corpus = write(nlp, tmp_path, wrong=4)
    arguments = ["evaluate", str(tmp_path / "pipeline"), str(corpus)]
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "plain"), "--force"])
    assert done.exit_code == 0, done.output
    plain = (tmp_path / "plain" / "report.html").read_text("utf-8")
    done = CliRunner().invoke(
        app, [*arguments, str(tmp_path / "told"), "--force", "--explain", "3"]
    )
    assert done.exit_code == 0, done.output
    html = (tmp_path / "told" / "report.html").read_text("utf-8")
    assert 'class="text"' not in plain
    bodies = re.findall(r'<div class="text".*?</div>', html, re.DOTALL)
    assert len(bodies) >= 3 and html.count("--for: 30") == 1  # the style comes along once
    said = [re.sub(r"<[^>]+>", "", body).strip() for body in bodies]
    texts = {doc.text for doc in DocBin().from_disk(corpus).get_docs(nlp.vocab)}
    assert texts.issuperset(said)
    if factory == FACTORIES[0]:
        assert len(bodies) == 3 and html.count(" rather than ") == 3
    metrics = [(tmp_path / name / "metrics.json").read_bytes() for name in ("plain", "told")]
    assert metrics[0] == metrics[1]


def test_what_cant_be_explained_is_said_before_the_corpus_is_read(tmp_path: Path) -> None:
    nlp = spacy.blank("zh")
    nlp.add_pipe("textcat")
    examples = make_examples(nlp, 4)
    nlp.initialize(lambda: examples)
    nlp.to_disk(tmp_path / "pipeline")
    with pytest.raises(BertZhError, match="no BERT of its own"):
        evaluate(
            tmp_path / "pipeline",
            write(nlp, tmp_path),
            tmp_path / "out",
            explain=partial(Mistakes, 3),
        )
    assert not list((tmp_path / "out").glob("*.html"))
