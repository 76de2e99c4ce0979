"""What an index of neighbours is worth: votes, mixing, and a label without training.

    python benchmarks/neighbours.py PIPELINE CORPUS/train CORPUS/dev
    python benchmarks/neighbours.py PIPELINE CORPUS/train CORPUS/dev --held 体育

The weight of neighbours is found on one half of dev and measured on the other, both ways, over
splits. With --held the pipeline was trained without that label: so many of its texts are drawn from
CORPUS/train and added, and nothing else of it.
"""

import json
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from spacy_bert_zh.evaluate import find_vectors, read_shards
from spacy_bert_zh.index.changing import add, read_entries
from spacy_bert_zh.index.weighing import choose
from spacy_bert_zh.loading import find_textcat, load_pipeline

SPLITS = 20


def main(
    pipeline: Annotated[str, typer.Argument(help="A trained pipeline.")],
    train: Annotated[Path, typer.Argument(help="What it was trained on.")],
    dev: Annotated[Path, typer.Argument(help="What it has not seen.")],
    held: Annotated[str, typer.Option(help="A label that it was trained without.")] = "",
    texts: Annotated[int, typer.Option(help="Texts of that label.")] = 20,
    draws: Annotated[int, typer.Option(help="How often they are drawn.")] = 10,
    sizes: Annotated[str, typer.Option(help="Of further, smaller indexes, between commas.")] = "",
    most: Annotated[int, typer.Option(help="Texts of CORPUS/train that are read; 0: all.")] = 0,
) -> None:
    """Print what was measured, in JSON lines."""
    nlp = load_pipeline(pipeline)
    pipe: Any = find_textcat(nlp, None)
    learnt = list(pipe.labels)
    entries = read_entries(nlp, train, most)
    add(nlp, pipe, [entry for entry in entries if set(entry.labels) <= set(learnt)])
    if held:
        own = [entry for entry in entries if entry.labels == [held]]
        for seed in range(draws):
            some = random.Random(seed).sample(own, texts)
            again = load_pipeline(pipeline)
            one: Any = find_textcat(again, None)
            one.neighbours = pipe.neighbours
            add(again, one, some)
            print(json.dumps(measure_new(again, one, dev, held, nlp), ensure_ascii=False))
        return
    docs = list(read_shards(nlp, dev))
    start = time.perf_counter()
    vectors = find_vectors(nlp, pipe, [doc.text for doc in docs])
    read = time.perf_counter() - start
    scores = plain_scores(nlp, pipe, docs)
    gold = np.asarray([[doc.cats.get(label, 0.0) > 0.5 for label in learnt] for doc in docs])
    whole = pipe.neighbours
    for size in (*(int(size) for size in sizes.split(",") if size), len(whole)):
        rows = np.random.default_rng(0).permutation(len(whole))[:size]
        kept = [whole.entries[row] for row in rows]
        pipe.neighbours = replace(whole, vectors=whole.vectors[rows], entries=kept)
        said = {
            **measure(pipe, vectors, scores, gold),
            "read_ms": round(1000 * read / len(docs), 3),
        }
        print(json.dumps(said), flush=True)


def measure(pipe: Any, vectors: Any, scores: Any, gold: Any) -> dict[str, Any]:
    """What mixing gains on the half of the texts that didn't choose the weights.

    Args:
        pipe: The classifier, with its index.
        vectors: Of the texts; shape (texts, width).
        scores: What it says alone; shape (texts, labels).
        gold: What is right; the same shape.
    """
    known, learnt, texts = pipe.neighbours, list(pipe.labels), range(len(gold))
    start = time.perf_counter()
    found = known.find(vectors)
    search = time.perf_counter() - start
    flat = replace(known, mixing=known.mixing.model_copy(update={"temperature": 10.0}))
    votes = flat.votes((found[0][:, :5], found[1][:, :5]), learnt)
    results = []
    for seed in range(SPLITS):
        halves = np.array_split(np.random.default_rng(seed).permutation(len(gold)), 2)
        for own, others in (halves, halves[::-1]):
            parts = [(scores[rows], (found[0][rows], found[1][rows])) for rows in (own, others)]
            best = choose(pipe, *parts[0], None, gold[own])
            mixed = best.mix(parts[1][0], best.votes(parts[1][1], learnt), None, learnt, True)
            before, after = (gold[others, one.argmax(1)].mean() for one in (parts[1][0], mixed))
            results.append((float(after - before), best.mixing.share, best.mixing.temperature))
    gains = np.asarray([result[0] for result in results])
    return {
        "texts": len(known),
        "accuracy": round(float(gold[texts, scores.argmax(1)].mean()), 4),
        "majority_of_5": round(float(gold[texts, votes.argmax(1)].mean()), 4),
        "gained": round(float(gains.mean()), 4),
        "deviation": round(float(gains.std()), 4),
        "share": float(np.median([result[1] for result in results])),
        "temperature": float(np.median([result[2] for result in results])),
        "search_ms": round(1000 * search / len(gold), 3),
    }


def measure_new(nlp: Any, pipe: Any, dev: Path, held: str, before: Any) -> dict[str, Any]:
    """Recall of a label that was added, and what the others lost by it."""
    known = set(find_textcat(before, None).labels) | {held}
    docs = [doc for doc in read_shards(nlp, dev) if best_of(doc) in known]
    truth = [best_of(doc) for doc in docs]
    texts = [doc.text for doc in docs]
    then, now = ([best_of(doc) for doc in one.pipe(texts)] for one in (before, nlp))
    others = [n for n, label in enumerate(truth) if label != held]
    right = [[said[n] == truth[n] for n in others] for said in (then, now)]
    hits = [now[n] == held for n, label in enumerate(truth) if label == held]
    return {
        "held": held,
        "recall": round(float(np.mean(hits)), 4),
        "others_before": round(float(np.mean(right[0])), 4),
        "others_after": round(float(np.mean(right[1])), 4),
    }


def best_of(doc: Any) -> str:
    """The label of the highest score."""
    return str(max(doc.cats, key=doc.cats.__getitem__))


def plain_scores(nlp: Any, pipe: Any, docs: list[Any]) -> Any:
    """What the classifier says without neighbours; shape (texts, labels)."""
    rows = range(0, len(docs), 256)
    parts = [[nlp.make_doc(doc.text) for doc in docs[row : row + 256]] for row in rows]
    return np.concatenate([pipe.model.ops.to_numpy(pipe.model.predict(part)) for part in parts])


if __name__ == "__main__":
    typer.run(main)
