"""Rows dealt out to parts, parts written as they were, and what was said of them kept."""

from pathlib import Path

import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import read_shards
from spacy_bert_zh.folds import (
    Judged,
    deal,
    join,
    near_groups,
    read_judged,
    read_rows,
    to_predictions,
    write_judged,
    write_parts,
)


@given(
    st.lists(st.sets(st.integers(0, 4)), min_size=1, max_size=80),
    st.integers(2, 6),
    st.integers(0, 99),
)
@settings(deadline=None)
def test_every_part_gets_its_share_of_every_label(
    rows: list[set[int]], folds: int, seed: int
) -> None:
    gold = np.array([[label in row for label in range(5)] for row in rows])
    alone = np.arange(len(rows))
    parts = deal(gold, alone, [1] * folds, seed)
    assert ((parts >= 0) & (parts < folds)).all()
    assert (parts == deal(gold, alone, [1] * folds, seed)).all()
    # The rarest label is dealt out first, so that nothing disturbs it.
    counts = gold.sum(axis=0)
    rarest = int(np.where(counts > 0, counts, len(rows) + 1).argmin())
    of_part = np.bincount(parts[gold[:, rarest]], minlength=folds)
    assert of_part.max() - of_part.min() <= 1


@given(st.lists(st.integers(0, 3), min_size=8, max_size=120), st.integers(2, 5))
@settings(deadline=None)
def test_labels_that_exclude_each_other_are_dealt_out_evenly(labels: list[int], folds: int) -> None:
    gold = np.eye(4, dtype=bool)[labels]
    parts = deal(gold, np.arange(len(labels)), [1] * folds, 0)
    for label in range(4):
        counts = np.bincount(parts[gold[:, label]], minlength=folds)
        assert counts.max() - counts.min() <= 1


@given(st.lists(st.integers(0, 9), min_size=2, max_size=60), st.integers(0, 9))
@settings(deadline=None)
def test_a_group_is_never_torn_apart(groups: list[int], seed: int) -> None:
    of_row = np.array(groups)
    parts = deal(np.ones((len(groups), 1), dtype=bool), of_row, [0.5, 0.3, 0.2], seed)
    for group in set(groups):
        assert len(set(parts[of_row == group])) == 1


def test_shares_are_kept() -> None:
    gold = np.eye(2, dtype=bool)[[0] * 90 + [1] * 10]
    parts = deal(gold, np.arange(100), [0.1, 0.2, 0.7], 0)
    assert np.bincount(parts).tolist() == [10, 20, 70]
    assert [int(gold[parts == part, 1].sum()) for part in range(3)] == [1, 2, 7]


def test_near_duplicates_are_one_group() -> None:
    groups = near_groups(["今天的天气非常好适合出去玩", "今天的天气非常好适合出去玩！", "牛肉面"])
    assert groups[0] == groups[1] != groups[2]


def test_what_belongs_together_is_one_group() -> None:
    texts = ["今天的天气非常好适合出去玩", "牛肉面", "牜禸麵", "鱼香肉丝"]
    assert len(set(near_groups(texts).tolist())) == 4
    groups = near_groups(texts, [(1, 2)])
    assert groups[1] == groups[2] and len(set(groups.tolist())) == 3


def test_changed_texts_are_linked_to_what_they_were(tmp_path: Path) -> None:
    nlp = spacy.blank("zh")
    shard = DocBin(store_user_data=True)
    told = (("b", 1, True), ("a", 1, True), ("a", 1, False), ("a", 2, False), ("b", 1, True))
    for number, (file, line, changed) in enumerate(told):
        doc = nlp.make_doc(f"第{number}条")
        doc.cats = {"a": float(number % 2), "b": 1.0 - number % 2}
        doc.user_data = {"file": file, "line": line} | ({"changed": "sound"} if changed else {})
        shard.add(doc)
    shard.to_disk(tmp_path / "0.spacy")
    rows = read_rows(tmp_path)
    groups = near_groups(rows.texts, rows.links).tolist()
    assert groups[1] == groups[2] and groups[0] == groups[4] and len(set(groups)) == 3


def test_a_text_of_nothing_is_in_no_part(tmp_path: Path) -> None:
    nlp = spacy.blank("zh")
    docs = [nlp.make_doc(text) for text in ("好", "", "坏", "贵")]
    for number, doc in enumerate(docs):
        doc.cats = {"a": float(number % 2), "b": 1.0 - number % 2}
    (tmp_path / "corpus").mkdir()
    DocBin(docs=docs).to_disk(tmp_path / "corpus" / "0.spacy")
    count = len(list(read_shards(nlp, tmp_path / "corpus")))
    write_parts(tmp_path / "corpus", np.arange(count), [tmp_path / str(i) for i in range(count)])
    found = [[doc.text for doc in read_shards(nlp, tmp_path / str(i))] for i in range(count)]
    assert found == [["好"], ["坏"], ["贵"]]


def test_parts_hold_all_that_their_rows_have(tmp_path: Path) -> None:
    vocab = spacy.blank("zh").vocab
    docs = [Doc(vocab, words=["好", f"{i}"], tags=["VA", "M"]) for i in range(7)]
    for i, doc in enumerate(docs):
        doc.cats = {"a": float(i % 2), "b": 1.0 - i % 2}
        doc.user_data = {"file": "x.csv", "line": i}
    (tmp_path / "corpus").mkdir()
    for name, some in (("0", docs[:3]), ("1", docs[3:])):
        shard = DocBin(attrs=["TAG"], docs=some, store_user_data=True)
        shard.to_disk(tmp_path / "corpus" / f"{name}.spacy")
    part_of = np.array([0, 1, -1, 0, 1, 1, 0])
    write_parts(tmp_path / "corpus", part_of, [tmp_path / "a", tmp_path / "b"])
    for part, folder in enumerate(("a", "b")):
        found = list(read_shards(spacy.blank("zh"), tmp_path / folder))
        kept = np.flatnonzero(part_of == part).tolist()
        assert [doc.user_data["line"] for doc in found] == kept
        assert [doc.text for doc in found] == [docs[i].text for i in kept]
        assert [doc.cats for doc in found] == [docs[i].cats for i in kept]
        assert [doc[0].tag_ for doc in found] == ["VA"] * len(kept)


def test_what_was_said_comes_back_and_belongs_to_its_corpus(corpus: Path, tmp_path: Path) -> None:
    rows, others = read_rows(corpus / "train"), read_rows(corpus / "dev")
    scores = np.random.default_rng(0).dirichlet([1, 1], size=len(rows.texts))
    given = scores > 0.5
    every = np.arange(len(rows.texts))
    halves = [Judged(every[i::2], scores[i::2], given[i::2]) for i in (1, 0)]
    path = tmp_path / "predictions.jsonl"
    write_judged(path, rows, join(halves))
    found = read_judged(path, rows)
    assert found.rows.tolist() == every.tolist()
    assert found.scores == pytest.approx(scores, abs=1e-6) and (found.given == given).all()
    predictions = to_predictions(rows, found)
    assert predictions.exclusive and predictions.gold.sum() == len(rows.texts)
    with pytest.raises(BertZhError, match=r"predictions\.jsonl:1: row 0 .* another corpus"):
        read_judged(path, others)
    path.write_text(path.read_text("utf-8") * 2, "utf-8")
    with pytest.raises(BertZhError, match="a row twice"):
        read_judged(path, rows)
    path.write_text("", "utf-8")
    with pytest.raises(BertZhError, match="is empty"):
        read_judged(path, rows)
