"""Several runs made one: what the outcome says, which runs are taken, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import spacy

from spacy_bert_zh.ensemble import ensemble
from spacy_bert_zh.ensemble.runs import put
from spacy_bert_zh.ensemble.soup import average
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.index.changing import add
from spacy_bert_zh.loading import find_textcat, load_pipeline, take_apart
from spacy_bert_zh.textcat import Entry, NgramTable, aligned
from tests.conftest import make_examples, run_cli
from tests.ensemble.conftest import scores


def test_the_mean_of_one_run_is_that_run(runs: list[Path]) -> None:
    nlp = load_pipeline(runs[0])
    before, parts = scores(nlp), take_apart(find_textcat(nlp, None))
    put(find_textcat(nlp, None), average([parts, parts]))
    np.testing.assert_allclose(scores(nlp), before, atol=1e-6)


def test_the_logits_of_the_linear_parts_are_averaged(runs: list[Path]) -> None:
    loaded = [load_pipeline(path) for path in runs]
    parts = [take_apart(find_textcat(nlp, None)) for nlp in loaded]
    assert np.abs(parts[0].weights - parts[1].weights).max() > 1e-6
    mean = average(parts)
    put(find_textcat(loaded[0], None), mean)
    again = take_apart(find_textcat(loaded[0], None))
    np.testing.assert_allclose(again.weights, (parts[0].weights + parts[1].weights) / 2, atol=1e-5)
    np.testing.assert_allclose(again.bias, (parts[0].bias + parts[1].bias) / 2, atol=1e-5)
    tables = [one.weights for one in aligned([part.ngrams for part in parts])]
    np.testing.assert_allclose(again.ngrams.weights, np.mean(tables, axis=0), atol=1e-6)


def test_tables_of_other_ngrams_come_to_have_the_same_rows() -> None:
    keys, weights = np.array([3, 5, 9], dtype="int32"), np.arange(1, 7, dtype="float32")
    one = NgramTable(weights[:4].reshape(2, 2), 3, 16, keys[:2])
    other = NgramTable(weights[2:].reshape(2, 2), 3, 16, keys[1:])
    first, second = aligned([one, other])
    assert (first.keys == keys).all() and (second.keys == keys).all()
    assert first.weights.tolist() == [[1, 2], [3, 4], [0, 0]]
    assert second.weights.tolist() == [[0, 0], [3, 4], [5, 6]]


def test_the_outcome_is_a_pipeline_not_worse_on_dev(
    runs: list[Path], corpus: Path, tmp_path: Path
) -> None:
    found = ensemble(runs, tmp_path / "one", corpus / "dev")
    assert found["score"] >= max(run["score"] for run in found["runs"])
    shares = [run["share"] for run in found["runs"]]
    assert sum(shares) == pytest.approx(1) and set(shares) <= {0.0, 0.5, 1.0}
    nlp = spacy.load(tmp_path / "one")
    assert nlp.meta["ensemble"]["score"] == pytest.approx(found["score"])
    assert [run["pipeline"] for run in found["runs"]] == ["0/model-last", "1/model-last"]
    assert scores(nlp).shape == (4, 2)
    metrics = tmp_path / "metrics"
    run_cli("evaluate", tmp_path / "one", corpus / "dev", metrics, "--force")
    measured = json.loads((metrics / "metrics.json").read_text())
    assert measured["accuracy"] == pytest.approx(found["score"], abs=1e-6)


def test_the_command_says_which_runs_it_took(
    runs: list[Path], corpus: Path, tmp_path: Path
) -> None:
    done = run_cli("ensemble", *runs, "--dev", corpus / "dev", "--output", tmp_path / "one")
    assert done.stdout.count("model-last: ") == 2 and "share" in done.stdout


def test_pipelines_that_differ_are_refused(
    runs: list[Path], trained: Path, corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(BertZhError, match=r"has other .* than"):
        ensemble([runs[0], trained], tmp_path / "one", corpus / "dev")
    with pytest.raises(BertZhError, match="two pipelines at least"):
        ensemble(runs[:1], tmp_path / "one", corpus / "dev")
    assert not (tmp_path / "one").exists()


@pytest.mark.parametrize("method", ["soup", "committee"])
def test_who_has_other_labels_is_named(
    method: str, runs: list[Path], checkpoint: Path, corpus: Path, tmp_path: Path
) -> None:
    nlp = spacy.blank("zh")
    settings = {"name": str(checkpoint), "max_length": 32}
    backbone = {"@architectures": "spacy_bert_zh.TorchBackbone.v1", **settings}
    nlp.add_pipe("bert_textcat", config={"model": {"backbone": backbone}})
    examples = make_examples(nlp, 4, 0)
    for example in examples:
        example.y.cats = {"体育": 1.0, "财经": 0.0}
    nlp.initialize(lambda: examples)
    news = tmp_path / "news" / "model-last"
    news.parent.mkdir()
    nlp.to_disk(news)
    with pytest.raises(BertZhError, match="news/model-last has other labels than 0/model-last"):
        ensemble([runs[0], news], tmp_path / "one", corpus / "dev", method=method)  # type: ignore[arg-type]
    assert not (tmp_path / "one").exists()


def test_an_index_of_one_run_is_left_out(
    runs: list[Path], corpus: Path, tmp_path: Path, capsys
) -> None:
    nlp = load_pipeline(runs[0])
    pipe = find_textcat(nlp, None)
    add(nlp, pipe, [Entry(text="好吃", labels=[pipe.labels[0]])])
    nlp.to_disk(tmp_path / "indexed")
    ensemble([tmp_path / "indexed", runs[1]], tmp_path / "one", corpus / "dev")
    assert "The index of one run is left out" in capsys.readouterr().out
    assert find_textcat(load_pipeline(tmp_path / "one"), None).neighbours is None


def test_what_was_fitted_to_one_run_is_left_out(
    runs: list[Path], corpus: Path, tmp_path: Path, capsys
) -> None:
    nlp = load_pipeline(runs[0])
    pipe = find_textcat(nlp, None)
    pipe.cfg["cascade"] = {"margin": 1e-6, "temperature": 1.0}
    nlp.to_disk(tmp_path / "fitted")
    ensemble([tmp_path / "fitted", runs[1]], tmp_path / "one", corpus / "dev")
    assert "The cascade of one run is left out" in capsys.readouterr().out
    assert not find_textcat(load_pipeline(tmp_path / "one"), None).cfg["cascade"]
    shutil.rmtree(tmp_path / "one")
