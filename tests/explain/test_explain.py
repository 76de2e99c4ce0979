"""Explanations of real pipelines: sums that are exact, places that are right, other answers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from spacy.language import Language
from spacy.tokens import DocBin
from typer.testing import CliRunner

from spacy_bert_zh.cli import app
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.explain import contrast, explain, rate, summarise
from spacy_bert_zh.explain.flow import BUDGET
from spacy_bert_zh.explain.subsets import ALONE, TRIED
from spacy_bert_zh.textcat import Cascade, plain_weights
from tests.conftest import FACTORIES, make_examples, pipe_of
from tests.explain.conftest import as_onnx

Build = Callable[..., Language]
TEXT = "这家店味道很差，老板服务冷淡，米饭好吃，奶茶太慢。"
STRANGE = ["", "  \n", "😀👍🏽这家店", "ＡＢｃ　店", "e\u0301店\u200b家\ufeff", "İß店ﬁ", "𠮷𡈽店"]


ARCHITECTURES = [f"BertTextCat{kind}.v{number}" for kind in ("", "Ensemble") for number in (1, 2)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("factory", FACTORIES)
def test_the_parts_are_the_logit(architecture: str, factory: str, trained_one: Any) -> None:
    nlp = trained_one(architecture, factory)
    labels = list(pipe_of(nlp).labels)
    for one in explain(nlp, [TEXT, "好吃", *STRANGE], labels):
        cats = nlp(one.text).cats
        logits = np.asarray([share.logit for share in one.shares])
        odds = np.exp(logits - logits.max())
        scores = odds / odds.sum() if factory == FACTORIES[0] else 1 / (1 + np.exp(-logits))
        assert scores == pytest.approx([cats[label] for label in labels], abs=1e-5)
        linear = np.zeros(2)
        if "Ensemble" in architecture:
            model = pipe_of(nlp).model
            linear = model.attrs["linear_rate"] * model.layers[2].predict([nlp(one.text)])[0]
        for row, share in enumerate(one.shares):
            assert share.ngrams == pytest.approx(linear[row], abs=1e-5)
            assert sum(share.ngram_characters) == pytest.approx(share.ngrams, abs=1e-6)
            assert share.error <= 1e-2
            missed = abs(sum(share.network_characters) - share.network)
            assert missed <= 1e-2 * max(abs(share.network), 0.1)
            assert len(share.characters) == len(one.text)


def test_gradients_are_those_of_a_plain_loop(still: Path, trained_one: Any) -> None:
    """Over `transformers.BertModel` alone, window by window, with the embeddings replaced."""
    from transformers import BertModel

    nlp = trained_one("BertTextCat.v2")
    (one,) = explain(nlp, [TEXT])
    pipe = pipe_of(nlp)
    shim = pipe.model.get_ref("backbone").shims[0]
    weights, _ = plain_weights(pipe.model.get_ref("output_layer"))
    direction = torch.from_numpy(weights[list(pipe.labels).index(one.shares[0].label)])
    plain = BertModel.from_pretrained(still).eval()
    weights_now = {k: torch.from_numpy(v) for k, v in shim.extract_weights().items()}
    plain.load_state_dict(weights_now, strict=False)
    tokenizer = shim.encoder.tokenizer
    encoding = tokenizer.encode(TEXT, add_special_tokens=False)
    cls, sep, mask = (tokenizer.token_to_id(name) for name in ("[CLS]", "[SEP]", "[MASK]"))
    expected = np.zeros(len(TEXT))
    spans = [(0, 14), (10, 24), (20, len(encoding.ids))][: 3 if len(encoding.ids) > 24 else 2]
    for start, end in spans:
        end = min(end, len(encoding.ids))
        ids = [cls, *encoding.ids[start:end], sep]
        blank = [cls, *[mask] * (end - start), sep]
        with torch.no_grad():
            full, base = (plain.embeddings(torch.tensor([row])) for row in (ids, blank))
        slopes = torch.zeros_like(full)
        for step in range(200):
            at = (base + (step + 0.5) / 200 * (full - base)).requires_grad_()
            value = plain.encoder(at).last_hidden_state.mean(1)[0] @ direction
            slopes += torch.autograd.grad(value, at)[0] / 200
        found = (slopes * (full - base)).sum(2)[0, 1:-1] / len(spans)
        for piece, worth in enumerate(found.tolist(), start):
            first, last = encoding.offsets[piece]
            expected[first:last] += worth / (last - first)
    ours = np.asarray(one.shares[0].network_characters)
    assert spearmanr(ours, expected).statistic >= 0.99
    assert ours == pytest.approx(expected, abs=1e-2 * np.abs(expected).max())


strange = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("这家店好吃ab😀\u200d\u0301\ufeff\u3000Ａ１İß𠮷 \n"),
        st.characters(min_codepoint=0x20000, max_codepoint=0x323AF),  # CJK extensions
        st.characters(categories=["Mn", "Cf"]),  # combining marks, zero width
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(text=strange)
def test_every_piece_stands_in_the_text(text: str, trained_one: Any) -> None:
    check_places(text, trained_one("BertTextCatEnsemble.v3"))


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(text=strange)
def test_every_piece_of_ten_thousand_strange_texts(text: str, trained_one: Any) -> None:
    check_places(text, trained_one("BertTextCatEnsemble.v3"))


def check_places(text: str, nlp: Language) -> None:
    """The characters have their parts, wherever pieces and n-grams stand."""
    encoder = pipe_of(nlp).model.get_ref("backbone").shims[0].encoder
    places, spans = encoder.places(text)
    encoded = encoder([nlp.make_doc(text)])
    assert encoded.readings[0]["pieces"] == len(places) and spans[-1][1] == len(places)
    assert all(0 <= start < end <= len(text) for start, end in places)
    (one,) = explain(nlp, [text], samples=1)
    (share,) = one.shares
    assert one.text == text and len(share.characters) == len(text)
    total = share.bias + sum(share.characters)
    assert total == pytest.approx(share.logit, abs=1e-4)


def test_a_difference_is_that_of_two_labels(trained_one: Any) -> None:
    nlp = trained_one("BertTextCatEnsemble.v3")
    (both,) = explain(nlp, [TEXT], ["neg", "pos"])
    (one,) = explain(nlp, [TEXT], ["neg"], against="pos")
    neg, pos = both.shares
    assert one.shares[0].logit == pytest.approx(neg.logit - pos.logit, abs=1e-4)
    assert one.shares[0].ngrams == pytest.approx(neg.ngrams - pos.ngrams, abs=1e-5)
    # Of two labels that exclude each other, the odds are those of one against the other.
    assert one.shares[0].effects == pytest.approx(neg.effects, abs=1e-4)


@pytest.mark.parametrize(
    ("factory", "cascade"), [(FACTORIES[0], False), (FACTORIES[1], False), (FACTORIES[0], True)]
)
def test_an_effect_is_what_the_pipeline_says_without_a_word(
    factory: str, cascade: bool, trained_one: Any
) -> None:
    nlp = trained_one("BertTextCatEnsemble.v3", factory)
    text = "这家店味道很差，米饭好吃。"

    def odds(text: str) -> float:
        score = nlp(text).cats["neg"]
        return float(np.log(score / (1 - score)))

    pipe = pipe_of(nlp)
    if cascade:  # whose n-grams are sure of everything
        pipe.cascade = Cascade(margin=1e-9, temperature=2.0)
    try:
        (one,) = explain(nlp, [text], ["neg"])
        (sampled,) = explain(nlp, [text], ["neg"], samples=3)
        (share,) = one.shares
        assert one.method == ("none" if cascade else "gradients")
        expected = []
        for start, end in one.words:
            lost = odds(text) - odds(text[:start] + text[end:])
            expected.append((lost + odds(text[start:end]) - odds("")) / 2)
        assert share.effects == pytest.approx(expected, abs=1e-3)
        whole = odds(text) - odds("")
        assert sum(sampled.shares[0].effects) == pytest.approx(whole, abs=1e-3)
    finally:
        if cascade:
            pipe.cascade = None


def test_other_engines_take_words_away(trained_one: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    torchs = trained_one("BertTextCatEnsemble.v3")
    nlp = as_onnx(torchs, tmp_path)
    (ours,) = explain(torchs, [TEXT])
    (plain,), (shapley,) = explain(nlp, [TEXT]), explain(nlp, [TEXT], samples=5)
    (same,) = explain(torchs, [TEXT], samples=5)
    assert (ours.method, plain.method, shapley.method) == ("gradients", "occlusion", "shapley")
    assert plain.shares[0].logit == pytest.approx(ours.shares[0].logit, abs=1e-3)
    for found in (plain, shapley):
        assert found.shares[0].error < 1e-6
        assert sum(found.shares[0].network_characters) == pytest.approx(found.shares[0].network)
    assert shapley.shares[0].together < 1e-6 < plain.shares[0].together
    assert shapley.shares[0].characters == pytest.approx(same.shares[0].characters, abs=1e-3)


def test_a_contrast_changes_the_answer_and_needs_each_word(trained_one: Any) -> None:
    nlp = trained_one("BertTextCatEnsemble.v3")
    text = "这家店味道很差，米饭好吃。"
    (one,) = explain(nlp, [text])
    found = contrast(nlp, one)
    assert found is not None and found.given != one.given
    cats = nlp(found.text).cats
    assert max(cats, key=cats.__getitem__) == found.given[0]
    for kept in found.words if len(found.words) > 1 else []:
        rest = [span for span in found.words if span != kept]
        left = "".join(c for i, c in enumerate(text) if not any(s <= i < e for s, e in rest))
        cats = nlp(left).cats
        assert max(cats, key=cats.__getitem__) == one.given[0]


def test_a_good_order_is_rated_above_a_random_one(trained_one: Any, tmp_path: Path) -> None:
    nlp = trained_one("BertTextCatEnsemble.v3")
    docs = [example.reference for example in make_examples(nlp, 12, seed=5)]
    DocBin(docs=docs).to_disk(tmp_path / "dev.spacy")
    found = summarise(nlp, tmp_path, most=10).rating
    assert found.texts == 10 and found.error <= 1e-2
    assert found.comprehensiveness > found.random_comprehensiveness
    assert found.sufficiency < found.random_sufficiency
    assert abs(found.random_consistency) < 0.2 < 0.5 < found.consistency <= 1
    assert rate(nlp, explain(nlp, [""])) is None


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_first_word_found_is_the_one_that_is_missed_most(
    factory: str, trained_one: Any
) -> None:
    nlp = trained_one("BertTextCatEnsemble.v3", factory)
    text = "这家店味道很差，米饭好吃。"
    (plain,) = explain(nlp, [text], ["neg"])
    effects = [plain.shares[0].effects[number] for number in plain.shares[0].order]
    assert effects == sorted(effects, reverse=True)
    (one,) = explain(nlp, [text], ["neg"], search=True)
    (share,) = one.shares
    assert sorted(share.order) == list(range(len(one.words)))
    best = np.argsort(-np.asarray(share.effects), kind="stable")[:TRIED]

    def worth(number: int) -> float:
        start, end = one.words[number]
        scores = [nlp(part).cats["neg"] for part in (text[:start] + text[end:], text[start:end])]
        return ALONE * scores[1] - scores[0]

    assert worth(share.order[0]) == pytest.approx(max(map(worth, best.tolist())), abs=1e-4)
    searched = (len(one.words) + 1) // 2
    rest = [share.effects[number] for number in share.order[searched:]]
    assert rest == sorted(rest, reverse=True)


def test_what_is_too_long_is_cut_and_said(trained_one: Any) -> None:
    nlp = trained_one("BertTextCatEnsemble.v3")
    (one,) = explain(nlp, ["店" * 1_000_000], samples=0)
    assert len(one.text) == BUDGET and one.left_out == 1_000_000 - BUDGET


@pytest.mark.parametrize("text", ["", " \n\u3000", "\u200b\ufeff", "\0"])
def test_a_text_without_any_piece_is_the_bias(text: str, trained_one: Any) -> None:
    (one,) = explain(trained_one("BertTextCat.v2"), [text])
    (share,) = one.shares
    assert one.read == 0 and share.network == 0 and share.logit == share.bias
    assert len(share.characters) == len(text)
    rating = rate(trained_one("BertTextCat.v2"), [one])
    assert rating is None or rating.comprehensiveness == 0


def test_bad_input(trained_one: Any) -> None:
    nlp = trained_one("BertTextCat.v1")
    with pytest.raises(BertZhError, match="has no label '体育', only neg, pos"):
        explain(nlp, [TEXT], against="体育")
    with pytest.raises(BertZhError, match="has no label '体育', only neg, pos"):
        explain(nlp, [TEXT], ["体育"])
    with pytest.raises(BertZhError, match="no text classifier"):
        explain(spacy.blank("zh"), [TEXT])
    other = spacy.blank("zh")
    other.add_pipe("textcat").add_label("a")  # type: ignore[attr-defined]
    with pytest.raises(BertZhError, match="no BERT of its own"):
        explain(other, [TEXT])


def test_the_command_prints_and_makes_a_page(trained_one: Any, tmp_path: Path) -> None:
    trained_one("BertTextCatEnsemble.v3").to_disk(tmp_path / "pipeline")
    attack = "<script>好吃</script>[bold]"
    (tmp_path / "texts.txt").write_text(attack + "\n\n", "utf-8")
    arguments = ["explain", str(tmp_path / "pipeline"), TEXT, "--file", str(tmp_path / "texts.txt")]
    page = tmp_path / "page.html"
    done = CliRunner().invoke(app, [*arguments, "--html", str(page)])
    assert done.exit_code == 0, done.output
    assert "味道" in done.output and "integrated gradients" in done.output
    html = page.read_text("utf-8")
    assert "<script" not in html and "&lt;" in html and "http" not in html
    assert "/pipeline" in html and str(tmp_path) not in html
    done = CliRunner().invoke(app, [*arguments, "--json"])
    first, second = map(json.loads, done.output.splitlines())
    assert first["explanation"]["text"] == TEXT and second["explanation"]["text"] == attack
    done = CliRunner().invoke(app, ["explain", str(tmp_path / "pipeline"), ""])
    assert done.exit_code == 0 and "nothing that the BERT reads" in done.output
    done = CliRunner().invoke(app, ["explain", str(tmp_path / "pipeline")])
    assert done.exit_code == 1 and "Nothing to explain" in done.output
