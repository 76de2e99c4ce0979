"""What `zh_repair` makes of the texts that an attack has found, and of clean ones.

    python -m spacy_bert_zh attack PIPELINE CORPUS/dev ATTACKED --limit 300
    python benchmarks/attack.py PIPELINE ATTACKED CORPUS/train CORPUS/dev

Of each family: the accuracy that the attack leaves, how many of the texts that lost their labels
have them again once they are repaired, and the accuracy with these. Nobody searches anew, so this
is the best that a repair can do; `--save` writes the pipeline that has it, to be attacked itself.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import spacy
import typer
from spacy.language import Language
from spacy.training import Corpus

from spacy_bert_zh.evaluate import read_shards, share_of
from spacy_bert_zh.loading import answer_all, find_textcat, load_pipeline
from spacy_bert_zh.repair import as_read


def main(
    pipeline: Annotated[str, typer.Argument(help="Folder of a trained pipeline.")],
    attacked: Annotated[Path, typer.Argument(help="What `attack` has written of it.")],
    train: Annotated[Path, typer.Argument(help="Texts whose characters are counted.")],
    dev: Annotated[Path, typer.Argument(help="Clean texts.")],
    save: Annotated[Path | None, typer.Option(help="Folder for the repairing pipeline.")] = None,
    clearly: Annotated[float, typer.Option(help="The setting of zh_repair.")] = 10_000,
    similar: Annotated[
        list[str] | None, typer.Option(help="Files of look-alikes, as `attack` takes them.")
    ] = None,
) -> None:
    """Print tables in Markdown."""
    nlp = load_pipeline(pipeline)
    repairer = spacy.blank("zh")
    rules = dict.fromkeys(("simplify", "join_split", "undo_sound", "undo_shape"), True)
    config = {**rules, "clearly": clearly}
    repair: Any = repairer.add_pipe("zh_repair", config=config)
    repair.initialize(lambda: Corpus(train)(repairer), similar=similar or ())
    if save:
        nlp.add_pipe("zh_repair", source=repairer, before=find_textcat(nlp, None).name)
        nlp.to_disk(save)
        nlp.remove_pipe("zh_repair")
    found = json.loads((attacked / "attack.json").read_text("utf-8"))
    _print_attacked(nlp, repairer, found, attacked / "adversarial.jsonl")
    _print_clean(nlp, repairer, dev)


def _print_attacked(nlp: Language, repairer: Language, found: dict[str, Any], file: Path) -> None:
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    labels = _labels(nlp, [as_read(repairer, row["text"]) for row in rows])
    again: dict[str, int] = defaultdict(int)
    for row, label in zip(rows, labels, strict=True):
        again[row["family"]] += label == [row["label"]]
    print(f"{found['texts']} texts, accuracy {_percent(found['accuracy'])}\n")
    print("| family | left | lost | right again | left once repaired |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for one in found["families"]:
        lost, back, left = one["fell"], again[one["family"]], one["left"][-1]
        repaired = share_of(found["right"] - lost + back, found["texts"])
        regained = f"{back / lost:.1%}" if lost else "–"
        values = [one["family"], _percent(left), lost, regained, _percent(repaired)]
        print(f"| {' | '.join(map(str, values))} |")


def _print_clean(nlp: Language, repairer: Language, dev: Path) -> None:
    texts = [doc.text for doc in read_shards(nlp, dev)]
    pairs = [(text, as_read(repairer, text)) for text in texts]
    changed = [pair for pair in pairs if pair[0] != pair[1]]
    before, after = (_labels(nlp, list(side)) for side in zip(*changed, strict=True))
    other = sum(a != b for a, b in zip(before, after, strict=True))
    print(f"\n{len(texts):,} clean texts: {len(changed):,} are changed, {other} labels with them")
    for (text, repaired), a, b in zip(changed, before, after, strict=True):
        if a != b:
            print(f"  {text} -> {repaired}: {a} -> {b}")


def _labels(nlp: Language, texts: list[str]) -> list[list[str]]:
    return [answer.labels if answer else [] for answer in answer_all(nlp, texts)]


def _percent(share: dict[str, float]) -> str:
    return f"{share['value']:.1%} ({share['low']:.1%} to {share['high']:.1%})"


if __name__ == "__main__":
    typer.run(main)
