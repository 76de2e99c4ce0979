"""What a teacher says of every document: computed once, in chunks on disk, by all processes."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from tqdm import tqdm

from spacy_bert_zh.backbones.torch.bert import build_network
from spacy_bert_zh.backbones.torch.precision import has_amx
from spacy_bert_zh.checkpoint import Checkpoint, load_checkpoint
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import whole
from spacy_bert_zh.pieces import Batch, Encoded, batches, pad
from spacy_bert_zh.pretrain.options import Options
from spacy_bert_zh.pretrain.prepare import PARTS, Prepared
from spacy_bert_zh.pretrain.vectors import CHUNK, Vectors, chunk_path, unit
from spacy_bert_zh.pretrain.worker import Lesson

CPU_PIECES, GPU_PIECES = 1024, 32768
"""Of one batch, padding included."""
CPU_PADDING, GPU_PADDING = 64, GPU_PIECES
"""What one batch less is worth: a GPU takes as long for a small one as for a large one."""

Read = Callable[[Batch], NDArray[np.float32]]


@dataclass(frozen=True)
class Teacher:
    """A teacher, and how it reads.

    Attributes:
        checkpoint: Its network; a text's vector is the mean over its pieces.
        lesson: What it reads of a text.
    """

    checkpoint: Checkpoint
    lesson: Lesson


def load_teacher(options: Options) -> Teacher:
    """Load the checkpoint of ``--teacher``.

    Raises:
        BertZhError: It can't be used.
    """
    checkpoint = load_checkpoint(str(options.teacher))
    most = int(checkpoint.config["max_position_embeddings"])
    tokenizer = checkpoint.tokenizer.to_str()
    prefix = options.teacher_prefix or checkpoint.prefix
    lesson = Lesson(tokenizer, prefix, most, options.length - 2)
    return Teacher(checkpoint, lesson)


def teach(
    data: Prepared, checkpoint: Checkpoint, accelerator: Accelerator
) -> tuple[Vectors, Vectors]:
    """A teacher's vectors of both parts of a corpus; those that aren't there yet are computed.

    Args:
        data: Prepared with the teacher's lesson.
        checkpoint: The teacher.
        accelerator: Device and processes; each takes its share of the chunks.

    Raises:
        BertZhError: The teacher's vectors aren't finite.
    """
    for part in PARTS:
        _teach_part(data.folder / part, checkpoint, accelerator)
    accelerator.wait_for_everyone()
    train, held_out = (data.folder / part for part in PARTS)
    first = Vectors(train, len(data.train))
    return first, Vectors(held_out, len(data.held_out), first.mean)


def _teach_part(folder: Path, checkpoint: Checkpoint, accelerator: Accelerator) -> None:
    ends = np.load(folder / "taught.npy", allow_pickle=False)
    numbers = range(-(-(len(ends) - 1) // CHUNK))
    mine = numbers[accelerator.process_index :: accelerator.num_processes]
    missing = [number for number in mine if not chunk_path(folder, number).exists()]
    if not missing:
        return
    pieces = np.memmap(folder / "taught", dtype=np.uint32, mode="r")
    (folder / "vectors").mkdir(exist_ok=True)
    device = accelerator.device
    read = _reader(checkpoint, device)
    on_cpu = device.type == "cpu"
    sizes = (CPU_PIECES, CPU_PADDING) if on_cpu else (GPU_PIECES, GPU_PADDING)
    shown = None if accelerator.is_main_process else True
    for number in tqdm(missing, unit="chunk", desc=f"teacher, {folder.name}", disable=shown):
        stretch = ends[number * CHUNK : (number + 1) * CHUNK + 1]
        texts = [pieces[start:end] for start, end in pairwise(stretch)]
        vectors = _read_all(texts, read, *sizes)
        if not np.isfinite(vectors).all():
            raise BertZhError("--teacher: its vectors aren't finite numbers")
        with whole(chunk_path(folder, number)) as part, open(part, "wb") as file:
            np.save(file, unit(vectors).astype(np.float16), allow_pickle=False)


def _read_all(
    texts: list[NDArray[Any]], read: Read, budget: int, most_padding: int
) -> NDArray[np.float32]:
    """Vectors of texts in pieces, in their order."""
    groups = batches([len(text) for text in texts], budget, most_padding)
    order = np.concatenate([np.asarray(group) for group in groups])
    found = [
        read(
            Batch(
                np.concatenate([texts[i] for i in group]).astype(np.int64),
                np.asarray([len(texts[i]) for i in group], dtype=np.int64),
            )
        )
        for group in groups
    ]
    vectors = np.empty((len(texts), found[0].shape[1]), dtype=np.float32)
    vectors[order] = np.concatenate(found)
    return vectors


def _reader(checkpoint: Checkpoint, device: torch.device) -> Read:
    """How the teacher reads a batch.

    On a CPU the graph in eight bits is twice as fast as torch, and near enough; but for one with
    AMX, where torch in bfloat16 is 1.7 times as fast as that graph, and nearer.
    """
    half = device.type != "cpu" or has_amx()
    if not half and find_spec("onnx") and find_spec("onnxruntime"):
        return _onnx_reader(checkpoint)
    return _torch_reader(checkpoint, device, half)


def _onnx_reader(checkpoint: Checkpoint) -> Read:
    import onnxruntime

    from spacy_bert_zh.backbones.onnx.building import build_graph
    from spacy_bert_zh.backbones.onnx.quantize import quantize

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        quantize(build_graph(checkpoint, "mean", "int8")).SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
    )

    def read(batch: Batch) -> NDArray[np.float32]:
        ids, real = pad(batch)
        found = session.run(["vectors"], {"input_ids": ids, "attention_mask": real.astype(int)})
        return np.asarray(found[0], dtype=np.float32)

    return read


def _torch_reader(checkpoint: Checkpoint, device: torch.device, half: bool) -> Read:
    network = build_network(checkpoint, "mean").to(device).eval()

    def read(batch: Batch) -> NDArray[np.float32]:
        each = np.arange(len(batch))
        encoded = Encoded([batch], each, each, [{} for _ in each])
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, half):
            return np.asarray(network(encoded).float().cpu().numpy())

    return read
