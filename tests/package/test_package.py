"""The wheels: what is in them, and that they work elsewhere."""

import email
import importlib.metadata
import json
import socket
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from thinc.api import Config

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files.outputs import RECORD
from spacy_bert_zh.package import smoke
from spacy_bert_zh.package.flow import package
from spacy_bert_zh.package.model_card import render_model_card
from tests.package.packaging import LABELS, METRICS, REPORT, REPOSITORY, make_pipeline, run


@pytest.fixture(scope="module")
def bert(workplace: Path) -> Path:
    """A pipeline with bert_textcat."""
    return make_pipeline(workplace / "bert", "bert_textcat")


@pytest.fixture(scope="module")
def built(workplace: Path, bert: Path) -> tuple[str, Path]:
    """Output of the command and its folder of wheels."""
    for name, data in (("metrics.json", METRICS), ("report.json", REPORT)):
        (workplace / name).write_text(json.dumps(data), "utf-8")
    options = {
        "--metrics": workplace / "metrics.json",
        "--data-report": workplace / "report.json",
        "--license": "MIT",
        "--author": "甲",
    }
    flat = [word for pair in options.items() for word in pair]
    before = sorted(REPOSITORY.iterdir())
    done = run("-m", "spacy_bert_zh", "package", bert, workplace / "wheels", *flat)
    assert done.returncode == 0, done.stderr
    assert sorted(REPOSITORY.iterdir()) == before
    return done.stdout, workplace / "wheels"


PIPELINE_WHEEL = "zh_bert_textcat-1.0.0-py3-none-any.whl"
PLUGIN_WHEEL = f"spacy_bert_zh-{importlib.metadata.version('spacy-bert-zh')}-py3-none-any.whl"


def read_wheel(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def read_metadata(wheel: Path) -> email.message.Message:
    files = read_wheel(wheel)
    return email.message_from_bytes(files[next(name for name in files if "METADATA" in name)])


def test_the_command_tells_wheels_scores_and_what_to_type(built: tuple[str, Path]) -> None:
    output, folder = built
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [RECORD, PIPELINE_WHEEL, PLUGIN_WHEEL]
    )
    *said, first, second, pip, python = output.splitlines()
    assert [set(json.loads(line)["cats"]) for line in said] == [set(LABELS)] * len(smoke.TEXTS)
    assert first.startswith(f"✔ {folder / PIPELINE_WHEEL} (") and PLUGIN_WHEEL in second
    assert pip == f"pip install {folder / PIPELINE_WHEEL} {folder / PLUGIN_WHEEL}"
    load = "import spacy; print(spacy.load('zh_bert_textcat')('这家店很好吃').cats)"
    assert python == f'python -c "{load}"'


def test_the_wheels_hold_no_path_of_this_machine(built: tuple[str, Path]) -> None:
    places = [REPOSITORY, Path.home(), sys.prefix, tempfile.gettempdir(), "/home/someone"]
    for wheel in built[1].glob("*.whl"):
        for name, content in read_wheel(wheel).items():
            for place in places:
                assert f"{place}/".encode() not in content, f"{place} in {wheel.name}: {name}"


def test_the_wheel_requires_the_plugin_with_its_extra(built: tuple[str, Path]) -> None:
    required = read_metadata(built[1] / PIPELINE_WHEEL).get_all("Requires-Dist", [])
    plugin, stock = sorted(required)
    assert plugin.startswith("spacy-bert-zh[torch]<") and ">=0." in plugin
    assert stock.startswith("spacy<3.9.0,>=3.8")


def test_the_metadata_is_what_was_asked_for(built: tuple[str, Path]) -> None:
    files = read_wheel(built[1] / PIPELINE_WHEEL)
    inside = "zh_bert_textcat/zh_bert_textcat-1.0.0/"
    meta = json.loads(files[inside + "meta.json"])
    assert (meta["name"], meta["version"]) == ("bert_textcat", "1.0.0")
    assert (meta["license"], meta["author"]) == ("MIT", "甲")
    assert b"train = null" in files[inside + "config.cfg"]


def test_the_model_card_tells_labels_data_metrics_and_limits(built: tuple[str, Path]) -> None:
    import huggingface_hub as hub

    files = read_wheel(built[1] / PIPELINE_WHEEL)
    text = files["zh_bert_textcat/zh_bert_textcat-1.0.0/README.md"].decode()
    card = hub.ModelCard(text)
    assert card.data.language == ["zh"]
    assert card.data.license == "mit"
    results = {result.metric_name: result.metric_value for result in card.data.eval_results}
    assert results == {"Accuracy": 0.9125, "Macro F1": 0.8875}
    assert "| 财经 | 0.900 | 0.800 | 0.847 | 700 |" in text
    assert "| 财经 | 2,500 |" in text
    assert "From `thucnews`, rows: 5,010 read" in text
    assert "duplicate 7" in text
    assert "- `bert_textcat`: The BERT reads " in text
    assert f"pip install {PIPELINE_WHEEL} {PLUGIN_WHEEL}" in text


def card(metrics: dict[str, object], noted: Any = None, **model: object) -> str:
    """The model card of a made-up pipeline."""
    factory = "bert_textcat" if metrics.get("pipeline") is None else "bert_textcat_multilabel"
    config = Config({"components": {"c": {"factory": factory, "model": model}}})
    meta = {"lang": "zh", "name": "n", "version": "1", "description": "", "license": ""}
    meta |= noted or {}
    meta |= {"labels": {"c": ["甲"]}, "spacy_version": ">=3.8"}
    return " ".join(render_model_card(meta, config, ["n.whl"], metrics, {}).split())


