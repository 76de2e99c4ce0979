"""The options of `pretrain`, checked, and the sizes that have a name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading import TextOptions

PRECISIONS = ("auto", "fp32", "bf16")
OPTIMIZERS = ("adamw", "muon")

# Layers, width and heads; then what a first run of that size wants.
PRESETS: dict[str, dict[str, Any]] = {
    "nano": {"layers": 2, "hidden_size": 128, "heads": 2, "steps": 1_000, "learn_rate": 2e-3},
    "mini": {"layers": 4, "hidden_size": 256, "heads": 4, "steps": 10_000, "learn_rate": 1e-3},
    "small": {"layers": 6, "hidden_size": 512, "heads": 8, "steps": 100_000, "learn_rate": 5e-4},
    "base": {"layers": 12, "hidden_size": 768, "heads": 12, "steps": 500_000, "learn_rate": 2e-4},
}
SIZES = ("layers", "hidden_size", "heads", "max_positions")
BY_PRESET = {*SIZES, *PRESETS["nano"]}
"""Options that a preset or a checkpoint decides on where they aren't given."""
# Weights that know the language already are easily lost at the rates of a beginning.
FURTHER_RATE = 1e-4


@dataclass(frozen=True)
class Options(TextOptions):
    """How to read, mask and learn; how to find the texts as in `reading.TextOptions`.

    Args:
        format: Format of the corpus: text, jsonl, ccnet, sogou, or any other of convert's.
        checkpoint: Go on from this checkpoint folder, with its sizes and vocabulary.
        teacher: Learn from the vectors that this checkpoint folder has of whole texts, beside
            masked language modelling; the pupil keeps its own vocabulary and size.
        teacher_prefix: What the teacher wants in front of every text, such as "query: "; else
            what its folder says.
        vocabulary: A vocab.txt or tokenizer.json; else one is trained.
        vocab_size: Pieces of a vocabulary trained here. With `vocabulary` given, its lines
            are kept and the corpus' most frequent other pieces added up to this; 0 takes it
            as it is.
        words: Whether frequent words are pieces of a vocabulary trained here.
        layers: Transformer layers; else the preset's.
        hidden_size: Width, else the preset's; the feed-forward layers are four times as wide.
        heads: Attention heads; else the preset's.
        max_positions: The longest document the model can ever read, in pieces; else 512.
        length: Pieces of a training row.
        batch_size: Rows of a step, over all processes.
        steps: Steps of training; else the preset's.
        optimizer: "adamw", or "muon": Muon (Jordan et al. 2024) for the matrices of the
            layers, AdamW for the rest.
        learn_rate: Rate at its highest, after the warm-up; else the preset's.
        warmup: Share of the steps in which the rate rises.
        weight_decay: Decay of the weights, decoupled, of the matrices.
        dropout: Dropout while pretraining; the saved config says 0.1, for fine-tuning.
        mask_rate: Share of the pieces to predict.
        ngrams: How often 1, 2, … words are masked at once, e.g. 0.4,0.3,0.2,0.1; else always 1.
        similar: Files of lines "character similar-characters": replace by these (MacBERT).
        exclude: Folders of DocBins, as `convert` writes them, whose texts must not be learnt.
        held_out: Share of the documents kept for measuring.
        seed: Seed of every random choice.
        precision: "bf16", "fp32", or "auto": bf16 where the hardware has it.
        compile: Use torch.compile; else on a GPU, for networks of width 512 and more.
        workers: Processes that prepare data.
        save_every: Steps between checkpoints.
        log_every: Steps between lines in metrics.jsonl.
        half: Save the weights as float16.
    """

    format: str = "text"
    checkpoint: Path | None = None
    teacher: Path | None = None
    teacher_prefix: str = ""
    vocabulary: Path | None = None
    vocab_size: int = 0
    words: bool = False
    layers: int = 2
    hidden_size: int = 128
    heads: int = 2
    max_positions: int = 512
    length: int = 128
    batch_size: int = 64
    steps: int = 1_000
    optimizer: str = "adamw"
    learn_rate: float = 1e-3
    warmup: float = 0.05
    weight_decay: float = 0.01
    dropout: float = 0.0
    mask_rate: float = 0.15
    ngrams: tuple[float, ...] = (1.0,)
    similar: tuple[Path, ...] = ()
    exclude: tuple[Path, ...] = ()
    held_out: float = 0.005
    seed: int = 0
    precision: str = "auto"
    compile: bool | None = None
    workers: int = 2
    save_every: int = 500
    log_every: int = 20
    half: bool = False

    def __post_init__(self) -> None:
        _at_least(1, self, "layers", "hidden_size", "heads", "batch_size", "steps")
        _at_least(1, self, "save_every", "log_every")
        _at_least(0, self, "vocab_size", "workers", "seed")
        _at_least(4, self, "length")
        _between(self, "mask_rate", 0.01, 0.9)
        _between(self, "learn_rate", 1e-9, 1.0)
        _between(self, "held_out", 0.0, 0.5)
        _between(self, "dropout", 0.0, 0.9)
        _between(self, "warmup", 0.0, 1.0)
        _one_of(self, "precision", PRECISIONS)
        _one_of(self, "optimizer", OPTIMIZERS)
        if self.hidden_size % self.heads:
            raise BertZhError(
                f"--hidden-size {self.hidden_size} can't be divided among --heads {self.heads}"
            )
        if self.length > self.max_positions and not self.checkpoint:
            raise BertZhError(
                f"--length {self.length} is more than --max-positions {self.max_positions}"
            )
        if self.teacher_prefix and not self.teacher:
            raise BertZhError("--teacher-prefix is for a --teacher: give one, or leave it out")
        if not self.ngrams or min(self.ngrams) < 0 or sum(self.ngrams) <= 0:
            raise BertZhError("--ngrams: give the shares of 1, 2, … words, e.g. 0.4,0.3,0.2,0.1")
        if self.checkpoint and (self.vocabulary or self.vocab_size or self.words):
            raise BertZhError("--checkpoint brings its vocabulary: leave the options for one out")
        if self.words and self.vocabulary and not self.vocab_size:
            raise BertZhError("--words extends --vocabulary: say up to which --vocab-size")
        for path in (self.checkpoint, self.teacher, self.vocabulary, *self.similar, *self.exclude):
            if path is not None and not path.exists():
                raise BertZhError(f"No such file or folder: {path}")


