"""A trained pipeline made faster: texts that its n-grams are sure of never reach its BERT."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spacy_bert_zh.compress.cascading import set_cascade
from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.evaluate import predict
from spacy_bert_zh.files import owned
from spacy_bert_zh.loading import find_textcat, load_pipeline, portable
from spacy_bert_zh.textcat.cascade import check_cascade
from spacy_bert_zh.trust.fit import refit


def compress(
    pipeline: str | Path,
    output: Path,
    dev: Path,
    *,
    agree: float = 0.995,
    loss: float = 0.003,
    component: str | None = None,
) -> dict[str, Any]:
    """Write a pipeline with a cascade that was fitted to a corpus; see `fit_cascade`.

    Args:
        pipeline: Folder of a trained pipeline, or name of an installed one.
        output: Folder to make or replace.
        dev: A ``.spacy`` file or a folder of them, that nothing was trained on.
        agree: Share of texts that keep their label, with a confidence of 95 %.
        loss: Accuracy on `dev` that may be lost.
        component: Name of the text classifier, if the pipeline has several.

    Returns:
        What was found, as ``meta.json`` says under ``compress``: the texts, the share of them that
        reaches the network, the accuracy (before, and now) and the agreement.

    Raises:
        BertZhError: The pipeline can't have a cascade, the corpus is too small, the n-grams are
            never sure enough, or too much is lost.
    """
    if find_spec("sklearn") is None or find_spec("scipy") is None:
        raise missing_extra("scikit-learn", "plots", "The command 'compress'")
    with owned(output, "compress", [pipeline, dev]) as made:
        nlp = load_pipeline(pipeline)
        pipe: Any = find_textcat(nlp, component)
        check_cascade(pipe.model, pipe.name)
        pipe.cascade = None
        before = predict(nlp, pipe, dev)
        texts, reach = set_cascade(nlp, pipe, dev, agree)
        after = predict(nlp, pipe, dev)
        right, now_right = (
            float((one.predicted == one.gold).all(axis=1).mean()) for one in (before, after)
        )
        if right - now_right > loss:
            raise BertZhError(
                f"Accuracy on {dev} would fall from {right:.4f} to {now_right:.4f}, by more than "
                f"--loss {loss:g}: take a higher --agree"
            )
        found = {
            "texts": texts,
            "asked_agreement": agree,
            "reach_network": reach,
            "accuracy_before": right,
            "accuracy": now_right,
            "agreement": float((before.predicted == after.predicted).all(axis=1).mean()),
        }
        nlp.meta["compress"] = found
        # What was promised, was of the whole ensemble's scores.
        if pipe.cfg.get("decision") is not None:
            nlp.meta["calibration"] = refit(nlp, pipe, dev)
            print(f"Calibrated anew on {dev}")
        portable(nlp).to_disk(made)
    return found
