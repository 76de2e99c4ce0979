"""A pipeline's vocabulary without what its texts don't use, and the positions no window reaches."""

from collections.abc import Iterable
from typing import Any

from spacy.pipeline import TextCategorizer

from spacy_bert_zh.checkpoint import Checkpoint, cut_positions, structure, trim_to
from spacy_bert_zh.loading import shims_of, take_apart


def cut_vocabulary(
    pipe: TextCategorizer, texts: Iterable[str], least: int = 1
) -> list[tuple[int, int]]:
    """Leave the pieces out of a text classifier that texts don't use; see `trim_to`.

    With `least` = 1 these texts keep their scores to the bit.

    Args:
        pipe: The classifier; its networks are exchanged.
        texts: As the classifier reads them.
        least: How often a piece must occur.

    Returns:
        Of each network how many pieces there were, and are.

    Raises:
        BertZhError: It has no BERT of its own, or one whose pieces can't be left out.
    """
    take_apart(pipe)
    shims: list[Any] = shims_of(pipe.model)
    kept, counts = list(texts) if len(shims) > 1 else texts, []
    for shim in shims:
        whole = shim.checkpoint()
        small = trim_to(whole, kept, least)
        # Elsewhere there are no positions, or those that others are reckoned from.
        if not structure(whole.config):
            small = cut_positions(small, shim.settings.max_length)
        shim.fill(small)
        counts.append((_pieces(whole), _pieces(small)))
    return counts


def _pieces(checkpoint: Checkpoint) -> int:
    return int(checkpoint.config["vocab_size"])
