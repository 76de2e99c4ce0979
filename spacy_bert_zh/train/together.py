"""Training in several processes: each learns from its share of a batch, all as one would.

The gradient of a mean over a batch is the mean of its shares' gradients, weighted by their numbers
of texts (synchronous data parallelism, Goyal et al. 2017, arXiv 1706.02677, section 2.2). It is
known in every process before an optimizer clips or takes it, so that weights, averages and
schedules stay the same everywhere.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar, cast

import numpy as np
import srsly
import torch
from spacy.language import Language
from spacy.scorer import Scorer
from spacy.tokens import Doc
from spacy.training import Example
from spacy.training.loop import subdivide_batch
from thinc.api import Optimizer, fix_random_seed

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.ranks import Group
from spacy_bert_zh.textcat import BertTextCat
from spacy_bert_zh.train.gradients import Parameter, add_up, find_parameters, rescale
from spacy_bert_zh.train.memory import share_memory
from spacy_bert_zh.train.resume import models

Batch = TypeVar("Batch")

LISTENED_TO = ("transformer",)
"""Factories of components that learn what ours ask of them."""


class Together:
    """Stands for the pipeline: what it learns from and what it is measured on is shared out.

    Args:
        nlp: The pipeline, initialised; afterwards it is the same in all processes.
        group: The processes.
        frozen: Components that don't learn.
        accumulate: Into how many parts a batch is cut; see ``training.accumulate_gradient``.
        optimizer: Will change the weights.

    Raises:
        BertZhError: A component can't learn in several processes.
    """

    def __init__(
        self,
        nlp: Language,
        group: Group,
        frozen: Sequence[str],
        accumulate: int,
        optimizer: Optimizer,
    ) -> None:
        self.nlp = nlp
        self._group = group
        self._frozen = list(frozen)
        self._accumulate = accumulate
        self._names = [name for name, _ in models(nlp) if name not in frozen]
        for name in self._names:
            check_component(nlp, name)
        for _, model in models(nlp):
            model.from_bytes(group.broadcast(model.to_bytes() if group.is_first else b""))
        shapes = str([tuple(one.weights.shape) for one in self._parameters()])
        group.check_same(shapes, "other weights than the first: give all of them the same files")
        memory = share_memory(group, self._parameters(), optimizer)
        self._add_up = memory.add_up if memory else partial(add_up, group)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.nlp, name)

    def _parameters(self) -> list[Parameter]:
        return list(find_parameters([m for name, m in models(self.nlp) if name in self._names]))

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
        annotates: Iterable[str] = (),
        exclude: Iterable[str] = (),
    ) -> None:
        """Learn from this process's share of a batch, and with the others from all of it.

        Args:
            examples: The whole batch, which every process is given.
            drop: Dropout.
            sgd: Changes the weights at once, if there is one.
            losses: Are given those of the whole batch.
            annotates: Components that annotate, as in `Language.update`.
            exclude: Components that don't learn; besides, those that are frozen don't.
        """
        parameters, weight = self._parameters(), 0.0
        totals = dict.fromkeys(self._names, 0.0)
        for part in subdivide_batch(examples, self._accumulate):
            mine = self._group.share(part, _length)
            if not mine:
                continue
            before, weight = weight, len(mine) / len(part)
            if before not in (0.0, weight):
                rescale(parameters, before / weight)
            found = self._learn(mine, drop=drop, annotates=annotates)
            totals = {name: total + weight * found[name] for name, total in totals.items()}
        sums = self._add_up(parameters, weight, list(totals.values()))
        for name, loss in zip(self._names, sums, strict=True):
            if losses is not None:
                losses[name] = losses.get(name, 0.0) + loss
            if sgd:
                self.nlp.get_pipe(name).finish_update(sgd)  # type: ignore[attr-defined]

    def _learn(self, examples: Sequence[Example], **settings: Any) -> dict[str, float]:
        losses = dict.fromkeys(self._names, 0.0)
        # spaCy's loop, too, says False: change no weights.
        self.nlp.update(examples, sgd=False, losses=losses, exclude=self._frozen, **settings)  # type: ignore[arg-type]
        return losses

    def evaluate(self, examples: Sequence[Example], per_component: bool = False) -> dict[str, Any]:
        """spaCy's scores of what all processes predict together.

        Each predicts whole batches, and so the same as one process alone.
        """
        scorer = _Gathered(self.nlp, examples, self._group)
        return self.nlp.evaluate(scorer.share(), scorer=scorer, per_component=per_component)

    def seeded(self, batches: Iterable[Batch], seed: int) -> Iterator[Batch]:
        """Draw other dropouts in each process, for a step the same ones whenever it is done.

        Python's `random` stays the same in all of them: it shuffles the corpus.
        """
        for step, batch in enumerate(batches):
            shuffling = random.getstate()
            own = np.random.SeedSequence([seed, step, self._group.rank])
            fix_random_seed(int(own.generate_state(1)[0]))
            random.setstate(shuffling)
            yield batch


def _length(example: Example) -> int:
    return len(example.predicted.text)


class _Gathered(Scorer):
    """Scores in the first process what all of them have predicted."""

    def __init__(self, nlp: Language, examples: Sequence[Example], group: Group) -> None:
        super().__init__(nlp)
        self._examples, self._group = examples, group
        size = nlp.batch_size
        self._ranks = [number // size % group.world for number in range(len(examples))]

    def share(self) -> list[Example]:
        """This process's examples."""
        dealt = zip(self._examples, self._ranks, strict=True)
        return [example for example, rank in dealt if rank == self._group.rank]

    def score(self, examples: Iterable[Example], *, per_component: bool = False) -> dict[str, Any]:
        """Of this process's examples with their predictions: the scores of all examples."""
        mine = [example.predicted.to_bytes(exclude=["user_data"]) for example in examples]
        parts = self._group.gather(srsly.msgpack_dumps(mine))
        scores: dict[str, Any] = {}
        if self._group.is_first:
            found = [iter(srsly.msgpack_loads(part)) for part in parts]
            predicted = [Doc(self.nlp.vocab).from_bytes(next(found[rank])) for rank in self._ranks]
            pairs = zip(predicted, self._examples, strict=True)
            whole = [Example(doc, example.reference) for doc, example in pairs]
            scores = super().score(whole, per_component=per_component)
        return cast(dict[str, Any], self._group.tell(scores))


