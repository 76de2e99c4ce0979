"""What all of our components are: scores, annotations, rehearsal."""

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, cast
from weakref import WeakKeyDictionary

from spacy.tokens import Doc
from spacy.training import Example, validate_examples
from spacy.util import minibatch
from thinc.api import Optimizer, set_dropout_rate, to_numpy
from thinc.types import Floats2d

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pieces import Documents
from spacy_bert_zh.textcat.cascade import Cascade, answer, check_cascade
from spacy_bert_zh.textcat.class_weights import ClassWeights
from spacy_bert_zh.textcat.decision import Rules, decide, given_of
from spacy_bert_zh.textcat.doc_vectors import set_vector
from spacy_bert_zh.textcat.halves import begin_apart, learns_apart
from spacy_bert_zh.textcat.head import draw, start
from spacy_bert_zh.textcat.loss import Loss
from spacy_bert_zh.textcat.neighbours import NEIGHBOURS, SHOWN, Neighbours
from spacy_bert_zh.textcat.ngrams import is_solved
from spacy_bert_zh.textcat.practice import Backprop, Practice, disagreement, learn
from spacy_bert_zh.textcat.ridge import solve
from spacy_bert_zh.textcat.space import unit
from spacy_bert_zh.textcat.unlike import strangeness

log = logging.getLogger(__name__)

FIRST, SAMPLE = 20_000, 2_048
"""Of the first so many texts of the corpus, a head starts from so many."""

if not Doc.has_extension("bert_textcat"):
    Doc.set_extension("bert_textcat", default=None)


class _Found(WeakKeyDictionary[Doc, Any]):
    """What was found out about documents between `predict` and `set_annotations`."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Nothing of it is copied or saved."""
        return type(self), ()


