"""Packing: nothing lost, rows full, and the same hidden states as without it."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spacy_bert_zh.pretrain.masking import SPECIAL, Replacements
from spacy_bert_zh.pretrain.network import MaskedBert, flops, new_model
from spacy_bert_zh.pretrain.packing import IGNORED, Corpus, Specials, lay_out, mask_rows, pack

CLS, SEP, PAD, MASK, FIRST, SIZE = 1, 2, 0, 3, 5, 60
SPECIALS = Specials(CLS, SEP, PAD)
REPLACEMENTS = Replacements(MASK, np.arange(FIRST, SIZE))


def make_corpus(lengths: list[int], seed: int = 0) -> Corpus:
    rng = np.random.default_rng(seed)
    total = sum(lengths)
    starts = rng.random(total) < 0.6
    documents = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    starts[documents[:-1]] = True
    return Corpus(rng.integers(FIRST, SIZE, total), starts, documents)


def all_rows(corpus: Corpus, length: int, seed: int = 0):
    plan = pack(corpus.documents, length, np.random.default_rng(seed))
    return plan, lay_out(corpus, plan, range(len(plan)), length, SPECIALS)


@given(st.lists(st.integers(1, 70), min_size=1, max_size=60), st.integers(8, 40))
def test_every_piece_is_in_one_row(lengths, length):
    corpus = make_corpus(lengths)
    plan, rows = all_rows(corpus, length)
    covered = np.concatenate(
        [np.arange(b, b + s) for b, s in zip(plan.begin, plan.size, strict=True)]
    )
    assert sorted(covered.tolist()) == list(range(len(corpus.pieces)))
    text = rows.ids[(rows.documents >= 0) & (rows.ids != CLS) & (rows.ids != SEP)]
    assert sorted(text.tolist()) == sorted(corpus.pieces.tolist())
    assert rows.ids.shape == (len(plan), length)


@given(st.lists(st.integers(1, 70), min_size=1, max_size=60), st.integers(8, 40))
def test_each_stretch_has_its_own_cls_sep_positions_and_words(lengths, length):
    _, rows = all_rows(make_corpus(lengths), length)
    for ids, positions, documents, words in zip(
        rows.ids, rows.positions, rows.documents, rows.words, strict=True
    ):
        for document in range(documents.max() + 1):
            at = np.flatnonzero(documents == document)
            assert ids[at[0]] == CLS
            assert ids[at[-1]] == SEP
            assert (positions[at] == np.arange(len(at))).all()
            assert (np.diff(at) == 1).all()
            others = words[(documents != document) & (words != SPECIAL)]
            assert not set(words[at[1:-1]].tolist()) & set(others.tolist())
        assert (words[(documents < 0) | (ids == CLS) | (ids == SEP)] == SPECIAL).all()


def test_rows_are_nearly_full():
    lengths = np.random.default_rng(0).integers(5, 60, 2000).tolist()
    _, rows = all_rows(make_corpus(lengths), 128)
    assert (rows.documents >= 0).mean() > 0.98


def test_the_seed_orders_the_rows():
    documents = make_corpus([10] * 50).documents
    plans = [pack(documents, 32, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert (plans[0].begin == plans[1].begin).all()
    assert (plans[0].begin != plans[2].begin).any()


def test_a_batch_has_a_fixed_shape_and_hides_what_is_to_be_found():
    corpus = make_corpus([20] * 30)
    _, rows = all_rows(corpus, 64)
    batch = mask_rows(rows, [[0, i] for i in range(len(rows.ids))], 0.15, (1.0,), REPLACEMENTS)
    size = len(rows.ids) * round(0.15 * 64)
    assert batch["where"].shape == batch["labels"].shape == (size,)
    real = batch["labels"] != IGNORED
    at = batch["where"][real]
    assert (rows.ids.ravel()[at] == batch["labels"][real]).all()
    changed = np.flatnonzero(batch["ids"] != rows.ids)
    assert set(changed.tolist()) <= set(at.tolist())


def test_a_row_is_masked_the_same_in_any_company():
    _, rows = all_rows(make_corpus([20] * 30), 64)
    seeds = [[0, i] for i in range(len(rows.ids))]
    together = mask_rows(rows, seeds, 0.15, (1.0,), REPLACEMENTS)["ids"]
    for i in (0, 3):
        alone = type(rows)(*(getattr(rows, name)[i : i + 1] for name in rows.__dataclass_fields__))
        assert (
            mask_rows(alone, seeds[i : i + 1], 0.15, (1.0,), REPLACEMENTS)["ids"] == together[i]
        ).all()


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    config = {
        "vocab_size": SIZE,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
    }
    model = new_model(config, dropout=0.1)
    for parameter in model.parameters():  # large enough for attention to matter
        parameter.data.mul_(4)
    return MaskedBert(model).eval()


def test_packed_and_unpacked_give_the_same_hidden_states(network):
    corpus = make_corpus([3, 17, 9, 30, 1, 12, 25])
    _, packed = all_rows(corpus, 64)
    tensors = [torch.from_numpy(getattr(packed, n)) for n in ("ids", "positions", "documents")]
    with torch.inference_mode():
        hidden = network.encode(*tensors)
        for row in range(len(packed.ids)):
            for document in range(packed.documents[row].max() + 1):
                at = np.flatnonzero(packed.documents[row] == document)
                ids = torch.from_numpy(packed.ids[row, at])[None]
                alone = network.model.bert(input_ids=ids).last_hidden_state[0]
                assert torch.allclose(hidden[row, at], alone, atol=1e-5)


def test_the_head_at_masked_places_is_the_head_everywhere(network):
    _, rows = all_rows(make_corpus([20] * 10), 64)
    arrays = mask_rows(rows, [[0, i] for i in range(len(rows.ids))], 0.15, (1.0,), REPLACEMENTS)
    batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
    with torch.inference_mode():
        loss, found, _ = network(**batch)
        hidden = network.encode(batch["ids"], batch["positions"], batch["documents"])
        everywhere = network.model.cls(hidden).flatten(0, 1)
    labels = torch.full((everywhere.shape[0],), IGNORED)
    real = batch["labels"] != IGNORED
    labels[batch["where"][real]] = batch["labels"][real]
    plain = torch.nn.functional.cross_entropy(everywhere, labels, reduction="sum")
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)
    assert found.item() == (everywhere.argmax(-1) == labels).sum().item()


def test_flops_are_those_that_torch_counts(network):
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    config = network.model.config.to_dict()
    length, rows = 64, 4
    places = round(rows * length * 0.15)
    batch = (
        torch.full((rows, length), FIRST),
        torch.zeros((rows, length), dtype=torch.long),
        torch.zeros((rows, length), dtype=torch.long),
        torch.zeros(places, dtype=torch.long),
        torch.full((places,), FIRST),
    )
    # Only the plain form of attention is counted on every device.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(*batch)
    counted = flops(config, length, places / (rows * length)) * rows * length / 3
    assert counted == pytest.approx(counter.get_total_flops(), rel=0.05)
