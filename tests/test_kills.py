"""Runs that are killed at random points end in the same bytes; nothing and nobody is left behind.

Minutes each; KILLS=3 makes them shorter.
"""

import shutil
import signal
from pathlib import Path

import pytest
import spacy
from safetensors.numpy import load_file

from spacy_bert_zh.convert.options import Options
from spacy_bert_zh.files import RECORD
from spacy_bert_zh.score import score
from tests.conftest import example_of, make_rows
from tests.killing import SIGNALS, Command, kill_loop
from tests.pretraining import TINY, as_words

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small text classifier of spaCy's own."""
    nlp = spacy.blank("zh")
    model = {"@architectures": "spacy.TextCatBOW.v3", "exclusive_classes": True, "length": 512}
    nlp.add_pipe("textcat", config={"model": {**model, "ngram_size": 1, "no_output_layer": False}})
    nlp.initialize(lambda: [example_of(nlp, {"pos": 1.0, "neg": 0.0})])
    folder = tmp_path_factory.mktemp("stock") / "pipeline"
    nlp.to_disk(folder)
    return folder


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("workers", [1, 2])
def test_score(workers: int, number: signal.Signals, stock: Path, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    source, output = folder / "in.txt", folder / "out.csv"
    source.write_text("".join(f"{text}{n}\n" for n, (text, _) in enumerate(make_rows(4000))))
    score(str(stock), source, tmp_path / "expected.csv", Options("text"), text=True)
    expected = (tmp_path / "expected.csv").read_bytes()
    words = ["score", stock, source, output, "--format", "text", "--text", "--chunk-size", 100]
    command = Command([*map(str, words), "--workers", str(workers)], tmp_path / "t")

    def is_over() -> bool:
        known = {"in.txt", "out.csv", "out.csv.parts", RECORD}
        if number != signal.SIGKILL:  # which leaves what the next run sweeps
            assert {path.name for path in folder.iterdir()} <= known
            assert not list(folder.glob("*.parts/.*.part"))
        assert not output.exists() or output.read_bytes() == expected
        return output.exists() and not (folder / "out.csv.parts").exists()

    assert kill_loop(command, number, is_over, output.unlink)
    assert {path.name for path in folder.iterdir()} == {"in.txt", "out.csv", RECORD}


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_pretrain(number: signal.Signals, text: Path, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    corpus, output = tmp_path / "in.txt", folder / "bert"
    corpus.write_text("".join(f"{text}iphone{n}\n" for n, (text, _) in enumerate(make_rows(4000))))
    options = {**TINY, "steps": 60, "workers": 2, "dropout": 0.1}
    command = Command(["pretrain", str(corpus), str(output), *as_words(options)], tmp_path / "t")
    first: dict[str, bytes] = {}

    def is_over() -> bool:
        if not output.exists():
            return False
        weights = load_file(output / "model.safetensors")
        made = {name: array.tobytes() for name, array in weights.items()}
        made["vocabulary"] = (output / "vocab.txt").read_bytes()
        first.update(first or made)
        assert made == first
        return True

    def begin_anew() -> None:
        shutil.rmtree(output)
        shutil.rmtree(folder / "bert.work", ignore_errors=True)

    assert kill_loop(command, number, is_over, begin_anew)
