"""One peer in a process of its own: it answers the requests of `speed.py`, a JSON line each.

    python benchmarks/peers.py PEER CHECKPOINT DEVICE LABELS

Requests name what to do and a file of texts; answers hold seconds and bytes.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["USE_TF"] = "0"
BATCH, TRAINING_BATCH, RATE = 64, 64, 5e-5

Classify = Callable[[list[str]], None]


def load_ours(checkpoint: str, device: str, labels: int, **settings: object) -> Any:
    """This project: the BERT alone, which reads all of a text as the peers do."""
    nlp = _blank(device)
    windows = {"max_length": 512, "stride": 64, "max_windows": 0, "pooling": "mean"}
    backbone = {"@architectures": "spacy_bert_zh.TorchBackbone.v1", "name": checkpoint, **windows}
    architecture = {"@architectures": "spacy_bert_zh.BertTextCat.v1"}
    model = {**architecture, "backbone": {**backbone, **settings}}
    nlp.add_pipe("bert_textcat", config={"model": model})
    return _initialised(nlp, labels)


def load_bf16(checkpoint: str, device: str, labels: int) -> Any:
    """This project with ``mixed_precision = true``."""
    return load_ours(checkpoint, device, labels, mixed_precision=True)


def load_keras(checkpoint: str, device: str, labels: int) -> Any:
    """This project with the Keras backbone; needs the extra [tensorflow]."""
    architecture = {"@architectures": "spacy_bert_zh.KerasBackbone.v1"}
    return load_ours(checkpoint, device, labels, **architecture)


def load_onnx(checkpoint: str, device: str, labels: int) -> Any:
    """This project on ONNX Runtime; needs the extra [onnx-export]."""
    architecture = {"@architectures": "spacy_bert_zh.OnnxBackbone.v1"}
    return load_ours(checkpoint, device, labels, **architecture)


def load_int8(checkpoint: str, device: str, labels: int, static: bool = False) -> Any:
    """The same with its linear layers quantised."""
    import numpy as np

    from spacy_bert_zh.backbones.onnx.building import build_graph
    from spacy_bert_zh.backbones.onnx.quantize import quantize
    from spacy_bert_zh.checkpoint.folder import load_checkpoint

    nlp = load_onnx(checkpoint, device, labels)
    bert = load_checkpoint(checkpoint)
    # Any pieces will do for scales: how long a product takes doesn't depend on its values.
    ids = np.random.default_rng(0).integers(bert.config["vocab_size"], size=(16, 64))
    samples = [{"input_ids": ids, "attention_mask": np.ones_like(ids)}] if static else []
    precision = "int8-static" if static else "int8"
    graph = quantize(build_graph(bert, "mean", precision), samples)
    backbone = nlp.get_pipe("bert_textcat").model.get_ref("backbone")
    backbone.shims[0].exchange(bert, graph.SerializeToString())
    return nlp


def load_static(checkpoint: str, device: str, labels: int) -> Any:
    """The same with scales found in advance."""
    return load_int8(checkpoint, device, labels, static=True)


def load_stock(checkpoint: str, device: str, labels: int) -> Any:
    """spaCy's `transformer` and `textcat`, as spaCy's quickstart sets them up for a GPU."""
    nlp = _blank(device)
    transformer = {
        "model": {
            "@architectures": "spacy-transformers.TransformerModel.v3",
            "name": checkpoint,
            "tokenizer_config": {"use_fast": True},
            "mixed_precision": device != "cpu",
        }
    }
    nlp.add_pipe("transformer", config=transformer)
    listener = {
        "@architectures": "spacy-transformers.TransformerListener.v1",
        "grad_factor": 1.0,
        "pooling": {"@layers": "reduce_mean.v1"},
    }
    reduce = {
        "@architectures": "spacy.TextCatReduce.v1",
        "exclusive_classes": True,
        "use_reduce_first": False,
        "use_reduce_last": False,
        "use_reduce_max": False,
        "use_reduce_mean": True,
        "tok2vec": listener,
    }
    nlp.add_pipe("textcat", config={"model": reduce})
    return _initialised(nlp, labels)


def load_bow(checkpoint: str, device: str, labels: int) -> Any:
    """spaCy's bag of words: no BERT, for scale."""
    nlp = _blank(device)
    bow = {
        "@architectures": "spacy.TextCatBOW.v3",
        "exclusive_classes": True,
        "ngram_size": 2,
        "no_output_layer": False,
    }
    nlp.add_pipe("textcat", config={"model": bow})
    return _initialised(nlp, labels)


def _blank(device: str) -> Any:
    import spacy

    if device != "cpu":
        spacy.require_gpu()
    return spacy.blank("zh")


def _initialised(nlp: Any, labels: int) -> Any:
    from spacy.training import Example

    cats = [f"label {i}" for i in range(labels)]
    examples = [
        Example.from_dict(nlp.make_doc("一句话"), {"cats": {c: float(c == cat) for c in cats}})
        for cat in cats
    ]
    nlp.initialize(lambda: examples)
    return nlp