class BertTextCat(Loss):
    """What goes between our classes and spaCy's, multi-label ones included.

    Attributes:
        practice: How it learns; never saved, the config says it.
        as_vector: Whether ``doc.vector`` and ``doc.similarity`` are by the BERT's vector, which
            ``doc._.bert_vector`` then has as well; never saved, the config says it.
    """

    practice = Practice()
    as_vector = False

    def configure(self, class_weights: ClassWeights | str, label_smoothing: float) -> None:
        """Check the settings, see `Configurable.configure`."""
        super().configure(class_weights, label_smoothing)
        self._readings, self._strange, self._near = _Found(), _Found(), _Found()
        self._vectors = _Found()
        self._neighbours: Neighbours | None = None
        self._checked: tuple[Any, Rules | None] = None, None

    @property
    def cascade(self) -> Cascade | None:
        """When the n-grams of an ensemble answer alone; None is never.

        Raises:
            BertZhError: The model can't have one; see `check_cascade`.
        """
        saved = self.cfg.get("cascade")
        return Cascade(**saved) if saved else None

    @cascade.setter
    def cascade(self, cascade: Cascade | None) -> None:
        if cascade:
            check_cascade(self.model, self.name)
            if self.neighbours is not None:
                raise BertZhError(
                    f"'{self.name}' has an index of neighbours, whom a cascade would not ask: "
                    "take the pipeline that `index` began with"
                )
        self.cfg["cascade"] = cascade.model_dump() if cascade else None

    @property
    def neighbours(self) -> Neighbours | None:
        """Labelled texts whose nearest ones have a say; None if there are none.

        Raises:
            BertZhError: When it is set: the model has no vectors, or a cascade.
        """
        return self._neighbours

    @neighbours.setter
    def neighbours(self, neighbours: Neighbours | None) -> None:
        if neighbours is not None and not self._has_vectors:
            raise BertZhError(
                f"'{self.name}' has n-grams alone, and no vectors by which texts are neighbours"
            )
        if neighbours is not None and self.cascade is not None:
            raise BertZhError(
                f"'{self.name}' has a cascade, whose n-grams answer for texts without vectors: "
                "make the index for the pipeline that `compress` began with"
            )
        both = (self._neighbours, neighbours)
        if self.cfg.get("decision") and any(one is not None and one.has_say for one in both):
            self.cfg["decision"] = None
            log.warning(
                "%s: its decision is off, as neighbours change the scores it was fitted to; "
                "'calibrate' fits another",
                self.name,
            )
        self._neighbours = neighbours
        # An empty index is one, too: it knows which labels were learnt.
        self.cfg["neighbours"] = None if neighbours is None else neighbours.mixing.model_dump()

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Learn from a batch, as spaCy's, by `practice`; the halves of an ensemble v3 apart."""
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, "update")
        if not any(len(example.predicted) for example in examples):
            return losses
        set_dropout_rate(self.model, drop)
        twice = examples * (2 if self.practice.r_drop else 1)
        docs = [example.predicted for example in twice]
        losses[self.name] += learn(
            self.model,
            lambda network_only: self._ask(docs, network_only),
            lambda scores: self._grade(twice, scores),
            self.practice,
        )
        if sgd is not None:
            self.finish_update(sgd)
        return losses

    def _ask(self, docs: list[Doc], network_only: bool) -> tuple[list[Floats2d], Backprop]:
        """What the parts of the model say that learn apart, or the whole of it."""
        if learns_apart(self.model):
            return begin_apart(self.model, docs, network_only or is_solved(self.model.layers[-1]))
        scores, backprop = self.model.begin_update(docs)
        return [scores], lambda gradients: cast(None, backprop(gradients[0]))

    def _grade(self, examples: list[Example], scores: Floats2d) -> tuple[float, Floats2d]:
        """The loss of one answer, or of two with what they differ in."""
        loss, gradient = self.get_loss(examples, scores)
        if not self.practice.r_drop:
            return loss, gradient
        xp = self.model.ops.xp
        more, further = disagreement(scores, self.practice.r_drop, self._exclusive, xp)
        return loss + more, cast(Floats2d, gradient + further)

    def finish_update(self, sgd: Optimizer) -> None:
        """Change the weights; what was fitted to the earlier ones goes."""
        super().finish_update(sgd)
        self._drop_fitted()

    def add_label(self, label: str) -> int:
        """Add a label, see spaCy's ``TextCategorizer``; what was fitted didn't know it."""
        added = super().add_label(label)
        if added:
            self._drop_fitted()
        return added

    def _drop_fitted(self) -> None:
        """Nothing promised of what the component was before holds of what it is now."""
        fitted = {"cascade": "compress", "decision": "calibrate"}
        for name, command in fitted.items():
            if self.cfg.get(name):
                self.cfg[name] = None
                log.warning(
                    "%s: its %s is off, as it was fitted to what the component was before; "
                    "'%s' fits another",
                    *(self.name, name, command),
                )
        if self.neighbours is not None:
            self.neighbours = None
            log.warning(
                "%s: its index is gone, as it holds vectors of what the component was before; "
                "'index' makes another",
                self.name,
            )

    def start_head(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        """Let a head of ours start from what the vectors tell at once; see `head.start`."""
        self._drop_fitted()
        solve(self.model, self._targets(get_examples()))
        if not self.model.has_ref("output_layer") or not self.model.has_ref("backbone"):
            return
        examples = draw(islice(get_examples(), FIRST), SAMPLE)
        truths, known = self._examples_to_truth(examples)
        ops = self.model.ops
        arrays = [ops.asarray2f(cast(Floats2d, array)) for array in (truths, known)]
        start(self.model, [example.reference for example in examples], *arrays)

    def _targets(self, examples: Iterable[Example]) -> Iterator[tuple[list[Doc], Any, Any]]:
        """Batches of documents, their labels and the weights of these, (documents, labels) each."""
        for batch in minibatch(examples, SAMPLE):
            truths, known = self._examples_to_truth(batch)
            array = self.model.ops.asarray2f(cast(Floats2d, truths))
            weights = to_numpy(self._weights(array)) * to_numpy(known)
            yield [example.reference for example in batch], to_numpy(array), weights

    def predict(self, docs: Iterable[Doc]) -> Floats2d:
        """Scores of documents, which stay as they are; shape (documents, labels).

        A document without tokens gets the same scores alone and among others, but from an
        architecture that isn't ours: there alone it gets zeros, as in spaCy's ``textcat``.
        """
        read = Documents(docs)
        if not self._can_compute(read):
            return self.model.ops.alloc2f(len(read), len(self.labels))
        reached = read
        if self.cascade is None:
            scores = cast(Floats2d, self.model.predict(read))
        else:
            scores, reached = answer(self.model, read, self.cascade)
        scores = self._consistent(scores)
        if self.neighbours is not None and reached.vectors is not None:
            scores = self._consistent(self._mix(self.neighbours, scores, read, reached.vectors))
        self._readings.update(zip(read, read.readings, strict=False))
        if self.as_vector:
            vectors = reached.vectors
            if reached is not read:  # n-grams that answered alone gave none
                vectors = self.model.get_ref("backbone").predict(read)
            self._vectors.update(zip(read, unit(to_numpy(vectors)), strict=True))
        if (rules := self._rules()) and rules.novelty:
            found = strangeness(self.model, read)
            if found is not None:
                self._strange.update(zip(read, found.tolist(), strict=True))
        return scores

    def _consistent(self, scores: Floats2d) -> Floats2d:
        """Scores that don't contradict each other; labels without a tree can't."""
        return scores

    def _mix(
        self, neighbours: Neighbours, scores: Floats2d, docs: Documents, vectors: Floats2d
    ) -> Floats2d:
        """Let the neighbours have their say, and remember who they are."""
        seen = to_numpy(vectors)
        found = neighbours.find(seen)
        self._near.update(zip(docs, neighbours.near(found, SHOWN), strict=True))
        claims = neighbours.claims(seen, self.labels)
        if not neighbours.has_say or not len(neighbours):
            return scores
        votes = neighbours.votes(found, self.labels)
        mixed = neighbours.mix(to_numpy(scores), votes, claims, self.labels, self._exclusive)
        return self.model.ops.asarray2f(cast(Floats2d, mixed))

    def _rules(self) -> Rules | None:
        """What a calibrated component decides by."""
        rules = self.cfg.get("decision")
        if rules is not self._checked[0]:  # checking takes longer than deciding on a text
            self._checked = rules, Rules.model_validate(rules) if rules else None
        return self._checked[1]

    def _can_compute(self, docs: list[Doc]) -> bool:
        """Whether the model bears these documents: ours take any, others want a token."""
        is_ours = self.model.has_ref("backbone") or self.model.has_ref("ngrams")
        return bool(docs) and (is_ours or any(len(doc) for doc in docs))

    def set_annotations(self, docs: Iterable[Doc], scores: Floats2d) -> None:
        """Write the scores into ``doc.cats``, after one copy from the device for all of them.

        What was read of a document goes into ``doc._.bert_textcat``, under the component's name;
        of a calibrated component also what it decides, see `decision.decide`.
        """
        labels, rules, values = self.labels, self._rules(), to_numpy(scores)
        given = given_of(self, values).tolist() if rules and labels else len(values) * [[]]
        for doc, row, chosen in zip(docs, values.tolist(), given, strict=True):
            doc.cats.update(zip(labels, row, strict=True))
            said = dict(self._readings.pop(doc, ()))
            if (vector := self._vectors.pop(doc, None)) is not None:
                set_vector(doc, vector, True)
            if near := self._near.pop(doc, None):
                said[NEIGHBOURS] = [one.as_dict() for one in near]
            if rules and row:
                odds = self._strange.pop(doc, None)
                said |= decide(rules, labels, row, chosen, self._exclusive, odds)
            if said and Doc.has_extension("bert_textcat"):
                doc._.bert_textcat = {**(doc._.bert_textcat or {}), self.name: said}

    def rehearse(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Pull the scores towards those the pipeline had at `nlp.resume_training`.

        Unlike spaCy's, the earlier model answers without dropout.
        """
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, "rehearse")
        docs = [example.predicted for example in examples]
        if self._rehearsal_model is None or not self._can_compute(docs):
            return losses
        set_dropout_rate(self.model, drop)
        scores, backprop = self.model.begin_update(docs)
        gradient = (scores - self._rehearsal_model.predict(docs)) / len(docs)
        backprop(gradient)
        if sgd is not None:
            self.finish_update(sgd)
        losses[self.name] += float((gradient**2).sum())
        return losses
