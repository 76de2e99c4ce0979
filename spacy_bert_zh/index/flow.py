"""The way through an index: forget, add, weigh, prove."""

from pathlib import Path
from typing import Any

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import owned
from spacy_bert_zh.index.options import Options


def index(
    pipeline: str | Path,
    output: Path,
    options: Options,
    *,
    gpu_id: int = -1,
    component: str | None = None,
) -> dict[str, Any]:
    """Write a pipeline that knows labelled texts by heart.

    Each answer then names its nearest neighbours in ``doc._.bert_textcat``. With `dev` they have a
    say in the scores, as much as is best for those texts. A label that the pipeline doesn't have
    is added with its texts, without training.

    Args:
        pipeline: Folder of a trained pipeline, or name of an installed one, with or without an
            index.
        output: Folder to make.
        options: What to do.
        gpu_id: The GPU to predict on; -1 for the CPU.
        component: Name of the text classifier, if the pipeline has several.

    Returns:
        What was done; also in the new pipeline's ``meta.json``, as ``neighbours``.

    Raises:
        BertZhError: Bad input, too many texts, or a text that isn't there.

    Examples:
        >>> options = Options(add=Path("corpus/train"))
        >>> index("training/model-best", Path("indexed"), options)["texts"]
        120
    """
    # These need spaCy and scikit-learn.
    from spacy_bert_zh.index.changing import add, check_gone, forget, read_entries, read_texts
    from spacy_bert_zh.index.weighing import weigh
    from spacy_bert_zh.loading import find_textcat, load_pipeline, portable, use_gpu
    from spacy_bert_zh.trust.fit import own

    given = (pipeline, options.add, options.forget, options.dev)
    with owned(output, "index", [path for path in given if path is not None]) as made:
        use_gpu(gpu_id)
        nlp = load_pipeline(pipeline)
        pipe = own(find_textcat(nlp, component))
        gone = read_texts(options.forget) if options.forget else []
        if gone:
            forget(pipe, gone)
        read, added = 0, 0
        if options.add:
            entries = read_entries(nlp, options.add, options.most)
            read, added = len(entries), add(nlp, pipe, entries)
        if pipe.neighbours is None:
            raise BertZhError(f"{pipeline} has no index yet: give --add")
        if options.dev and not len(pipe.neighbours):
            raise BertZhError("--dev: the index holds no text that could have a say: give --add")
        facts: dict[str, Any] = {"texts": len(pipe.neighbours), "forgotten": len(gone)}
        facts["twice"] = read - added
        if options.dev:
            facts |= weigh(nlp, pipe, options.dev)
        mixing = pipe.neighbours.mixing
        facts |= mixing.model_dump(exclude={"learnt"})
        facts["new_labels"] = [label for label in pipe.labels if label not in mixing.learnt]
        nlp.meta["neighbours"] = facts
        portable(nlp).to_disk(made)
        check_gone(made, gone)
    return facts