def load_model(checkpoint: str, device: str, labels: int) -> tuple[Any, Any]:
    """Tokenizer and classifier of plain transformers, in float32."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(
        checkpoint, num_labels=labels, torch_dtype=torch.float32
    )
    return AutoTokenizer.from_pretrained(checkpoint), model.to(device).eval()


def classify_with_spacy(nlp: Any) -> Classify:
    """All texts through ``nlp.pipe``."""

    def classify(texts: list[str]) -> None:
        for _ in nlp.pipe(texts):
            pass

    def reached(texts: list[str]) -> float:
        """The share of texts that reach the network of a cascade."""
        said = [str(doc._.bert_textcat) for doc in nlp.pipe(texts)]
        return sum("'answered_by': 'ngrams'" not in one for one in said) / len(said)

    classify.reached = reached  # type: ignore[attr-defined]
    return classify


def classify_with_transformers(tokenizer: Any, model: Any) -> Classify:
    """Padded batches in the order of the texts, as the documentation of transformers shows."""
    import torch

    def classify(texts: list[str]) -> None:
        for start in range(0, len(texts), BATCH):
            part = texts[start : start + BATCH]
            batch = tokenizer(
                part, padding=True, truncation=True, max_length=512, return_tensors="pt"
            )
            with torch.inference_mode():
                model(**batch.to(model.device)).logits.softmax(-1).cpu()

    return classify


def classify_with_pipeline(tokenizer: Any, model: Any) -> Classify:
    """``transformers.pipeline`` with a batch size."""
    from transformers import pipeline

    pipe = pipeline("text-classification", model=model, tokenizer=tokenizer, device=model.device)

    def classify(texts: list[str]) -> None:
        for _ in pipe(texts, batch_size=BATCH, truncation=True, max_length=512):
            pass

    return classify


def bare_forward(tokenizer: Any, model: Any) -> Classify:
    """The forward pass alone, the pieces being there: what a single text can't be faster than."""
    import torch

    kept: dict[str, Any] = {}

    def classify(texts: list[str]) -> None:
        for text in texts:
            if text not in kept:
                kept[text] = tokenizer(text, return_tensors="pt").to(model.device)
            with torch.inference_mode():
                model(**kept[text])

    return classify


def train_with_spacy(nlp: Any, texts: list[str]) -> None:
    """One pass over the texts with ``nlp.update``, as `spacy train` does it."""
    from spacy.training import Example

    optimizer = nlp.create_optimizer()
    labels = nlp.get_pipe(nlp.pipe_names[-1]).labels
    examples = []
    for i, text in enumerate(texts):
        cats = {label: float(i % len(labels) == j) for j, label in enumerate(labels)}
        examples.append(Example.from_dict(nlp.make_doc(text), {"cats": cats}))
    for start in range(0, len(examples), TRAINING_BATCH):
        nlp.update(examples[start : start + TRAINING_BATCH], sgd=optimizer, drop=0.1)


def train_with_trainer(tokenizer: Any, model: Any, texts: list[str]) -> None:
    """One pass with the Trainer of transformers, in bf16, padded batch by batch."""
    from tempfile import TemporaryDirectory

    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    rows = [
        {**tokenizer(text, truncation=True, max_length=512), "label": i % model.num_labels}
        for i, text in enumerate(texts)
    ]
    with TemporaryDirectory() as folder:
        settings = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=TRAINING_BATCH,
            num_train_epochs=1,
            learning_rate=RATE,
            bf16=True,
            use_cpu=model.device.type == "cpu",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        Trainer(model, settings, DataCollatorWithPadding(tokenizer), train_dataset=rows).train()


def build(peer: str, checkpoint: str, device: str, labels: int) -> tuple[Classify, Any]:
    """The functions that classify and train; ``name=FOLDER`` is a trained pipeline."""
    spacy_loaders = {
        "ours": load_ours,
        "bf16": load_bf16,
        "keras": load_keras,
        "onnx": load_onnx,
        "int8": load_int8,
        "static": load_static,
        "stock": load_stock,
        "bow": load_bow,
    }
    if "=" in peer:
        from spacy_bert_zh.loading import load_pipeline

        nlp = load_pipeline(peer.partition("=")[2])
        return classify_with_spacy(nlp), lambda texts: train_with_spacy(nlp, texts)
    if peer in spacy_loaders:
        nlp = spacy_loaders[peer](checkpoint, device, labels)
        return classify_with_spacy(nlp), lambda texts: train_with_spacy(nlp, texts)
    plain = {
        "transformers": classify_with_transformers,
        "pipeline": classify_with_pipeline,
        "forward": bare_forward,
    }
    tokenizer, model = load_model(checkpoint, device, labels)
    return plain[peer](tokenizer, model), lambda texts: train_with_trainer(tokenizer, model, texts)


def answer(classify: Classify, train: Any, request: dict[str, Any], device: str) -> dict[str, Any]:
    """Do what a request asks and say how long it took."""
    import psutil

    texts: list[str] = json.loads(Path(request["texts"]).read_text("utf-8"))
    if request["do"] == "reached":
        return {"reached": classify.reached(texts)}  # type: ignore[attr-defined]
    times = []
    for call in _calls(classify, train, request["do"], texts):
        begin = time.perf_counter()
        call()
        if device != "cpu":
            import torch

            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return {
        "seconds": times,
        "resident": psutil.Process().memory_info().rss,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _calls(
    classify: Classify, train: Any, what: str, texts: list[str]
) -> Iterator[Callable[[], None]]:
    if what == "classify":
        yield lambda: classify(texts)
    elif what == "single":
        for text in texts:
            yield lambda text=text: classify([text])
    else:
        yield lambda: train(texts)


def main() -> None:
    """Load, say so, then answer until the requests end."""
    begin = time.perf_counter()
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no reply
    peer, checkpoint, device, labels = sys.argv[1:]
    classify, train = build(peer, checkpoint, device, int(labels))
    classify(["一句话"])
    print(json.dumps({"load": time.perf_counter() - begin}), file=replies, flush=True)
    for line in sys.stdin:
        print(
            json.dumps(answer(classify, train, json.loads(line), device)), file=replies, flush=True
        )


if __name__ == "__main__":
    main()
