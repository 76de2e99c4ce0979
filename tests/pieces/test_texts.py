"""Whatever people write: every text gets the answer that it gets alone."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Adam

from tests.conftest import GOOD, NOUNS, make_examples

ODD = {
    "empty": "",
    "spaces": " \t\n\u3000 ",
    "controls": "\x00\x07\x1b\x7f",
    "NUL inside": "好\x00吃",
    "emoji": "😀👍🏽👩‍👩‍👧🇨🇳",
    "mixed scripts": "臺灣的牛肉麵 and 台湾的牛肉面",
    "full width": "ＡＢＣ１２３！？",
    "marks": "e\u0301\u202e\u200d\ufeff\ufffd\ufffe",
    "beyond the basic plane": "𠮷野家𪚥",
    "long Latin word": "a" * 5_000,
    "long": "味道不错，" * 100,
    "one piece": "好",
    "special pieces": "[SEP][PAD]好[MASK][UNK][CLS]",
    "no words": "。！？…——",
}


@pytest.fixture
def nlp(make_pipeline: Callable[..., Language]) -> Language:
    """A pipeline that gives different texts different scores."""
    nlp = make_pipeline(pooling="mean")
    examples = make_examples(nlp, 32)
    nlp.initialize(lambda: examples)
    optimizer = Adam(0.02)
    for _ in range(3):
        nlp.update(examples, sgd=optimizer)
    return nlp


def test_each_odd_text_as_if_alone(nlp: Language) -> None:
    texts = list(ODD.values())
    together = [doc.cats for doc in nlp.pipe(texts)]
    for (name, text), cats in zip(ODD.items(), together, strict=True):
        alone = nlp(text).cats
        assert cats == {k: pytest.approx(v, abs=1e-5) for k, v in alone.items()}, name
        assert sum(cats.values()) == pytest.approx(1.0, abs=1e-5)
    assert len({round(cats["pos"], 5) for cats in together}) > len(texts) / 2


@settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    texts=st.lists(
        st.text(max_size=60) | st.lists(st.sampled_from([*GOOD, *NOUNS])).map("".join), max_size=6
    )
)
def test_any_texts_in_any_batch(texts: list[str], nlp: Language) -> None:
    for doc, text in zip(nlp.pipe(texts, batch_size=4), texts, strict=True):
        assert doc.text == text
        assert doc.cats == {k: pytest.approx(v, abs=1e-5) for k, v in nlp(text).cats.items()}


@pytest.mark.parametrize(
    ("length", "max_windows", "read", "windows"),
    [
        (1_000_000, 3, 170, 3),
        (100_000, 0, 100_000, 1852),
        pytest.param(1_000_000, 0, 1_000_000, 18_519, marks=pytest.mark.slow),
    ],
)
def test_a_million_characters(
    length: int, max_windows: int, read: int, windows: int, make_pipeline: Callable[..., Language]
) -> None:
    nlp = make_pipeline(max_windows=max_windows)
    examples = make_examples(nlp, 8)
    nlp.initialize(lambda: examples)
    # In one token: spaCy's tokenizer would need half a minute for single characters.
    long = Doc(nlp.vocab, words=["好吃" * (length // 2)])
    scored, short = nlp.pipe([long, nlp.make_doc("好吃")])
    reading = scored._.bert_textcat["bert_textcat"]
    assert reading == {"pieces": length, "pieces_read": read, "windows": windows}
    assert short.cats == {k: pytest.approx(v, abs=1e-5) for k, v in nlp("好吃").cats.items()}


@pytest.mark.parametrize("max_windows", [0, 2])
def test_the_end_of_a_long_text_counts_unless_cut(
    max_windows: int, make_pipeline: Callable[..., Language]
) -> None:
    nlp = make_pipeline(max_windows=max_windows, pooling="mean")
    examples = make_examples(nlp, 16)
    nlp.initialize(lambda: examples)
    for _ in range(3):
        nlp.update(examples, sgd=Adam(0.02))
    start = "米饭" * 100
    difference = nlp(start).cats["pos"] - nlp(start + "好吃推荐" * 50).cats["pos"]
    assert (abs(difference) < 1e-6) == (max_windows == 2)


def test_lone_surrogates_are_an_error_that_says_so(nlp: Language) -> None:
    """No spaCy Doc can hold one: the text fails before it reaches us, and harms no other."""
    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        nlp("好\ud800吃")

    def readable(texts: list[str]) -> Iterator[str]:
        for text in texts:
            yield text.encode("utf-8", "replace").decode("utf-8")

    docs = list(nlp.pipe(readable(["好吃", "好\ud800吃"])))
    assert docs[1].text == "好?吃"
    assert docs[0].cats == {k: pytest.approx(v, abs=1e-5) for k, v in nlp("好吃").cats.items()}


def test_a_document_without_text_among_processes(nlp: Language) -> None:
    texts = ["", "好吃", " ", "难吃"]
    for one, two in zip(nlp.pipe(texts), nlp.pipe(texts, n_process=2, batch_size=1), strict=True):
        assert two.cats == {k: pytest.approx(v, abs=1e-5) for k, v in one.cats.items()}
        assert two._.bert_textcat == one._.bert_textcat