def make_options(
    preset: str, *, ngrams: str = "", text_columns: str = "", **others: Any
) -> Options:
    """Build options from a preset and a command line, where None means the preset's.

    Raises:
        BertZhError: An option has no meaning, or contradicts another.

    Examples:
        >>> options = make_options("mini", steps=2_000, ngrams="0.4,0.3,0.2,0.1")
        >>> options.layers, options.steps, options.ngrams
        (4, 2000, (0.4, 0.3, 0.2, 0.1))
    """
    if preset not in PRESETS:
        raise BertZhError(f"--preset {preset} is unknown: choose one of {', '.join(PRESETS)}")
    given = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in others.items()
        if value is not None
    }
    preset_values = dict(PRESETS[preset])
    if given.get("checkpoint"):
        if sizes := [f"--{n.replace('_', '-')}" for n in SIZES if n in given]:
            raise BertZhError(f"--checkpoint brings its sizes: leave {', '.join(sizes)} out")
        preset_values = {"steps": preset_values["steps"], "learn_rate": FURTHER_RATE}
    if ngrams:
        given["ngrams"] = _numbers(ngrams)
    if text_columns:
        given["text_columns"] = tuple(part.strip() for part in text_columns.split(","))
    return Options(**{**preset_values, **given})


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise BertZhError(f"--ngrams {text}: give numbers, e.g. 0.4,0.3,0.2,0.1") from None


def _one_of(options: Options, name: str, known: tuple[str, ...]) -> None:
    if getattr(options, name) not in known:
        given = f"--{name} {getattr(options, name)}"
        raise BertZhError(f"{given} is unknown: choose one of {', '.join(known)}")


def _at_least(least: int, options: Options, *names: str) -> None:
    for name in names:
        if getattr(options, name) < least:
            given = f"--{name.replace('_', '-')} {getattr(options, name)}"
            raise BertZhError(f"{given}: it must be {least} or more")


def _between(options: Options, name: str, low: float, high: float) -> None:
    value = getattr(options, name)
    if not low <= value <= high:
        raise BertZhError(f"--{name.replace('_', '-')} {value}: it must be from {low} to {high}")
