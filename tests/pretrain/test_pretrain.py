"""`pretrain`: from raw text to a folder that everybody loads, killed or not."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from safetensors.numpy import load_file, save_file

from spacy_bert_zh.checkpoint.tokenizer import load_tokenizer
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pretrain import PRESETS, make_options, pretrain
from spacy_bert_zh.pretrain.monitor import read_metrics
from spacy_bert_zh.pretrain.options import SIZES
from spacy_bert_zh.pretrain.output import fill_positions
from spacy_bert_zh.pretrain.prepare import prepare
from spacy_bert_zh.pretrain.state import NAME, read_meta
from spacy_bert_zh.pretrain.vocabulary import train_vocabulary
from tests.conftest import run_cli
from tests.pretrain.pretraining import TINY, as_words, tiny


@pytest.fixture(scope="module")
def made(text, tmp_path_factory):
    """A folder made by `pretrain`."""
    return pretrain(
        text, tmp_path_factory.mktemp("made") / "bert", tiny(steps=200, learn_rate=0.02)
    )


def weights(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "model.safetensors")


def same(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all((a[name] == b[name]).all() for name in a)


# --- what comes out


def test_transformers_loads_all_of_it(made):
    from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

    model, report = AutoModelForMaskedLM.from_pretrained(made, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    tokenizer = AutoTokenizer.from_pretrained(made)
    ours = load_tokenizer(made).encode("这家店很好吃", add_special_tokens=False)
    theirs = tokenizer("这家店很好吃")["input_ids"]
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert theirs == [cls, *ours.ids, sep]
    assert tokenizer.decode(theirs, skip_special_tokens=True).replace(" ", "") == "这家店很好吃"
    AutoModel.from_pretrained(made)
    assert model.config.hidden_dropout_prob == 0.1


def test_the_mlm_head_has_learnt_the_text(made):
    from transformers import AutoModelForMaskedLM

    model = AutoModelForMaskedLM.from_pretrained(made)
    lines = read_metrics(made / "metrics.jsonl")
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0] - 1
    assert model.cls.predictions.bias.detach().abs().max() > 0


def test_our_backbone_loads_it(made):
    nlp = spacy.blank("zh")
    backbone = {"name": str(made), "max_length": 32, "stride": 8}
    pipe = nlp.add_pipe("bert_textcat", config={"model": {"backbone": backbone}})
    pipe.add_label("a")
    pipe.add_label("b")
    nlp.initialize()
    assert set(nlp("这家店很好吃").cats) == {"a", "b"}


def test_card_curve_and_metrics_are_there(made):
    card = (made / "README.md").read_text("utf-8")
    assert "2 layers × 16" in card
    assert "perplexity" in card
    assert "{layers}" not in card
    assert (made / "loss.svg").read_text("utf-8").startswith("<svg")
    last = read_metrics(made / "metrics.jsonl")[-1]
    assert last["held_out_perplexity"] == pytest.approx(np.exp(last["held_out_loss"]))
    assert {"held_out_accuracy", "tokens", "seconds"} <= last.keys()
    speeds = [line for line in read_metrics(made / "metrics.jsonl") if "mfu" in line]
    assert all(0 < line["mfu"] < 2 and line["tokens_per_second"] > 0 for line in speeds)


def test_half_precision_halves_the_file(text, tmp_path):
    folder = pretrain(text, tmp_path / "bert", tiny(steps=1, half=True))
    assert {array.dtype for array in weights(folder).values()} == {np.dtype("float16")}


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_checkpoint_is_gone_on_from(made, text, tmp_path, optimizer):
    options = {key: value for key, value in TINY.items() if key not in SIZES}
    further = make_options("nano", **{**options, "checkpoint": made, "optimizer": optimizer})
    folder = pretrain(text, tmp_path / "bert", further)
    first, begun = (read_metrics(f / "metrics.jsonl")[0]["loss"] for f in (folder, made))
    assert first < begun - 1  # the head came along
    assert (folder / "vocab.txt").read_text() == (made / "vocab.txt").read_text()
    assert "the checkpoint bert" in (folder / "README.md").read_text("utf-8")


# --- cut off and gone on


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_killed_run_goes_on_to_the_same_bytes(text, tmp_path, optimizer):
    settings = {**TINY, "steps": 150, "optimizer": optimizer, "dropout": 0.1}
    pretrain(text, tmp_path / "straight", make_options("nano", **settings))
    command = [sys.executable, "-m", "spacy_bert_zh", "pretrain", text, tmp_path / "killed"]
    words = [*map(str, command), *as_words(settings)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    work = tmp_path / "killed.work"
    state = work / NAME
    deadline = time.monotonic() + 120
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed").exists()
    assert read_meta(work)["step"] < 150
    run_cli("pretrain", text, tmp_path / "killed", *as_words(settings))
    assert same(tmp_path / "straight", tmp_path / "killed")
    steps = [line["step"] for line in read_metrics(tmp_path / "killed" / "metrics.jsonl")]
    expected = read_metrics(tmp_path / "straight" / "metrics.jsonl")
    assert steps == [line["step"] for line in expected]
    assert not state.exists()


def test_other_options_dont_go_on_from_a_checkpoint(text, tmp_path):
    cut = tmp_path / "bert.work" / NAME
    straight = pretrain(text, tmp_path / "bert", tiny())
    meta = {"step": 4, "seconds": 1.0, "settings": {"seed": 7}}
    save_file({}, cut, metadata={"meta": json.dumps(meta)})
    with pytest.raises(BertZhError, match=r"seed: 7 → 0.*--restart"):
        pretrain(text, tmp_path / "bert", tiny())
    cut.write_bytes(b"half a checkpoint")
    with pytest.raises(BertZhError, match=r"is damaged.*--restart"):
        pretrain(text, tmp_path / "bert", tiny())
    before = weights(straight)
    again = pretrain(text, tmp_path / "bert", tiny(), restart=True)
    assert all((before[name] == array).all() for name, array in weights(again).items())


def test_two_processes_learn_what_one_with_all_rows_does(text, tmp_path):
    settings = {**TINY, "steps": 10, "batch_size": 8, "held_out": 0.03}
    pretrain(text, tmp_path / "one", make_options("nano", **settings))
    words = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--rdzv-backend", "c10d"]
    words += ["--rdzv-endpoint", "localhost:0", "-m", "spacy_bert_zh", "pretrain"]
    words += [str(text), str(tmp_path / "two"), *as_words(settings)]
    subprocess.run([sys.executable, *words], check=True, capture_output=True, timeout=300)
    one, two = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("one", "two"))
    for key in ("loss", "held_out_loss"):
        curves = [[line[key] for line in lines if key in line] for lines in (one, two)]
        assert len(curves[0]) == len(curves[1])
        assert curves[0] == pytest.approx(curves[1], rel=1e-4)


@pytest.mark.parametrize("option", ["vocabulary", "similar"])
def test_a_list_in_another_encoding_is_one_line(text, tmp_path, option):
    path = tmp_path / "list.txt"
    path.write_bytes("中 国\n".encode("gb18030"))
    given = (path,) if option == "similar" else path
    with pytest.raises(BertZhError, match=r"list\.txt is not UTF-8"):
        pretrain(text, tmp_path / "bert", tiny(**{option: given}))


# --- what can't be done


def test_too_many_unknown_pieces_are_an_error(tmp_path, text):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "这"]), "utf-8")
    with pytest.raises(BertZhError, match=r"% of the text into \[UNK\], most often .*也"):
        pretrain(text, tmp_path / "bert", tiny(vocabulary=path))
    assert not (tmp_path / "bert").exists()


@pytest.mark.parametrize("content", ["", "\n\n", " \n\u200b\n"])
def test_an_empty_corpus_is_an_error(tmp_path, content):
    path = tmp_path / "raw.txt"
    path.write_text(content, "utf-8")
    with pytest.raises(BertZhError, match="has no text to learn from"):
        pretrain(path, tmp_path / "bert", tiny())


def test_a_folder_without_files_is_an_error(tmp_path):
    (tmp_path / "raw").mkdir()
    with pytest.raises(BertZhError, match="no file of the format text"):
        pretrain(tmp_path / "raw", tmp_path / "bert", tiny())


def test_a_full_disk_is_one_line_and_leaves_nothing_under_the_name(text, tmp_path):
    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    words = [sys.executable, "-m", "spacy_bert_zh", "pretrain", str(text), str(tmp_path / "bert")]
    run = subprocess.run(
        [*words, *as_words({**TINY, "hidden_size": 64})],
        preexec_fn=little_room,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("✘ pretrain stopped at")
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "bert").exists()
    assert not (tmp_path / "bert.work" / NAME).exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask_rate": 0}, "--mask-rate 0"),
        ({"heads": 3}, "can't be divided among --heads 3"),
        ({"length": 128}, "more than --max-positions 64"),
        ({"precision": "fp8"}, "choose one of auto, fp32, bf16"),
        ({"optimizer": "sgd"}, "choose one of adamw, muon"),
        ({"ngrams": "a"}, "--ngrams a"),
        ({"ngrams": "-1,1"}, "--ngrams"),
        ({"steps": 0}, "--steps 0"),
        ({"vocabulary": Path("nowhere.txt")}, "nowhere.txt"),
        ({"seed": -1}, "--seed -1"),
        ({"learn_rate": -1.0}, "--learn-rate -1"),
        (
            {"checkpoint": Path("."), "heads": 2},
            "brings its sizes: leave --layers, .*--max-positions out",
        ),
    ],
)
def test_senseless_options_are_one_line(changes, message):
    with pytest.raises(BertZhError, match=message):
        tiny(**changes)


def test_a_folder_of_something_else_is_not_replaced(text, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("…", "utf-8")
    with pytest.raises(BertZhError, match=r"thesis\.txt, and nothing says that 'pretrain' made it"):
        pretrain(text, tmp_path / "home", tiny())
    assert (tmp_path / "home" / "thesis.txt").exists()


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_sizes_that_exist(preset):
    options = make_options(preset)
    assert options.hidden_size % options.heads == 0
    assert options.hidden_size // options.heads == 64


def test_held_out_documents_are_not_learnt(text, tmp_path):
    tokenizer = train_vocabulary(text.read_text("utf-8").split("\n"), 300)
    data = prepare(text, tokenizer, tiny(held_out=0.3), tmp_path)

    def documents(corpus):
        ends = corpus.documents
        return {tuple(corpus.pieces[a:b].tolist()) for a, b in pairwise(ends)}

    assert documents(data.train)
    assert documents(data.held_out)
    assert not documents(data.train) & documents(data.held_out)
    assert len(data.train) + len(data.held_out) == data.counts["documents"]


def test_the_same_seed_gives_the_same_model(text, tmp_path):
    folders = [pretrain(text, tmp_path / str(i), tiny(dropout=0.1)) for i in range(2)]
    assert same(*folders)
    other = pretrain(text, tmp_path / "other", tiny(dropout=0.1, seed=1))
    assert not same(folders[0], other)


@pytest.mark.parametrize("inside", ["raw/bert", "."])
def test_corpus_and_output_are_apart(tmp_path, inside):
    folder = tmp_path / "all" / "raw"
    folder.mkdir(parents=True)
    (folder / "raw.txt").write_text("你好\n", "utf-8")
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "all" / name).touch()
    with pytest.raises(BertZhError, match=r"is inside the (in|out)put"):
        pretrain(folder, tmp_path / "all" / inside, tiny())


def test_a_file_is_not_replaced_by_a_folder(text, tmp_path):
    (tmp_path / "bert").write_text("mine")
    with pytest.raises(BertZhError, match="is a file: name a folder"):
        pretrain(text, tmp_path / "bert", tiny())


def test_a_spoilt_run_stops_before_it_saves(made, text, tmp_path):
    spoilt = tmp_path / "spoilt"
    shutil.copytree(made, spoilt)
    arrays = {name: np.full_like(array, 3e38) for name, array in weights(made).items()}
    save_file(arrays, spoilt / "model.safetensors", metadata={"format": "pt"})
    options = {key: value for key, value in TINY.items() if key not in SIZES}
    with pytest.raises(BertZhError, match=r"The loss is nan at step 2: lower --learn-rate"):
        pretrain(text, tmp_path / "bert", make_options("nano", **options, checkpoint=spoilt))
    assert not (tmp_path / "bert").exists()
    assert read_meta(tmp_path / "bert.work") is None


def test_a_cased_checkpoint_stays_cased(made, text, tmp_path):
    cased = tmp_path / "cased"
    shutil.copytree(made, cased)
    (cased / "tokenizer.json").unlink()
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": False}
    (cased / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    options = {key: value for key, value in TINY.items() if key not in SIZES}
    further = make_options("nano", **{**options, "checkpoint": cased, "steps": 1})
    folder = pretrain(text, tmp_path / "bert", further)
    written = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    assert written["do_lower_case"] is False
    assert written["model_max_length"] == 64


def test_untrained_positions_are_continued():
    table = torch.arange(10.0)[:, None].repeat(1, 2)
    fill_positions(table, 4)
    assert table[:, 0].tolist() == [0, 1, 2, 3, 2, 3, 2, 3, 2, 3]
