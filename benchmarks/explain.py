"""How faithful explanations are beside LIME's, and what they take.

    python benchmarks/explain.py INT8 CORPUS --texts 100 --beside FLOAT32

Each way puts the words of a text in an order; `rate` says how good it is. LIME (Ribeiro et al.
2016) is fitted to the very score that is rated: texts without random words, weighed by how near
they are, and a ridge regression, as its text explainer has it. A pass is a text that a BERT reads.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge
from spacy.language import Language

from spacy_bert_zh.evaluate import read_shards
from spacy_bert_zh.explain import Explanation, explain, rate
from spacy_bert_zh.loading import find_textcat, load_pipeline, only, warm_up
from spacy_bert_zh.pieces import Encoded
from spacy_bert_zh.textcat import draw, shims_of

LIME_SAMPLES = 1000
KERNEL_WIDTH = 25.0
TOP = 3
Way = Callable[[Language, str], Explanation]


@dataclass
class Passes:
    """Counts what a pipeline's BERTs read."""

    count: int = 0

    def watch(self, nlp: Language) -> None:
        """Count from now on."""
        for shim in shims_of(find_textcat(nlp, None).model):
            shim.predict = self._counted(shim.predict)

    def _counted(self, predict: Callable[[Encoded], np.ndarray]) -> Callable[[Encoded], np.ndarray]:
        def counted(encoded: Encoded) -> np.ndarray:
            self.count += sum(map(len, encoded.batches))
            return predict(encoded)

        return counted


PASSES = Passes()


def main(
    pipeline: Annotated[str, typer.Argument(help="Folder or package name.")],
    corpus: Annotated[Path, typer.Argument(help="Texts it hasn't learnt from.")],
    texts: Annotated[int, typer.Option(help="How many of them.")] = 100,
    beside: Annotated[str | None, typer.Option(help="The same with gradients, in torch.")] = None,
) -> None:
    """Explain texts in each way; print means, differences to LIME, and seconds of the CPU."""
    nlp = load_pipeline(pipeline)
    warm_up(nlp)
    PASSES.watch(nlp)
    drawn = draw((doc.text for doc in read_shards(nlp, corpus)), texts)
    if beside is not None:
        compare(nlp, load_pipeline(beside), drawn)
    ways: dict[str, Way] = {
        "ours": lambda nlp, text: explain(nlp, [text])[0],
        "ours, searched": lambda nlp, text: explain(nlp, [text], search=True)[0],
        f"LIME, {LIME_SAMPLES} samples": lime,
    }
    found = {name: measure(nlp, drawn, way) for name, way in ways.items()}
    *_, best = found.values()
    for name, table in found.items():
        comprehensive, sufficient, ms, random, passes = table.T
        print(
            f"{name}: comprehensiveness {comprehensive.mean():.3f} (random {random.mean():.3f}; "
            f"less LIME {interval(comprehensive - best[:, 0])}), sufficiency "
            f"{sufficient.mean():.3f} ({interval(sufficient - best[:, 1])}), "
            f"{passes.mean():.0f} passes, {passes.max():.0f} at most; "
            f"{np.median(ms):.1f} ms of CPU, p95 {np.percentile(ms, 95):.1f}; {len(table)} texts"
        )


def interval(values: np.ndarray) -> str:
    """A mean with its 95 % interval."""
    return f"{values.mean():+.3f} ± {1.96 * values.std(ddof=1) / np.sqrt(len(values)):.3f}"


def compare(nlp: Language, other: Language, texts: Sequence[str]) -> None:
    """Print how far the characters that weigh most are those that gradients name."""
    agreed, orders = [], []
    for text in texts:
        (one,) = explain(nlp, [text])
        (two,) = explain(other, [text], [one.shares[0].label])
        pair = [np.asarray(found.shares[0].characters) for found in (one, two)]
        first, second = (set(np.argsort(-row, kind="stable")[:TOP].tolist()) for row in pair)
        agreed.append(len(first & second) / len(first | second))
        orders.append(spearmanr(*pair).statistic)
    print(
        f"beside {two.method}: top {TOP} characters' Jaccard index {interval(np.asarray(agreed))}, "
        f"rank correlation {np.nanmean(orders):.3f}; {len(texts)} texts",
        flush=True,
    )


def measure(nlp: Language, texts: Sequence[str], way: Way) -> np.ndarray:
    """Comprehensiveness, sufficiency, milliseconds, chance and passes; shape (texts, 5)."""
    way(nlp, texts[0])  # what is loaded once
    rows = []
    for text in texts:
        PASSES.count, begin = 0, time.process_time()
        explanation = way(nlp, text)
        ms, passes = 1000 * (time.process_time() - begin), PASSES.count
        if rating := rate(nlp, [explanation]):
            chance = rating.random_comprehensiveness
            rows.append((rating.comprehensiveness, rating.sufficiency, ms, chance, passes))
    return np.asarray(rows)


def lime(nlp: Language, text: str) -> Explanation:
    """Our explanation with the words in LIME's order."""
    (explanation,) = explain(nlp, [text])
    PASSES.count = 0
    share, words = explanation.shares[0], explanation.words
    chance = np.random.default_rng(1)
    kept = np.ones((LIME_SAMPLES, len(words)))
    for row in kept[1:]:
        row[chance.choice(len(words), chance.integers(1, len(words) + 1), replace=False)] = 0
    texts = [only(text, words, {words[i] for i in np.flatnonzero(row)}) for row in kept]
    unique = list(dict.fromkeys(texts))
    score = {doc.text: doc.cats[share.label] for doc in nlp.pipe(unique)}
    far = 100 * (1 - np.sqrt(kept.mean(1)))  # cosine distance to the whole text
    near = np.sqrt(np.exp(-(far**2) / KERNEL_WIDTH**2))
    fitted = Ridge(alpha=1.0).fit(kept, [score[one] for one in texts], sample_weight=near)
    order = np.argsort(-fitted.coef_, kind="stable")
    return replace(explanation, shares=(replace(share, order=tuple(order.tolist())),))


if __name__ == "__main__":
    typer.run(main)