def check_batches(batcher: dict[str, Any], accumulate: int, world: int) -> None:
    """Make sure that there is a text for each process, where the batcher tells.

    Args:
        batcher: The section ``training.batcher``.
        accumulate: Into how many parts a batch is cut.
        world: How many processes there are.

    Raises:
        BertZhError: There are more processes than texts.
    """
    size = batcher.get("size")
    if batcher.get("@batchers") != "spacy.batch_by_sequence.v1" or not isinstance(size, int):
        return
    if size // accumulate < world:
        parts = f" in {accumulate} parts (training.accumulate_gradient)" if accumulate > 1 else ""
        raise BertZhError(
            f"{world} processes, but batches of {size} texts{parts}: take fewer processes, or a "
            "larger training.batcher.size"
        )


def check_component(nlp: Language, name: str) -> None:
    """Make sure that the gradients of shares of a batch add up to those of the batch.

    Raises:
        BertZhError: The component's loss may not be a mean over texts, or it learns elsewhere.
    """
    pipe: Any = nlp.get_pipe(name)
    if not isinstance(pipe, BertTextCat) and nlp.get_pipe_meta(name).factory not in LISTENED_TO:
        raise BertZhError(
            f"'{name}' can't learn in several processes, as the text classifiers of this package "
            "can: name it in training.frozen_components, or train in one"
        )
    for node in pipe.model.walk():
        for shim in node.shims:
            half = getattr(shim, "_mixed_precision", False)  # of thinc's, by a scale of its own
            if half or not isinstance(shim._model, torch.nn.Module):
                raise BertZhError(
                    f"'{name}' has a network that can't learn in several processes: take "
                    "spacy_bert_zh.TorchBackbone.v1 (a 'transformer' without mixed_precision), or "
                    "train in one"
                )
