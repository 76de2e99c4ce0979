"""What a search would be wrong about: other corpora, seen texts, an older best, unlike trials."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import spacy
from optuna.distributions import FloatDistribution
from spacy.cli._util import parse_config_overrides
from spacy.tokens import DocBin
from thinc.api import Config

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import read_shards
from spacy_bert_zh.search import Options, search
from spacy_bert_zh.search.flow import _check_same, _check_test, _write_candidate
from spacy_bert_zh.search.report import lines, make_report
from spacy_bert_zh.search.running import _evaluating
from spacy_bert_zh.search.space import STEPS, importance
from spacy_bert_zh.search.training import Job, Running
from spacy_bert_zh.search.trial import Trial
from spacy_bert_zh.train.config import seeded
from tests.conftest import REPOSITORY

CONFIG = REPOSITORY / "configs" / "torch.cfg"
DROPOUT = "training.dropout"
SPACE: dict[str, Any] = {DROPOUT: FloatDistribution(0.0, 0.3)}


def plain() -> Config:
    return Config().from_disk(CONFIG, interpolate=False)


def test_another_corpus_makes_it_another_search(corpus: Path, tmp_path: Path) -> None:
    own = tmp_path / "corpus"
    shutil.copytree(corpus, own)
    inputs = [own / "train", own / "dev"]
    for _ in range(2):
        _check_same(tmp_path, plain(), "", SPACE, Options(), inputs)
    shutil.copy(own / "dev" / "00000.spacy", own / "dev" / "00001.spacy")
    with pytest.raises(BertZhError, match=r"another search [(]its config, corpora"):
        _check_same(tmp_path, plain(), "", SPACE, Options(), inputs)


def test_another_best_is_trained_anew(tmp_path: Path) -> None:
    runs = [tmp_path / "runs" / name for name in ("found-0", "found-1", "given-0")]
    for run in runs:
        run.mkdir(parents=True)
    for dropout, left in ((0.1, runs), (0.1, runs), (0.2, runs[2:])):
        _write_candidate(tmp_path, plain(), {DROPOUT: dropout})
        if dropout == 0.1:
            assert (tmp_path / "found.cfg").exists()
        assert [run for run in runs if run.exists()] == left
    assert Config().from_disk(tmp_path / "found.cfg")["training"]["dropout"] == 0.2


def test_texts_that_cant_tell_are_refused_before_anything_is_tried(
    corpus: Path, train_args: list[str], tmp_path: Path
) -> None:
    given = parse_config_overrides(list(train_args))
    config, raw = plain(), {"@readers": "spacy.JsonlCorpus.v1", "path": str(tmp_path / "raw.jsonl")}
    config["corpora"]["raw"] = raw  # that no trial reads
    (tmp_path / "raw.jsonl").write_text('{"text": "好"}\n', "utf-8")
    config.to_disk(tmp_path / "own.cfg")

    def refuse(test: Path, message: str) -> None:
        with pytest.raises(BertZhError, match=message):
            search(
                tmp_path / "own.cfg", tmp_path / "out", overrides=given, options=Options(test=test)
            )
        assert not (tmp_path / "out").exists()

    refuse(tmp_path / "tset", "No .spacy file at .*tset")
    refuse(corpus / "dev", "what the trials learn from or are chosen by")
    docs = list(read_shards(spacy.blank("zh"), corpus / "dev"))
    docs[0].cats = {"neg": 0.0, "pos": 0.0, "new": 1.0}
    DocBin(docs=docs).to_disk(tmp_path / "other.spacy")
    refuse(tmp_path / "other.spacy", "has the label 'new', and no text to learn from has it")


def test_texts_that_were_seen_are_counted(corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(corpus / "dev", tmp_path / "test")
    said: list[str] = []
    _check_test(tmp_path / "test", [corpus / "train", corpus / "dev"], said.append)
    texts = {doc.text for doc in read_shards(spacy.blank("zh"), corpus / "dev")}
    assert said == [
        f"{len(texts):,} texts of {tmp_path / 'test'} are among those to learn from or to "
        "choose by, too"
    ]


@pytest.mark.parametrize(("steps", "every"), [(1_563, 157), (3_126, 313), (782, 79)])
def test_trials_of_any_length_are_compared_at_the_same_parts(
    steps: int, every: int, tmp_path: Path
) -> None:
    config = plain()
    config["training"]["eval_frequency"] = 157
    config["training"]["optimizer"]["learn_rate"]["total_steps"] = 1_563
    config.to_disk(tmp_path / "trials.cfg")
    fixed = _evaluating(tmp_path, {STEPS: FloatDistribution(1, 2)}, {STEPS: steps})
    assert fixed == {"training.eval_frequency": every}
    assert -(-steps // every) == 10
    assert _evaluating(tmp_path, SPACE, {DROPOUT: 0.1}) == {}


def trials(*scores: float, finished: bool = True) -> list[Trial]:
    settings = ({DROPOUT: 0.03 * number} for number in range(len(scores)))
    return [Trial(one, [0.1, score], finished) for one, score in zip(settings, scores, strict=True)]


def test_what_mattered_is_told_by_finished_trials() -> None:
    assert importance(SPACE, trials(0.1, 0.2, 0.3, 0.4, 0.5))[DROPOUT] == pytest.approx(1.0)
    assert importance(SPACE, trials(0.1, 0.2, 0.3, 0.4)) == {}
    assert importance(SPACE, trials(*[1.0] * 6)) == {}
    stopped = trials(0.1, 0.2, 0.3, 0.4, finished=False)
    assert importance(SPACE, trials(1.0, 1.0) + stopped) == {}


def test_that_nothing_better_was_found_is_said_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def begin(job: Job) -> Running:
        raise AssertionError

    options = Options(test=tmp_path)
    report = make_report(tmp_path, SPACE, trials(0.9, 0.5), 0, tmp_path, options, begin, print)
    assert capsys.readouterr().out.startswith("Nothing better than the config itself was found")
    assert report["test"] is None and lines(report) == []


def test_seeds_begin_at_the_configs_own(tmp_path: Path) -> None:
    config = plain()
    config["system"]["seed"] = 7
    config.to_disk(tmp_path / "a.cfg")
    assert seeded(tmp_path / "a.cfg", 2) == {"system.seed": 9, "training.seed": 9}
    config["training"]["seed"] = 3
    config.to_disk(tmp_path / "b.cfg")
    assert seeded(tmp_path / "b.cfg", 1) == {"system.seed": 4, "training.seed": 4}
