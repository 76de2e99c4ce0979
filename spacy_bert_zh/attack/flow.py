"""The way through an attack: read, search, write."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacy_bert_zh.attack.options import Options
from spacy_bert_zh.changes import Change, Family, make_families
from spacy_bert_zh.characters import read_similar
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import owned

if TYPE_CHECKING:
    from spacy_bert_zh.attack.search import Attempt
    from spacy_bert_zh.attack.victim import Target, Victim


def attack(
    pipeline: str | Path, corpus: Path, output: Path, options: Options | None = None
) -> dict[str, Any]:
    """Change texts as people do who dodge a filter, until a pipeline's label is wrong.

    Nothing is known of the pipeline but its answers, so any engine can be attacked, eight bits
    included. Only texts whose labels were right before are changed. Writes ``report.html`` for
    people, ``attack.json`` with all figures, and ``adversarial.jsonl`` with each text that lost its
    labels and those that are right, in a form that `convert` reads.

    Args:
        pipeline: Folder of a trained pipeline, or name of an installed one.
        corpus: A ``.spacy`` file, or a folder of them, as `convert` writes.
        output: Folder to make.
        options: How to attack.

    Returns:
        The content of ``attack.json``.

    Raises:
        BertZhError: The pipeline, the corpus or an option is no good, no text was right before, a
            package that a family needs is not installed, or something else is at `output`.

    Examples:
        >>> found = attack("training/model-best", Path("corpus/dev"), Path("attacked"))
        >>> found["families"][0]["family"]
        'sound'
    """
    # These need spaCy, scikit-learn and jinja2.
    from spacy_bert_zh.attack.page import render_page
    from spacy_bert_zh.attack.report import rows_of, summarize
    from spacy_bert_zh.attack.victim import Victim
    from spacy_bert_zh.loading import find_textcat, load_pipeline

    options = options or Options()
    similar = read_similar(options.similar) if options.similar else None
    families = make_families(options.families, similar, _synonyms(options.checkpoint))
    given = [pipeline, corpus, *options.similar, *filter(None, [options.checkpoint])]
    with owned(output, "attack", given) as folder:
        nlp = load_pipeline(pipeline)
        victim = Victim(nlp, find_textcat(nlp, options.component))
        targets = victim.targets(corpus, options.limit)
        right = _right(victim, targets, corpus)
        attempts = _search(victim, right, families, options)
        names = {"pipeline": _name(pipeline), "corpus": _name(corpus)}
        found = summarize(names, victim, targets, attempts, options)
        folder.mkdir()
        rows = (json.dumps(row, ensure_ascii=False) for row in rows_of(attempts, victim.exclusive))
        (folder / "adversarial.jsonl").write_text("".join(f"{row}\n" for row in rows), "utf-8")
        text = json.dumps(found, ensure_ascii=False, indent=2, allow_nan=False)
        (folder / "attack.json").write_text(text + "\n", "utf-8")
        (folder / "report.html").write_text(render_page(found, attempts), "utf-8")
    return found


def check(found: dict[str, Any], least: float) -> None:
    """Hold an attack against what must be left.

    Args:
        found: What `attack` returned.
        least: Accuracy that each family must leave.

    Raises:
        BertZhError: One leaves less.
    """
    worst = min(found["families"], key=lambda one: one["left"][-1]["value"])
    if worst["left"][-1]["value"] < least:
        raise BertZhError(
            f"--fail-under {least:g}: '{worst['family']}' leaves an accuracy of "
            f"{worst['left'][-1]['value']:.4f}; put zh_repair before the classifier, or train on "
            "texts like those in adversarial.jsonl"
        )


def _synonyms(checkpoint: Path | None) -> Change | None:
    if checkpoint is None:
        return None
    from spacy_bert_zh.attack.synonyms import Synonyms  # needs torch and transformers

    return Synonyms(checkpoint).change


def _right(victim: "Victim", targets: Sequence["Target"], corpus: Path) -> list["Target"]:
    replies = victim.ask([target.text for target in targets], targets)
    right = [target for target, reply in zip(targets, replies, strict=True) if reply.right]
    if not right:
        raise BertZhError(
            f"The pipeline gives no text of {corpus} its right labels, so there is nothing to "
            "attack: does the corpus belong to it?"
        )
    return right


def _search(
    victim: "Victim", right: list["Target"], families: Sequence[Family], options: Options
) -> dict[Family, list["Attempt"]]:
    from tqdm import tqdm

    from spacy_bert_zh.attack.search import attack_all, importance_order, random_order

    greedy = options.search == "greedy"
    orders = importance_order(victim, right) if greedy else random_order(right, options.seed)
    how = {"budget": options.budget, "queries": options.queries, "seed": options.seed}
    return {
        family: attack_all(victim, right, orders, family, **how)
        for family in tqdm(families, "attack", unit=" families", disable=None)
    }


def _name(path: str | Path) -> str:
    """No more of a path than tells folders apart: reports are passed on."""
    return "/".join(Path(path).parts[-2:])
