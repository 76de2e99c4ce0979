"""A cascade beside its whole pipeline and stock spaCy: speed, labels, accuracy.

    python benchmarks/cascade.py PIPELINE CORPUS/dev WORK --small COMPRESSED/pipeline
    python benchmarks/narrow.py benchmarks/cascade.py PIPELINE CORPUS/dev WORK      # AVX2 alone

The texts are such that nothing was trained on, and `compress --budget` fitted nothing to. They are
halved at random: cascades are fitted on one half, all figures are of the other. Speed is that of
`nlp.pipe` in one thread, in seconds of the processor; all peers take turns, and ratios are medians
over the turns, with the least and the most.
"stock" is spaCy's own transformer and textcat with the BERT that ships. Results stand in
WORK/cascade.json.
"""

import json
import os
import random
import statistics
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("USE_TF", "0")

import spacy
import typer
from peers import load_stock
from spacy.language import Language
from spacy.tokens import DocBin
from turns import take_turns

from spacy_bert_zh.compress import compress
from spacy_bert_zh.evaluate import Predictions, predict, read_shards
from spacy_bert_zh.export import export
from spacy_bert_zh.loading import find_textcat, load_pipeline
from spacy_bert_zh.pieces.encoder import EMBEDDED

TIMED, WHOLE = 2_000, "whole"


def main(
    pipeline: Annotated[str, typer.Argument(help="A trained ensemble.")],
    corpus: Annotated[Path, typer.Argument(help="Texts that it hasn't learnt from.")],
    work: Annotated[Path, typer.Argument(help="Folder for pipelines and results.")],
    agree: Annotated[float, typer.Option(help="Share that keeps its label.")] = 0.99,
    small: Annotated[str | None, typer.Option(help="What compress --budget made of it.")] = None,
) -> None:
    """Fit cascades on one half of the texts, and measure them on the other."""
    fitting, measuring = halve(corpus, work)
    places: dict[str, str | Path] = {WHOLE: pipeline}
    for prefix, form in (("", pipeline), ("small, ", small)):
        if form is None:
            continue
        fast = work / f"{prefix}cascade"
        compress(form, fast, fitting, agree=agree)
        places[fast.name] = fast
        for name, given in ((f"{prefix}int8", form), (f"{prefix}cascade, int8", fast)):
            export(given, work / name, format="onnx", precision="int8", dev=fitting, force=True)
            places[name] = work / name
    pipelines = {name: load_pipeline(place) for name, place in places.items()}
    said = {
        name: predict(nlp, find_textcat(nlp, None), measuring) for name, nlp in pipelines.items()
    }
    texts = [doc.text for doc in read_shards(pipelines[WHOLE], measuring)]
    reached = share_of_network(pipelines["cascade"], texts)
    labels = len(said[WHOLE].labels)
    pipelines["stock"] = load_stock(str(EMBEDDED), "cpu", labels)
    seconds = take_turns(pipelines, texts[:TIMED])
    rows = {
        name: {**figures(said.get(name), said[WHOLE]), **speed(seconds[name], seconds["stock"])}
        for name in pipelines
    }
    found = {"texts": len(texts), "agree": agree, "reach_network": reached, "peers": rows}
    (work / "cascade.json").write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    print(f"{len(texts):,} texts, {reached:.1%} of them reach the network\n")
    print("| peer | accuracy | labels as the whole | texts/s | times stock |")
    print("| --- | --- | --- | --- | --- |")
    for name, row in rows.items():
        low, middle, high = row["times_stock"]
        print(
            f"| {name} | {row.get('accuracy', '–')} | {row.get('agreement', '–')} | "
            f"{row['texts_a_second']:,.0f} | {middle:.2f} ({low:.2f}–{high:.2f}) |"
        )


def halve(corpus: Path, work: Path) -> tuple[Path, Path]:
    """Write the texts as two corpora, drawn at random."""
    docs = list(read_shards(spacy.blank("zh"), corpus))
    random.Random(0).shuffle(docs)
    folders = work / "fitting", work / "measuring"
    for number, folder in enumerate(folders):
        folder.mkdir(parents=True, exist_ok=True)
        DocBin(docs=docs[number::2]).to_disk(folder / "00000.spacy")
    return folders


def share_of_network(nlp: Language, texts: list[str]) -> float:
    """The share of texts that reach the network."""
    name = find_textcat(nlp, None).name
    said = [doc._.bert_textcat[name]["answered_by"] for doc in nlp.pipe(texts)]
    return said.count("network") / len(said)


def figures(found: Predictions | None, whole: Predictions) -> dict[str, Any]:
    """Of a pipeline that was trained."""
    if found is None:
        return {}
    return {
        "accuracy": round(float((found.predicted == found.gold).all(axis=1).mean()), 4),
        "agreement": round(float((found.predicted == whole.predicted).all(axis=1).mean()), 4),
    }


def speed(own: list[float], stock: list[float]) -> dict[str, Any]:
    """Texts a second, and how many times those of stock spaCy."""
    ratios = [theirs / ours for ours, theirs in zip(own, stock, strict=True)]
    return {
        "texts_a_second": TIMED / statistics.median(own),
        "times_stock": [min(ratios), statistics.median(ratios), max(ratios)],
    }


if __name__ == "__main__":
    typer.run(main)
