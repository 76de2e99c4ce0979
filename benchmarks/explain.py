"""How faithful explanations are beside LIME's, and what they take.

    python benchmarks/explain.py PIPELINE CORPUS --texts 100

Each way puts the words of a text in an order; `rate` says how good it is. LIME (Ribeiro et al.
2016) is fitted to the very score that is rated: texts without random words, weighed by how near
they are, and a ridge regression, as its text explainer has it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from sklearn.linear_model import Ridge
from spacy.language import Language

from spacy_bert_zh.evaluate import read_shards
from spacy_bert_zh.explain import Explanation, explain, rate
from spacy_bert_zh.loading import load_pipeline, only, warm_up
from spacy_bert_zh.textcat import draw

LIME_SAMPLES = 1000
KERNEL_WIDTH = 25.0
Way = Callable[[Language, str], Explanation]


def main(
    pipeline: Annotated[str, typer.Argument(help="Folder or package name.")],
    corpus: Annotated[Path, typer.Argument(help="Texts it hasn't learnt from.")],
    texts: Annotated[int, typer.Option(help="How many of them.")] = 100,
) -> None:
    """Explain texts in each way; print means, differences to LIME, and seconds of the CPU."""
    nlp = load_pipeline(pipeline)
    warm_up(nlp)
    drawn = draw((doc.text for doc in read_shards(nlp, corpus)), texts)
    ways: dict[str, Way] = {
        "ours": lambda nlp, text: explain(nlp, [text])[0],
        "ours, 25 samples": lambda nlp, text: explain(nlp, [text], samples=25)[0],
        f"LIME, {LIME_SAMPLES} samples": lime,
    }
    found = {name: measure(nlp, drawn, way) for name, way in ways.items()}
    *_, best = found.values()
    for name, table in found.items():
        comprehensive, sufficient, ms, random = table.T
        gain = comprehensive - best[:, 0]
        error = 1.96 * gain.std(ddof=1) / np.sqrt(len(gain))
        print(
            f"{name}: comprehensiveness {comprehensive.mean():.3f} (random {random.mean():.3f}; "
            f"less LIME {gain.mean():+.3f} ± {error:.3f}), sufficiency {sufficient.mean():.3f}, "
            f"{np.median(ms):.1f} ms of CPU, p95 {np.percentile(ms, 95):.1f}; {len(table)} texts"
        )


def measure(nlp: Language, texts: Sequence[str], way: Way) -> np.ndarray:
    """Comprehensiveness, sufficiency, milliseconds and chance; shape (texts, 4)."""
    way(nlp, texts[0])  # what is loaded once
    rows = []
    for text in texts:
        begin = time.process_time()
        explanation = way(nlp, text)
        ms = 1000 * (time.process_time() - begin)
        if rating := rate(nlp, [explanation]):
            chance = rating.random_comprehensiveness
            rows.append((rating.comprehensiveness, rating.sufficiency, ms, chance))
    return np.asarray(rows)


def lime(nlp: Language, text: str) -> Explanation:
    """Our explanation with the words in LIME's order."""
    (explanation,) = explain(nlp, [text])
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
