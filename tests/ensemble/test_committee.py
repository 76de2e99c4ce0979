"""Several runs that answer together: what they say, and that the outcome is like any pipeline."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.tokens import DocBin
from spacy.training import Example
from thinc.api import Adam, Linear

from spacy_bert_zh.backbones.committee import build_committee_backbone_v1
from spacy_bert_zh.calibrate import calibrate
from spacy_bert_zh.distill import distill
from spacy_bert_zh.ensemble import ensemble
from spacy_bert_zh.ensemble.committee import find_shares
from spacy_bert_zh.ensemble.runs import load_run
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import read_shards
from spacy_bert_zh.explain import explain
from spacy_bert_zh.export.flow import export
from spacy_bert_zh.index import index
from spacy_bert_zh.index.options import Options
from spacy_bert_zh.loading import load_pipeline, take_apart
from spacy_bert_zh.pieces import PieceEncoder, describe_reading
from spacy_bert_zh.textcat import shims_of, strangeness
from tests.conftest import FACTORIES, make_examples, pipe_of, run_cli, teach
from tests.ensemble.conftest import TEXTS, scores

V4 = "spacy_bert_zh.BertTextCatEnsemble.v4"


def build(checkpoint: Path, folder: Path, factory: str = "bert_textcat", **settings: Any) -> Path:
    """A pipeline that has learnt a little, in process."""
    nlp = spacy.blank("zh")
    model: dict[str, Any] = {
        "@architectures": V4,
        "linear_model": {"@architectures": "spacy_bert_zh.NgramLinear.v2", "length": 512},
        **settings,
    }
    given = {"@architectures": "spacy_bert_zh.TorchBackbone.v1", "mixed_precision": False}
    model["backbone"] = {**given, "name": str(checkpoint), "max_length": 24, "stride": 4}
    model["exclusive_classes"] = factory == "bert_textcat"
    nlp.add_pipe(factory, name="bert_textcat", config={"model": model})
    teach(nlp, make_examples(nlp, 60, 7), epochs=4)
    nlp.to_disk(folder)
    return folder


@pytest.fixture(scope="module")
def other(still: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run from another checkpoint, with another length of windows."""
    return build(still, tmp_path_factory.mktemp("other") / "run")


