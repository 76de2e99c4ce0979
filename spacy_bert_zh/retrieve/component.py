"""The factory ``bert_retriever``: vectors of texts, learnt from pairs that belong together."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from spacy.language import Language
from spacy.pipeline.trainable_pipe import TrainablePipe
from spacy.tokens import Doc
from spacy.training import Example, validate_examples
from spacy.vocab import Vocab
from thinc.api import Model, Optimizer, set_dropout_rate, to_numpy
from thinc.types import Floats2d

from spacy_bert_zh.errors import BertZhError, wants_memory
from spacy_bert_zh.retrieve.objectives import OBJECTIVES
from spacy_bert_zh.textcat.component import default_backbone
from spacy_bert_zh.textcat.doc_vectors import set_vector
from spacy_bert_zh.textcat.space import unit
from spacy_bert_zh.untrusted import check_msgpack, check_msgpack_file, one_line

BATCH = 256


class BertRetriever(TrainablePipe):
    """Sets ``doc._.bert_vector``, by which texts of one meaning are near each other.

    It learns from pairs, such as a question and another wording of it, from graded pairs or from
    labels: see `infonce`, `cosent` and `supcon` in `spacy_bert_zh.retrieve.contrast`.

    Args:
        vocab: The shared vocabulary.
        model: A backbone: documents to vectors, shape (documents, width).
        name: Name in the pipeline.
        temperature: By which cosines are divided in training.
        as_vector: Whether ``doc.vector`` and ``doc.similarity`` are by this vector.
        loss: What it learns by: ``infonce``, ``cosent`` or ``supcon``.

    Raises:
        BertZhError: The temperature is out of range, or there is no such loss.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model[list[Doc], Floats2d],
        name: str = "bert_retriever",
        *,
        temperature: float = 0.05,
        as_vector: bool = False,
        loss: str = "infonce",
    ) -> None:
        if not 0.0 < temperature <= 1.0:
            raise BertZhError(f"temperature = {temperature} must be in (0, 1]")
        if loss not in OBJECTIVES:
            raise BertZhError(f"loss = {loss!r} must be one of {', '.join(OBJECTIVES)}")
        if not model.has_ref("backbone"):
            model.set_ref("backbone", model)  # where whoever wants vectors looks for one
        self.vocab, self.model, self.name = vocab, model, name
        self.cfg: dict[str, Any] = {}
        self.temperature, self.as_vector = temperature, as_vector
        self.objective = OBJECTIVES[loss]

    def initialize(
        self, get_examples: Callable[[], Iterable[Example]], *, nlp: Language | None = None
    ) -> None:
        """Take over the weights that the config names.

        Raises:
            BertZhError: An example of the corpus lacks what is learnt from.
        """
        self.objective.further(list(islice(get_examples(), 10)))
        self.model.initialize()

    def predict(self, docs: Iterable[Doc]) -> Floats2d:
        """Vectors of length 1; shape (documents, width)."""
        found = self.model.predict(list(docs))
        return self.model.ops.asarray2f(cast(Floats2d, unit(found)))

    def set_annotations(self, docs: Iterable[Doc], scores: Floats2d) -> None:
        """Write each document's vector into ``doc._.bert_vector``, as a NumPy array."""
        for doc, row in zip(docs, to_numpy(scores), strict=True):
            set_vector(doc, row, self.as_vector)

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Learn from a batch.

        Raises:
            BertZhError: An example lacks what is learnt from.
        """
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, "update")
        further = map(self._as_doc, self.objective.further(examples))
        set_dropout_rate(self.model, drop)
        docs = [*(example.predicted for example in examples), *further]
        vectors, backprop = self.model.begin_update(docs)
        xp = self.model.ops.xp
        loss, gradient = self.objective.loss(vectors, examples, self.temperature, xp)
        backprop(gradient)
        if sgd is not None:
            self.finish_update(sgd)
        losses[self.name] += loss
        return losses

    def score(self, examples: Iterable[Example], **kwargs: Any) -> dict[str, float]:
        """How well the vectors fit; see the objectives' `score`."""
        examples = list(examples)
        vectors = np.stack([example.predicted._.bert_vector for example in examples])
        return self.objective.score(vectors, examples, self._embed)

    def _embed(self, texts: list[str]) -> Any:
        """Vectors of texts; shape (texts, width)."""
        return np.concatenate(list(self._vectors(texts)))

    def _vectors(self, texts: list[str]) -> Iterator[Any]:
        for start in range(0, len(texts), BATCH):
            yield to_numpy(self.predict(map(self._as_doc, texts[start : start + BATCH])))

    def _as_doc(self, text: str) -> Doc:
        """A document of one token: the backbone reads its text alone."""
        return Doc(self.vocab, words=[text], spaces=[False]) if text else Doc(self.vocab)

    def add_label(self, label: str) -> int:
        """There are none: see spaCy's ``TrainablePipe``."""
        raise BertZhError(f"'{self.name}' gives vectors, no labels")

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> Self:
        """Read a component's folder; see spaCy's ``TrainablePipe.from_disk``.

        Raises:
            BertZhError: It is damaged, or of another component.
        """
        folder = Path(path)
        with _restored(f"'{self.name}' in {folder.parent}"):
            check_msgpack_file(folder / "model")
            super().from_disk(folder, exclude=tuple(exclude))
        return self

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> Self:
        """Read a component's bytes; see spaCy's ``TrainablePipe.from_bytes``.

        Raises:
            BertZhError: They are damaged, or of another component.
        """
        with _restored(f"'{self.name}'"):
            check_msgpack(bytes_data, "Its message")
            super().from_bytes(bytes_data, exclude=tuple(exclude))
        return self


@contextmanager
def _restored(what: str) -> Iterator[None]:
    """Where spaCy and thinc meet what is damaged, they raise all sorts of errors."""
    try:
        yield
    except Exception as error:
        if wants_memory(error):
            raise
        raise BertZhError(f"The component {what} can't be read: {one_line(error)}") from error


@Language.factory(
    "bert_retriever",
    assigns=["doc._.bert_vector"],
    default_config={
        "model": default_backbone(),
        "temperature": 0.05,
        "as_vector": False,
        "loss": "infonce",
    },
    default_score_weights={
        "pairs_score": 1.0,
        **dict.fromkeys(("pairs_top1", "pairs_mrr", "pairs_spearman")),
    },
)
def make_bert_retriever(
    nlp: Language,
    name: str,
    model: Model[list[Doc], Floats2d],
    temperature: float,
    as_vector: bool,
    loss: str,
) -> BertRetriever:
    """Build the component; see `BertRetriever`."""
    return BertRetriever(
        nlp.vocab, model, name, temperature=temperature, as_vector=as_vector, loss=loss
    )