def test_the_model_card_says_what_plays_a_part() -> None:
    backbone = {"max_length": 128, "stride": 16, "max_windows": 2}
    alone = card({}, backbone=backbone)
    assert "the first 236 pieces of a text. What comes after plays no part." in alone
    beside = card({}, backbone=backbone, linear_model={"ngram_size": 3})
    assert "plays no part" not in beside
    assert "plays a part as well, through the linear model of n-grams" in beside


def test_the_model_card_says_what_its_numbers_mean() -> None:
    pipeline = {"exclusive": False, "threshold": 0.3, "own_threshold": 0.5}
    text = card({**METRICS, "pipeline": pipeline, "absent": ["房产"]})
    assert "from the score 0.3 (the pipeline's own threshold is 0.5)" in text
    assert "accuracy counts the texts whose labels are all right" in text
    assert "has the labels `房产`: they are left out of the macro average" in text


def test_the_model_card_says_how_far_to_trust_scores_if_that_was_measured() -> None:
    assert "How far scores can be trusted was not measured" in card(METRICS)
    reliability = {"ece": 0.0113}
    intervals = {"level": 0.95, "accuracy": [0.9, 0.925], "ece": [0.0076, 0.0153]}
    text = card({**METRICS, "reliability": reliability, "intervals": intervals})
    assert "Accuracy: 0.912 (95% interval: 0.900 to 0.925) - Macro F1: 0.887 " in text
    assert "off from the share that is right by 0.011 on average (95% interval: 0.008" in text
    assert "not measured" not in text
    pipeline = {"exclusive": False, "threshold": 0.5, "thresholds": {"甲": 0.3}}
    assert "given from a score of its own" in card({**METRICS, "pipeline": pipeline})


def test_an_ensemble_is_described() -> None:
    runs = [{"score": 0.9, "share": 0.4}, {"score": 0.91, "share": 0.6}]
    found = {"method": "committee", "runs": runs, "score": 0.92}
    text = card(METRICS, noted={"ensemble": found})
    assert "geometric mean of those of 2 trainings" in text
    assert "its score is 0.9200, that of the best single one 0.9100" in text


def test_the_model_card_says_that_texts_can_be_read() -> None:
    text = card(METRICS, noted={"neighbours": {"texts": 4321, "share": 0.7}})
    assert "Holds 4,321 labelled texts, which whoever has the files can read" in text
    assert "which have 30% of the say in its scores" in text


def test_metrics_of_another_pipeline_are_refused(bert: Path, tmp_path: Path) -> None:
    measured = {**METRICS, "classes": {"甲": {}, "乙": {}}}
    (tmp_path / "metrics.json").write_text(json.dumps(measured), "utf-8")
    with pytest.raises(BertZhError, match=r"is about another pipeline: .*乙, 甲.* run 'evaluate'"):
        package(bert, tmp_path / "out", metrics=tmp_path / "metrics.json", force=True)
    assert not (tmp_path / "out").exists()


def test_packaging_again_replaces_the_same_bytes(built: tuple[str, Path], bert: Path) -> None:
    folder = built[1]
    (folder / "notes.txt").write_text("mine")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    package(
        bert,
        folder,
        metrics=folder.parent / "metrics.json",
        data_report=folder.parent / "report.json",
        license="MIT",
        author="甲",
    )
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_without_its_source_the_plugin_comes_from_the_index(
    built: tuple[str, Path], stock: Path, tmp_path: Path
) -> None:
    target = tmp_path / "site"
    pip = ["-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target"]
    assert run(*pip, target, built[1] / PLUGIN_WHEEL).returncode == 0
    command = [
        "-m",
        "spacy_bert_zh",
        "package",
        stock,
        tmp_path / "out",
        "--name",
        "small",
        "--force",
    ]
    done = run(*command, PYTHONPATH=str(target))
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "out").glob("*.whl")] == [
        "zh_small-1.0.0-py3-none-any.whl"
    ]
    assert "spacy-bert-zh has no source here" in done.stdout
    required = read_metadata(tmp_path / "out" / "zh_small-1.0.0-py3-none-any.whl")
    assert [line.split("<")[0] for line in required.get_all("Requires-Dist", [])] == ["spacy"]


@Language.component("known_to_this_test_only")
def known_to_this_test_only(doc: object) -> object:
    return doc


def test_wheels_that_dont_work_elsewhere_are_not_delivered(stock: Path, tmp_path: Path) -> None:
    nlp = spacy.load(stock)
    nlp.add_pipe("known_to_this_test_only")
    nlp.to_disk(tmp_path / "pipeline")
    with pytest.raises(BertZhError, match="The smoke test of zh_bert_textcat") as raised:
        package(tmp_path / "pipeline", tmp_path / "out", force=True)
    assert "known_to_this_test_only" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_the_smoke_test_has_no_network() -> None:
    code = "import socket; socket.socket = NoNetwork; socket.create_connection(('127.0.0.1', 9))"
    script = Path(smoke.__file__).read_text("utf-8").split("if __name__")[0]
    done = run("-c", f"{script}\n{code}")
    assert "the smoke test allows no network" in done.stderr


def test_the_smoke_test_wants_modules_from_the_wheels(
    stock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socket", socket.socket)  # give it back afterwards
    with pytest.raises(SystemExit, match="spacy was imported from"):
        smoke.main(str(tmp_path), str(stock), "spacy")
