"""Agreement: published examples, and what must hold of any answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bert_zh.label.agreement import cohen_kappa, krippendorff_alpha, measure
from spacy_bert_zh.label.store import Answer


def test_alpha_of_the_example_by_its_author() -> None:
    """Krippendorff 2011, section C: four observers, twelve units, nominal, with data missing."""
    observers = ["123321412...", "1233224125.3", ".333234225 1.".replace(" ", ""), "12332441251."]
    units = [[row[i] for row in observers if row[i] != "."] for i in range(12)]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)


def test_kappa_of_a_known_table() -> None:
    """20 both yes, 5 and 10 different, 15 both no: observed 0.7, by chance 0.5."""
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert cohen_kappa(first, second) == pytest.approx(0.4)


def test_nothing_is_said_where_chance_would_do_as_well() -> None:
    assert cohen_kappa(["a"], ["a"]) is None and cohen_kappa([], []) is None
    assert krippendorff_alpha([["a", "a"], ["a"]]) is None and krippendorff_alpha([]) is None


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=4), max_size=12))
def test_alpha_is_one_only_where_all_agree(units: list[list[str]]) -> None:
    found = krippendorff_alpha(units)
    compared = [unit for unit in units if len(unit) > 1]
    if len({value for unit in compared for value in unit}) < 2:
        assert found is None
    else:
        assert found is not None and found <= 1
        assert (found == 1) == all(len(set(unit)) == 1 for unit in compared)


def test_skipped_texts_are_missing_and_sets_count_whole() -> None:
    def say(text: str, name: str, *labels: str) -> Answer:
        return Answer(text, name, labels, "")

    answers = [say("1", "甲", "a", "b"), say("1", "乙", "a"), say("2", "甲"), say("2", "乙")]
    answers += [say("3", "甲", "a"), Answer("3", "乙", None, ""), say("2", "丙", "a")]
    found = measure(answers)
    assert [one["answers"] for one in found["annotators"]] == [3, 2, 1]
    assert [(pair["texts"], pair["same"]) for pair in found["pairs"]] == [
        (2, 0.5),
        (1, 0.0),
        (1, 0.0),
    ]
