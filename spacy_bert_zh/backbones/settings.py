"""What the config says to a backbone, but for the checkpoint: one type for all engines."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pieces import MAX_WINDOWS, shared_pieces

Pooling = Literal["cls", "pooler", "mean"]
Precision = bool | Literal["auto"]

Backbone = Model[list[Doc], Floats2d]
"""Documents to vectors, shape (documents, hidden size); one row for each document."""


@dataclass(frozen=True)
class Settings:
    """How a backbone reads documents and learns; see `build_torch_backbone_v1`.

    The signatures of the engines' architectures repeat names and defaults, for spaCy reads them
    there; a test holds them equal.

    Raises:
        BertZhError: Values that don't go together.
    """

    max_length: int = 128
    stride: int | None = None
    max_windows: int = MAX_WINDOWS
    pooling: Pooling = "mean"
    mixed_precision: Precision = "auto"
    freeze_layers: int = 0
    layer_decay: float = 1.0
    gradient_checkpointing: bool = False
    prefix: str | None = None
    trim: str | None = None

    def __post_init__(self) -> None:
        if self.max_length < 3:
            raise BertZhError(
                f"Backbone: max_length = {self.max_length} leaves no room for a word piece between "
                "[CLS] and [SEP]: it must be 3 or more"
            )
        if not 0 <= self.shared < self.max_length - 2:
            raise BertZhError(
                f"Backbone: stride = {self.shared} must be at least 0 and smaller than max_length "
                f"- 2 (max_length = {self.max_length}); stride = null is an eighth of max_length"
            )

    @property
    def shared(self) -> int:
        """Word pieces that consecutive windows share, also where `stride` leaves it open."""
        return shared_pieces(self.max_length, self.stride)

    def as_dict(self) -> dict[str, Any]:
        """All of them, with the stride decided."""
        return {**asdict(self), "stride": self.shared}