@pytest.fixture(scope="module")
def committee(
    runs: list[Path], other: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("committee") / "one"
    ensemble([*runs, other], folder, corpus / "dev", method="committee")
    return folder


def test_it_says_the_geometric_mean(runs: list[Path], other: Path, committee: Path) -> None:
    nlp = load_pipeline(committee)
    shares = [run["share"] for run in nlp.meta["ensemble"]["runs"]]
    assert sum(shares) == pytest.approx(1) and min(shares) > 0.05
    logs = [np.log(scores(load_pipeline(path))) for path in (*runs, other)]
    mean = np.exp(sum(share * log for share, log in zip(shares, logs, strict=True)))
    np.testing.assert_allclose(scores(nlp), mean / mean.sum(1, keepdims=True), atol=1e-6)
    one_by_one = [list(nlp(text).cats.values()) for text in TEXTS]
    np.testing.assert_allclose(one_by_one, scores(nlp), atol=1e-6)


@pytest.mark.parametrize("factory", FACTORIES)
def test_both_kinds_of_labels(factory: str, still: Path, checkpoint: Path, tmp_path: Path) -> None:
    paths = [build(path, tmp_path / path.name, factory) for path in (still, checkpoint)]
    dev = tmp_path / "dev.spacy"
    _write(dev)
    found = ensemble(paths, tmp_path / "one", dev, method="committee")
    said = [scores(load_pipeline(path)) for path in paths]
    shares = [run["share"] for run in found["runs"]]
    if factory == "bert_textcat":
        odds = np.prod([one**share for one, share in zip(said, shares, strict=True)], axis=0)
        mean = odds / odds.sum(1, keepdims=True)
    else:
        logits = [np.log(one) - np.log1p(-one) for one in said]
        mean = 1 / (1 + np.exp(-np.tensordot(shares, logits, axes=1)))
    np.testing.assert_allclose(scores(load_pipeline(tmp_path / "one")), mean, atol=1e-5)


def _write(path: Path) -> None:
    nlp = spacy.blank("zh")
    docs = [example.reference for example in make_examples(nlp, 40, 9)]
    DocBin(docs=docs).to_disk(path)


def test_texts_are_cut_once_for_all_that_cut_alike(
    committee: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nlp, cut = load_pipeline(committee), []
    real = PieceEncoder.__call__

    def counted(self: PieceEncoder, *args: Any, **kwargs: Any) -> Any:
        cut.append(self.max_length)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(PieceEncoder, "__call__", counted)
    doc = nlp("味道一般" * 40)
    assert cut == [32, 24]  # two runs of 32 pieces, one of 24
    reading = doc._.bert_textcat["bert_textcat"]
    assert reading["windows"] == 2 and reading["pieces_read"] > 40


def test_it_survives_bytes_and_disk(committee: Path, tmp_path: Path) -> None:
    nlp = load_pipeline(committee)
    nlp.to_disk(tmp_path / "again")
    np.testing.assert_array_equal(scores(spacy.load(tmp_path / "again")), scores(nlp))
    copy = type(nlp).from_config(nlp.config).from_bytes(nlp.to_bytes())
    np.testing.assert_array_equal(scores(copy), scores(nlp))


def test_a_committee_with_another_member_less_is_refused(committee: Path, runs: list[Path]) -> None:
    whole = load_pipeline(committee)
    config = whole.config.copy()
    del config["components"]["bert_textcat"]["model"]["backbone"]["*"]["2"]
    nlp = type(whole).from_config(config)
    with pytest.raises(BertZhError, match="can't be read"):
        nlp.get_pipe("bert_textcat").from_disk(committee / "bert_textcat")


def test_all_members_learn_on(committee: Path) -> None:
    nlp = load_pipeline(committee)
    name = "encoder.layer.0.output.dense.weight"
    parts = take_apart(pipe_of(nlp))
    before = [network.checkpoint.weights[name].copy() for network in parts.networks]
    examples = make_examples(nlp, 16, 3)
    optimizer = Adam(0.001)
    losses = [nlp.update(examples, sgd=optimizer, drop=0.0)["bert_textcat"] for _ in range(8)]
    assert losses[-1] < losses[0]
    for old, network in zip(before, take_apart(pipe_of(nlp)).networks, strict=True):
        assert np.abs(network.checkpoint.weights[name] - old).max() > 0


def test_each_member_gets_its_part_of_the_gradient(committee: Path) -> None:
    backbone = pipe_of(load_pipeline(committee)).model.get_ref("backbone")
    docs = [spacy.blank("zh").make_doc(text) for text in TEXTS]
    for shim in (node.shims[0] for node in backbone.layers):
        shim.network.eval()
        shim.network.train = lambda mode=True: None  # without dropout
    vectors, backprop = backbone.begin_update(docs)
    backprop(np.random.default_rng(0).normal(size=vectors.shape).astype("float32"))
    start, together = 0, []
    rows = np.random.default_rng(0).normal(size=vectors.shape).astype("float32")
    for node in backbone.layers:
        together.append(_gradients(node.shims[0]))
        alone, back = node.begin_update(docs)
        np.testing.assert_allclose(vectors[:, start : start + 16], alone, atol=1e-6)
        back(np.ascontiguousarray(rows[:, start : start + 16]))
        start += 16
        np.testing.assert_allclose(_gradients(node.shims[0]), 2 * together[-1], rtol=1e-4)


def _gradients(shim: Any) -> np.ndarray:
    return shim.network.bert.encoder.layer[0].output.dense.weight.grad.numpy().copy()


def test_it_is_exported(committee: Path, corpus: Path, tmp_path: Path, capsys) -> None:
    pytest.importorskip("onnx", reason="needs the extra [onnx-export]")
    wanted = scores(load_pipeline(committee))
    again = export(committee, tmp_path / "torch", "torch")
    np.testing.assert_array_equal(scores(spacy.load(again)), wanted)
    onnx = export(committee, tmp_path / "onnx", "onnx")
    np.testing.assert_allclose(scores(spacy.load(onnx)), wanted, atol=1e-5)
    assert not (onnx / "onnx").exists() and "No plain files" in capsys.readouterr().out
    small = export(
        committee, tmp_path / "int8", "onnx", precision="int8", dev=corpus / "dev", force=True
    )
    np.testing.assert_allclose(scores(spacy.load(small)), wanted, atol=0.1)
    with pytest.raises(BertZhError, match="a committee of 3 BERTs, and one is wanted"):
        export(committee, tmp_path / "bert", "checkpoint")


def test_it_is_exported_to_tensorflow(committee: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="the extra [tensorflow] is not installed")
    made = export(committee, tmp_path / "keras", "tensorflow")
    found = scores(spacy.load(made))
    np.testing.assert_allclose(found, scores(load_pipeline(committee)), atol=1e-5)


def test_it_is_explained(committee: Path) -> None:
    nlp = load_pipeline(committee)
    found = explain(nlp, TEXTS[:2])
    for text, one in zip(TEXTS, found, strict=False):
        share = one.shares[0]
        assert one.method == "gradients" and share.error < 1e-2
        total = share.bias + sum(share.ngram_characters) + sum(share.network_characters)
        assert total == pytest.approx(share.logit, abs=2e-2)
        cats = list(nlp(text).cats.values())
        assert share.score == pytest.approx(max(cats), abs=1e-6)


def test_it_is_calibrated_and_indexed(committee: Path, corpus: Path, tmp_path: Path) -> None:
    calibrate(committee, tmp_path / "sure", corpus / "dev", train=corpus / "train")
    sure = load_pipeline(tmp_path / "sure")
    usual = strangeness(pipe_of(sure).model, list(read_shards(sure, corpus / "train")))
    strange = strangeness(pipe_of(sure).model, [sure.make_doc("诸葛亮草船借箭")])
    assert usual.mean() == pytest.approx(0, abs=0.5) and strange[0] > usual.mean() + 3
    plain = scores(load_pipeline(committee))
    np.testing.assert_array_equal(scores(sure).argmax(1), plain.argmax(1))
    given = Options(add=corpus / "train", dev=corpus / "dev")
    index(committee, tmp_path / "indexed", given)
    near = load_pipeline(tmp_path / "indexed")(TEXTS[0])._.bert_textcat["bert_textcat"]
    assert near["neighbours"]


def test_a_student_learns_from_it(committee: Path, corpus: Path, tmp_path: Path) -> None:
    quick = {"training.max_steps": 20, "training.optimizer.learn_rate.total_steps": 20}
    best = distill([str(committee)], tmp_path, corpus, student="layers=2", overrides=quick)
    nlp = load_pipeline(best)
    assert len(shims_of(pipe_of(nlp).model)) == 1
    assert (scores(nlp).argmax(1) == scores(load_pipeline(committee)).argmax(1)).mean() >= 0.75


def test_a_committee_can_be_a_member(
    committee: Path, runs: list[Path], corpus: Path, tmp_path: Path
) -> None:
    ensemble([committee, runs[0]], tmp_path / "one", corpus / "dev", method="committee")
    assert len(shims_of(pipe_of(load_pipeline(tmp_path / "one")).model)) == 4


def test_the_config_tells_how_much_is_read(committee: Path) -> None:
    component = load_pipeline(committee).config.interpolate()["components"]["bert_textcat"]
    assert "reads 32 word pieces at a time" in str(describe_reading(component))


def test_a_run_that_knows_nothing_has_little_to_say(
    runs: list[Path], corpus: Path, still: Path, tmp_path: Path
) -> None:
    nlp = load_pipeline(runs[0])
    examples = make_examples(nlp, 60, 1)
    wrong = [Example.from_dict(e.predicted, {"cats": _turned(e.reference.cats)}) for e in examples]
    optimizer = Adam(0.01)
    for _ in range(10):
        nlp.update(wrong, sgd=optimizer)
    ngrams = pipe_of(nlp).model.layers[2]
    ngrams.set_param("W", -ngrams.get_param("W"))
    nlp.to_disk(tmp_path / "misled")
    loaded = [load_run(path, corpus / "dev", None) for path in (runs[0], tmp_path / "misled")]
    assert find_shares(loaded)[0] > 0.55
    same = find_shares([loaded[0], loaded[0]])
    np.testing.assert_allclose(same, 0.5, atol=1e-4)


def _turned(cats: dict[str, float]) -> dict[str, float]:
    labels = list(cats)
    return {label: cats[labels[i - 1]] for i, label in enumerate(labels)}


def test_what_is_refused(
    runs: list[Path], trained: Path, still: Path, corpus: Path, tmp_path: Path
) -> None:
    small = build(still, tmp_path / "small", network_share=0.7)
    for wrong, message in (
        (trained, "other settings of the model than"),
        (small, "other settings of the model than"),
    ):
        with pytest.raises(BertZhError, match=message):
            ensemble([runs[0], wrong], tmp_path / "one", corpus / "dev", method="committee")
    with pytest.raises(BertZhError, match="'vote': take one of soup, committee"):
        ensemble(runs, tmp_path / "one", corpus / "dev", method="vote")  # type: ignore[arg-type]
    assert not (tmp_path / "one").exists()


def test_the_command_makes_one(runs: list[Path], corpus: Path, tmp_path: Path) -> None:
    given = ("--dev", corpus / "dev", "--output", tmp_path / "one", "--method", "committee")
    done = run_cli("ensemble", *runs, *given)
    assert done.stdout.count("share 0.") == 2


@pytest.mark.parametrize("members", [(), (Linear(3, 3),)])
def test_only_our_backbones_are_members(members: Any) -> None:
    with pytest.raises(BertZhError, match="CommitteeBackbone: name its members"):
        build_committee_backbone_v1(*members)
