"""What the tests of pretraining share."""

from spacy_bert_zh.pretrain import make_options

# Two layers of width 16: seconds on one core.
TINY = {
    "layers": 2,
    "hidden_size": 16,
    "heads": 2,
    "length": 32,
    "max_positions": 64,
    "batch_size": 4,
    "steps": 12,
    "workers": 0,
    "save_every": 4,
    "log_every": 2,
    "held_out": 0.1,
    "precision": "fp32",
}


def tiny(**changes):
    return make_options("nano", **{**TINY, **changes})


def as_words(options: dict) -> list[str]:
    return [str(w) for k, v in options.items() for w in (f"--{k.replace('_', '-')}", v)]
