"""Nothing of the machine stays in a saved pipeline, and the pipeline still works."""

from pathlib import Path

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.cli.init_config import fill_config
from spacy.cli.train import train
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.util import load_config
from thinc.api import Config
from typer.testing import CliRunner

from spacy_bert_zh.loading.portable import OPTIONAL, build_portable_v1, portable, portable_config
from tests.conftest import REPOSITORY

TEXTS = {
    "股票今天大涨": "财经",
    "央行下调利率": "财经",
    "球队主场获胜": "体育",
    "国足再次出线": "体育",
}

CONFIG = """
[paths]
train = null
dev = null
labels = null

[nlp]
lang = "zh"
pipeline = ["textcat"]

[components]

[components.textcat]
factory = "textcat"

[components.textcat.model]
@architectures = "spacy.TextCatBOW.v3"
exclusive_classes = true
ngram_size = 1
no_output_layer = false
length = 64

[corpora]

[corpora.train]
@readers = "spacy.Corpus.v1"
path = ${paths.train}

[corpora.dev]
@readers = "spacy.Corpus.v1"
path = "${paths.dev}"

[training]
max_steps = 4
eval_frequency = 2

[training.before_to_disk]
@callbacks = "spacy_bert_zh.portable.v1"

[initialize]

[initialize.components]

[initialize.components.textcat]

[initialize.components.textcat.labels]
@readers = "spacy.read_labels.v1"
path = ${paths.labels}
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    nlp, docs = spacy.blank("zh"), DocBin(store_user_data=True)
    for text, label in TEXTS.items():
        doc = nlp(text)
        doc.cats = {name: float(name == label) for name in set(TEXTS.values())}
        docs.add(doc)
    docs.to_disk(folder / "all.spacy")
    (folder / "labels.json").write_text('["财经", "体育"]', "utf-8")
    (folder / "config.cfg").write_text(CONFIG, "utf-8")
    fill_config(folder / "config.cfg", folder / "config.cfg")
    return folder


def overrides(corpus: Path) -> dict[str, str]:
    paths = {"train": "all.spacy", "dev": "all.spacy", "labels": "labels.json"}
    return {f"paths.{key}": str(corpus / name) for key, name in paths.items()}


@pytest.fixture(scope="module")
def trained(corpus: Path) -> Path:
    train(corpus / "config.cfg", corpus / "training", overrides=overrides(corpus))
    return corpus / "training" / "model-last"


def written(pipeline: Path) -> str:
    return "".join((pipeline / name).read_text("utf-8") for name in ("config.cfg", "meta.json"))


def test_training_writes_no_path_of_the_machine(trained: Path, corpus: Path) -> None:
    for folder in (trained, trained.with_name("model-best")):
        assert str(corpus) not in written(folder)
        config = load_config(folder / "config.cfg")
        assert config["paths"] == {
            **dict.fromkeys(["train", "dev", "vectors", "init_tok2vec"]),
            "labels": "labels.json",
        }
        assert config["corpora"]["train"]["path"] == "${paths.train}"


def test_what_was_trained_loads_and_classifies(trained: Path) -> None:
    cats = spacy.load(trained)("股票").cats
    assert set(cats) == set(TEXTS.values())


def test_what_was_trained_trains_again(trained: Path, corpus: Path, tmp_path: Path) -> None:
    train(trained / "config.cfg", tmp_path / "again", overrides=overrides(corpus))
    assert spacy.load(tmp_path / "again" / "model-last")("股票").cats


def test_what_was_trained_survives_fill_config(trained: Path, tmp_path: Path) -> None:
    _, filled = fill_config(tmp_path / "filled.cfg", trained / "config.cfg")
    assert filled["components"] == load_config(trained / "config.cfg")["components"]


def test_what_was_trained_assembles(trained: Path, corpus: Path, tmp_path: Path) -> None:
    from spacy.cli import app

    options = [f"--{key}={value}" for key, value in overrides(corpus).items()]
    arguments = ["assemble", str(trained / "config.cfg"), str(tmp_path / "assembled"), *options]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert spacy.load(tmp_path / "assembled").pipe_names == ["textcat"]


def test_the_running_training_keeps_its_paths(trained: Path) -> None:
    nlp = spacy.load(trained, config={"paths.train": "/data/train", "paths.labels": "/data/l.json"})
    nlp.meta["sources"] = ["/data/a", {"name": "corpus", "file": r"C:\data\b.txt"}]
    view = build_portable_v1()(nlp)
    assert isinstance(view, Language)
    assert nlp.config["paths"]["train"] == "/data/train"
    assert nlp.meta["sources"][0] == "/data/a"
    assert view.config["paths"]["train"] is None
    assert view.config["paths"]["labels"] == "l.json"
    assert view.meta["sources"] == ["a", {"name": "corpus", "file": "b.txt"}]


def test_weights_are_shared_not_copied(trained: Path) -> None:
    nlp = spacy.load(trained)
    view = portable(nlp)
    assert view.get_pipe("textcat") is nlp.get_pipe("textcat")
    assert view.vocab is nlp.vocab


def test_a_path_behind_a_variable_leaves_a_string_to_its_component(tmp_path: Path) -> None:
    """A signature may demand a string: null would keep the pipeline from loading."""
    config = load_config(REPOSITORY / "configs" / "torch.cfg")
    config["paths"].update(weights=str(tmp_path), labels="labels.json")
    nlp = spacy.util.load_model_from_config(config, auto_fill=True)
    saved = portable(nlp).config
    assert saved["components"]["bert_textcat"]["model"]["backbone"]["name"] == "${paths.weights}"
    assert saved["paths"]["weights"] == tmp_path.name
    assert str(tmp_path) not in saved.to_str()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/data/bert", "bert"),
        ("/data/bert/", "bert"),
        (r"C:\data\bert", "bert"),
        ("file:///data/bert", "bert"),
        ('"/data/${paths.name}"', "${paths.name}"),
        (["/data/a", "b"], ["a", "b"]),
        ("corpus/train", "corpus/train"),
        ("${paths.train}", "${paths.train}"),
        ("https://example.org/x", "https://example.org/x"),
        ("/", "/"),
        ("财经/股票", "财经/股票"),
        (0.5, 0.5),
        (None, None),
    ],
)
def test_a_setting_becomes(value: object, expected: object) -> None:
    config = Config({"components": {"a": {"setting": value}}}, is_interpolated=False)
    assert portable_config(config) == {"components": {"a": {"setting": expected}}}


@pytest.mark.parametrize("setting", sorted(OPTIONAL))
def test_spacys_own_inputs_become_null(setting: str) -> None:
    section, key = setting.split(".")
    assert portable_config(Config({section: {key: "/data/x"}})) == {section: {key: None}}


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.text().map("/data/{}".format),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(), st.dictionaries(st.text(), json), max_size=3))
def test_once_is_enough(data: dict[str, dict[str, object]]) -> None:
    before = repr(data)
    config = portable_config(Config(data))
    assert portable_config(config) == config
    assert repr(data) == before
    assert "'/data/" not in repr(config)
