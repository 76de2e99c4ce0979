"""The wheels: what is in them, that they work elsewhere, and that bad input leaves nothing."""

import email
import importlib.metadata
import json
import os
import socket
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
import spacy
from spacy.cli.package import get_third_party_dependencies
from spacy.language import Language
from spacy.training import Example
from thinc.api import Config

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files.outputs import RECORD
from spacy_bert_zh.package import smoke
from spacy_bert_zh.package.flow import EXTRAS, check_name, check_version, package, requirements
from spacy_bert_zh.package.model_card import render_model_card

REPOSITORY = Path(__file__).parents[2]
LABELS = ("财经", "体育")
METRICS = {
    "corpus": {"name": "test.spacy", "texts": 1200},
    "accuracy": 0.9125,
    "averages": {"macro": {"f1": 0.8875}},
    "classes": {
        "财经": {"precision": 0.9, "recall": 0.8, "f1": 0.847, "support": 700},
        "体育": {"precision": 0.95, "recall": 0.97, "f1": 0.96, "support": 500},
    },
}
REPORT = {
    "input": "/home/someone/thucnews",
    "rows": {"read": 5010, "written": 5000, "rejected": 10},
    "splits": {"train": {"rows": 4000, "labels": {"财经": 2500, "体育": 1500}}},
    "labels": ["财经", "体育"],
    "rejected": {"duplicate": 7, "empty": 3},
}


def make_pipeline(folder: Path, factory: str, config: dict[str, object] | None = None) -> Path:
    """Save a pipeline with initialised, untrained weights."""
    nlp = spacy.blank("zh")
    nlp.add_pipe(factory, config=config or {})
    cats = {label: float(label == LABELS[0]) for label in LABELS}
    nlp.initialize(lambda: [Example.from_dict(nlp.make_doc("股票大涨"), {"cats": cats})])
    nlp.config["paths"]["train"] = str(folder.parent / "train")
    nlp.to_disk(folder)
    return folder


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workplace")


@pytest.fixture(scope="module")
def bert(workplace: Path) -> Path:
    """A pipeline with bert_textcat."""
    return make_pipeline(workplace / "bert", "bert_textcat")


@pytest.fixture(scope="module")
def stock(workplace: Path) -> Path:
    """A pipeline with spaCy's own textcat, small and quick."""
    return make_pipeline(workplace / "stock", "textcat")


def run(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=tempfile.gettempdir(),  # in the repository, `-m` would take the plugin from there
        env={**os.environ, "PYTHONUTF8": "1", **variables},
        capture_output=True,
        encoding="utf-8",
    )


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


def card(metrics: dict[str, object], **model: object) -> str:
    """The model card of a made-up pipeline."""
    factory = "bert_textcat" if metrics.get("pipeline") is None else "bert_textcat_multilabel"
    config = Config({"components": {"c": {"factory": factory, "model": model}}})
    meta = {"lang": "zh", "name": "n", "version": "1", "description": "", "license": ""}
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


def components(*architectures: str) -> Config:
    """A pipeline's config with these backbones."""
    factory = {"factory": "bert_textcat"}
    models = [
        {"@architectures": "spacy_bert_zh.BertTextCat.v1", "backbone": {"@architectures": name}}
        for name in architectures
    ]
    pipes = {f"bert{i}": {**factory, "model": model} for i, model in enumerate(models)}
    nlp = {"lang": "zh", "tokenizer": {"@tokenizers": "spacy.zh.ChineseTokenizer"}}
    return Config({"nlp": nlp, "components": pipes})


def test_each_backbone_brings_its_extra() -> None:
    torch, shared = "spacy_bert_zh.TorchBackbone.v1", "spacy_bert_zh.SharedBackbone.v1"
    for names, extras in (
        ([torch], "torch"),
        ([shared], "shared"),
        ([torch, shared], "shared,torch"),
    ):
        config = components(*names)
        found = [*get_third_party_dependencies(config), "spacy>=3.8,<3.9"]
        required = requirements(found, config)
        assert [one.split(">")[0] for one in required] == [f"spacy-bert-zh[{extras}]", "spacy"]


