"""What a wheel requires, how it may be named, and what can't be packaged."""

import importlib.metadata
from pathlib import Path

import pytest
import spacy
from spacy.cli.package import get_third_party_dependencies
from thinc.api import Config

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.package.flow import EXTRAS, check_name, check_version, package, requirements
from tests.package.packaging import REPOSITORY, run


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


def test_members_of_a_committee_bring_their_extras() -> None:
    config = components("spacy_bert_zh.CommitteeBackbone.v1")
    backbone = next(iter(config["components"].values()))["model"]["backbone"]
    names = ("TorchBackbone", "OnnxBackbone")
    backbone["*"] = {n: {"@architectures": f"spacy_bert_zh.{n}.v1"} for n in names}
    found = get_third_party_dependencies(config)
    required = requirements(found, config)
    assert [one.split(">")[0] for one in required] == ["spacy-bert-zh[onnx,torch]"]


def test_the_transformer_comes_by_the_extra() -> None:
    pytest.importorskip("spacy_transformers", reason="needs requirements-shared.txt")
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
    assert set(EXTRAS) == backbones - {"CommitteeBackbone"}  # whose members bring theirs
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
