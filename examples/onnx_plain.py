"""Classify with what `export --format onnx` writes for other frameworks, and none of our code.

    pip install onnxruntime tokenizers
    python examples/onnx_plain.py small/onnx < texts.txt

One text a line in, one line of JSON a text out. A long text is read up to its first window's end.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

BATCH = 64

folder = Path(sys.argv[1])
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
labels = json.loads((folder / "labels.json").read_text("utf-8"))

# Not splitlines, which also ends a line where only Unicode sees an end.
texts = [line.removesuffix("\r") for line in sys.stdin.buffer.read().decode("utf-8").split("\n")]
if texts[-1] == "":
    texts.pop()
for start in range(0, len(texts), BATCH):
    rows = tokenizer.encode_batch(texts[start : start + BATCH])
    inputs = {
        "input_ids": np.array([row.ids for row in rows], dtype=np.int64),
        "attention_mask": np.array([row.attention_mask for row in rows], dtype=np.int64),
    }
    (scores,) = session.run(["scores"], inputs)
    for row in scores.tolist():
        print(json.dumps(dict(zip(labels, row, strict=True)), ensure_ascii=False))