def test_the_transformer_comes_by_the_extra() -> None:
    config = components("spacy_bert_zh.SharedBackbone.v1")
    config["components"]["transformer"] = {"factory": "transformer"}
    found = get_third_party_dependencies(config)
    assert any(one.startswith("spacy-transformers") for one in found)
    assert [one.split(">")[0] for one in requirements(found, config)] == ["spacy-bert-zh[shared]"]


@pytest.mark.parametrize(("segmenter", "needed"), [("char", False), ("jieba", True)])
def test_jieba_is_required_if_it_segments(segmenter: str, needed: bool) -> None:
    config = components()
    config["nlp"]["tokenizer"]["segmenter"] = segmenter
    assert any(one.startswith("jieba") for one in requirements([], config)) is needed


def test_every_backbone_that_we_register_has_an_extra() -> None:
    offered = importlib.metadata.metadata("spacy-bert-zh").get_all("Provides-Extra", [])
    points = importlib.metadata.entry_points(group="spacy_architectures")
    backbones = {point.name.split(".")[1] for point in points if "zh.backbones" in point.value}
    assert set(EXTRAS) == backbones
    assert set(EXTRAS.values()) <= set(offered)


@pytest.mark.parametrize(
    "name",
    ["", "bert textcat", "1bert", "bert-textcat", "_bert", "a__b", "店", "../x", "a/b", "a" * 101],
)
def test_names_that_no_package_can_have(name: str) -> None:
    with pytest.raises(BertZhError, match="--name"):
        check_name(name)


@pytest.mark.parametrize(
    "version", ["", "latest", "1.0.0-x-y", "1/../../x", "1" * 5_000, "1." * 60 + "1"]
)
def test_versions_that_pip_would_not_take(version: str) -> None:
    with pytest.raises(BertZhError, match="--version"):
        check_version(version)


def test_versions_are_written_as_pip_writes_them() -> None:
    assert check_version("v1.0.0-beta") == "1.0.0b0"


def test_what_is_no_pipeline_is_refused(stock: Path, tmp_path: Path) -> None:
    blank, broken = tmp_path / "blank", tmp_path / "broken"
    spacy.blank("zh").to_disk(blank)
    broken.mkdir()
    (broken / "config.cfg").write_text("[nlp\n")
    (broken / "meta.json").write_text("{}")
    (tmp_path / "list.json").write_text("[]")
    for pipeline, options, message in (
        (tmp_path / "missing", {}, "is not a pipeline"),
        (blank, {}, "has no text classifier"),
        (broken, {}, "config.cfg can't be read"),
        (stock, {"metrics": tmp_path / "none.json"}, "none.json is missing"),
        (stock, {"data_report": tmp_path / "list.json"}, "is not a JSON object"),
    ):
        with pytest.raises(BertZhError, match=message) as raised:
            package(pipeline, tmp_path / "out", **options)
        assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_file_is_no_place_for_wheels(stock: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "folder"):
        with pytest.raises(BertZhError, match="a file is in its place"):
            package(stock, place)


def test_without_build_the_command_tells_the_extra(stock: Path, tmp_path: Path) -> None:
    """In an environment that has everything else."""
    site = Path(spacy.__file__).parent.parent
    for path in site.iterdir():
        if not path.name.startswith(("build", "__editable__", "spacy_bert_zh-")):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "spacy_bert_zh").symlink_to(REPOSITORY / "spacy_bert_zh")
    start = "import sys; sys.path.append(sys.argv.pop(1)); from spacy_bert_zh.cli import app; app()"
    done = run("-S", "-c", start, tmp_path, "package", stock, tmp_path / "out")
    assert done.returncode == 1
    assert 'pip install "spacy-bert-zh[package]"' in done.stderr
    assert len(done.stderr.splitlines()) == 1
