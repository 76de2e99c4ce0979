"""A million texts: what the lists of `retrieve` find of what a search through all of them finds.

    python benchmarks/vectors.py ../shared/data/corpus WORK
    python benchmarks/vectors.py ../shared/data/corpus WORK --pipeline PIPELINE --texts 300000

Texts are sentences and titles of 6 to 24 characters, each once. With a pipeline, their vectors are
those of its BERT (five minutes for 100,000 texts on a busy core). A million of them would take
hours, so without a pipeline they are the 256 main directions of TF-IDF of their characters and
pairs of these (Deerwester et al. 1990), fitted on 50,000 of them. 500 further texts are the
questions, one at a time. Seconds are those that the thread computed, and those that passed. What is
made stays in WORK, so that a second call, on a quiet machine, times the questions alone.
"""

import lzma
import random
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from spacy_bert_zh.evaluate import find_vectors
from spacy_bert_zh.loading import load_pipeline
from spacy_bert_zh.markdown import render_table
from spacy_bert_zh.retrieve.folder import find_encoder
from spacy_bert_zh.retrieve.lists import Lists, read_lists
from spacy_bert_zh.textcat.space import Space

SHORT, LONG = 6, 24
ASKED = 500
NEAREST = 10
SAMPLE = 50_000
WIDTH = 256
LOOKED = (4, 8, 16, 32, 64)
SENTENCE = re.compile(r"(?<=[。！？!?；])")


def read_texts(folder: Path, count: int) -> list[str]:
    """So many different texts of a corpus, in a random order."""
    found: set[str] = set()
    for path in sorted(folder.glob("*.xz")):
        with lzma.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                parts = (part.strip() for part in SENTENCE.split(line))
                found.update(part for part in parts if SHORT <= len(part) <= LONG)
    texts = sorted(found)
    random.Random(0).shuffle(texts)
    return texts[:count]


def latent(texts: Sequence[str]) -> Any:
    """Main directions of what texts consist of; shape (texts, 256)."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    table = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), min_df=3, sublinear_tf=True)
    directions = TruncatedSVD(WIDTH, n_iter=2, random_state=0)
    directions.fit(table.fit_transform(texts[:SAMPLE]))
    parts = (texts[start : start + SAMPLE] for start in range(0, len(texts), SAMPLE))
    made = [directions.transform(table.transform(part)).astype(np.float16) for part in parts]
    return np.concatenate(made)


def timed(space: Any, questions: Any, **more: int) -> tuple[Any, list[float]]:
    """What is found, and p95 of milliseconds: computed and passed."""
    found, spent = [], []
    for row in range(len(questions)):
        begin = time.thread_time(), time.perf_counter()
        found.append(space.find(questions[row : row + 1], NEAREST, **more)[0][0])
        spent.append((time.thread_time() - begin[0], time.perf_counter() - begin[1]))
    return np.asarray(found), [1000 * x for x in np.quantile(np.asarray(spent), 0.95, axis=0)]


def main(
    corpus: Path,
    work: Path,
    pipeline: Annotated[Path | None, typer.Option(help="Whose vectors are compared.")] = None,
    texts: Annotated[int, typer.Option(help="How many are searched.")] = 1_000_000,
) -> None:
    """Measure size, time and recall of both."""
    work.mkdir(parents=True, exist_ok=True)
    kept = work / f"{'bert' if pipeline else 'latent'}-{texts}.npy"
    if not kept.exists():
        known = read_texts(corpus, texts + ASKED)
        if pipeline:
            nlp = load_pipeline(pipeline)
            vectors = find_vectors(nlp, find_encoder(nlp, None), known).astype(np.float16)
        else:
            vectors = latent(known)
        np.save(kept, vectors)
    vectors = np.load(kept)
    questions, vectors = vectors[:ASKED].astype(np.float32), vectors[ASKED:]
    width = vectors.shape[1]
    none = np.zeros((0, width), dtype=np.float16)
    space = Space(np.zeros(width, dtype=np.float32), np.eye(width, dtype=np.float32), none)
    exact = Space(space.mean, space.whiten, vectors)
    expected, (computed, passed) = timed(exact, questions[:50])
    megabytes = f"{vectors.nbytes / 1e6:.0f} MB"
    rows = [["all texts", megabytes, "1.000", f"{computed:.1f}", f"{passed:.1f}"]]
    nearest, path = kept.with_suffix(".nearest.npy"), kept.with_suffix(".lists.safetensors")
    if not nearest.exists():
        np.save(nearest, exact.find(questions, NEAREST)[0])
    expected = np.load(nearest)
    begin = time.process_time()
    if not path.exists():
        Lists.build(space, vectors).save(path)
    built = time.process_time() - begin
    lists = read_lists(path, len(vectors))
    megabytes = f"{path.stat().st_size / 1e6:.0f} MB"
    for looked in LOOKED:
        found, (computed, passed) = timed(lists, questions, looked=looked)
        shared = [len(set(a) & set(b)) for a, b in zip(found, expected, strict=True)]
        recall = f"{np.mean(shared) / NEAREST:.3f}"
        name = f"{looked} of {len(lists.centres)} lists"
        rows.append([name, megabytes, recall, f"{computed:.1f}", f"{passed:.1f}"])
    print(f"{len(vectors):,} texts, {width} numbers each; lists built in {built:.0f} s (0: before)")
    print(render_table(["", "on disk", "recall@10", "p95, ms computed", "ms passed"], rows))


if __name__ == "__main__":
    typer.run(main)
