"""`pretrain`: from raw text to a folder that everybody loads, killed or not."""

import gzip
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
import psutil
import pytest
import spacy
import torch
from safetensors.numpy import load_file, save_file
from spacy.tokens import DocBin

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pieces import load_tokenizer
from spacy_bert_zh.pretrain import PRESETS, make_options, pretrain
from spacy_bert_zh.pretrain.data import Batches, make_replacements
from spacy_bert_zh.pretrain.monitor import read_metrics
from spacy_bert_zh.pretrain.options import SIZES
from spacy_bert_zh.pretrain.output import fill_positions
from spacy_bert_zh.pretrain.overlap import RUN, Overlap
from spacy_bert_zh.pretrain.prepare import prepare
from spacy_bert_zh.pretrain.state import NAME, read_meta
from spacy_bert_zh.pretrain.vocabulary import pieces_of, read_vocabulary, train_vocabulary
from tests.conftest import make_rows, run_cli

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


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("raw") / "raw.txt"
    path.write_text("\n".join(text for text, _ in make_rows(600)) + "\n", "utf-8")
    return path


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


# --- what goes in


def test_documents_words_and_counts(tmp_path):
    path = tmp_path / "raw.txt"
    path.write_text("北京大学在北京\n\nＡＩ很火\n", "utf-8")
    tokenizer = train_vocabulary(["北京大学在北京", "AI很火"], 50)
    data = prepare(path, tokenizer, tiny(held_out=0.0), tmp_path)
    pieces = pieces_of(tokenizer)
    documents = data.train.documents.tolist()
    assert len(data.train) == 2
    first = [pieces[i] for i in data.train.pieces[: documents[1]]]
    assert first == list("北京大学在北京")
    assert data.train.starts[: documents[1]].tolist() == [True, *[False] * 3, True, True, False]
    second = "".join(pieces[i] for i in data.train.pieces[documents[1] :]).replace("##", "")
    assert second == "ai很火"
    assert data.counts["documents"] == data.counts["read"] == 2


def test_workers_end_when_their_process_is_killed(tmp_path):
    path = tmp_path / "raw.txt"
    path.write_text("这家店的味道一直都很不错推荐给大家\n" * 200_000, "utf-8")
    command = [sys.executable, "-m", "spacy_bert_zh", "pretrain", path, tmp_path / "bert"]
    words = [*map(str, command), *as_words({**TINY, "workers": 2})]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    parent = psutil.Process(process.pid)

    def workers() -> list[psutil.Process]:
        return [c for c in parent.children() if "spawn_main" in " ".join(c.cmdline())]

    _wait_for(lambda: len(workers()) == 2, 120)
    children = workers()
    process.kill()
    process.wait()
    _wait_for(lambda: not any(child.is_running() for child in children), 60)


def _wait_for(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_workers_prepare_the_same_and_only_once(text, tmp_path):
    tokenizer = train_vocabulary(text.read_text("utf-8").split("\n"), 300)
    alone = prepare(text, tokenizer, tiny(), tmp_path / "a")
    together = prepare(text, tokenizer, tiny(workers=2), tmp_path / "b")
    for part in ("train", "held_out"):
        a, b = getattr(alone, part), getattr(together, part)
        assert len(a)
        assert (a.pieces == b.pieces).all()
        assert (a.starts == b.starts).all()
        assert (a.documents == b.documents).all()
    made = list((tmp_path / "a").iterdir())
    times = [path.stat().st_mtime_ns for path in made]
    prepare(text, tokenizer, tiny(), tmp_path / "a")
    assert [path.stat().st_mtime_ns for path in made] == times


@pytest.mark.parametrize(
    ("name", "form", "write"),
    [
        ("raw.jsonl", "jsonl", lambda rows: "\n".join(json.dumps({"text": t}) for t in rows)),
        (
            "zh_head_0000.json.gz",
            "ccnet",
            lambda rows: "\n".join(
                json.dumps({"raw_content": t, "language": "zh", "bucket": "head"}) for t in rows
            ),
        ),
        (
            "news.dat",
            "sogou",
            lambda rows: "\n".join(
                f"<doc>\n<url>http://sports.sohu.com/{i}</url>\n<docno>{i}</docno>\n"
                f"<contenttitle>标题</contenttitle>\n<content>{t}</content>\n</doc>"
                for i, t in enumerate(rows)
            ),
        ),
    ],
)
def test_every_format_with_texts_is_read(tmp_path, name, form, write):
    rows = [text for text, _ in make_rows(50)]
    data = write(rows).encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    tokenizer = train_vocabulary([*rows, "标题"], 300)
    counts = prepare(path, tokenizer, tiny(format=form), tmp_path / "work").counts
    assert counts["documents"] == 50
    assert counts["unknown"] == 0


def test_text_columns_can_be_named(tmp_path):
    path = tmp_path / "raw.csv"
    path.write_text("甲,乙\n一二三,四五六\n", "utf-8")
    tokenizer = train_vocabulary(["一二三四五六"], 20)
    data = prepare(path, tokenizer, tiny(format="csv", text_columns="乙", held_out=0.0), tmp_path)
    assert [tokenizer.id_to_token(i) for i in data.train.pieces] == ["四", "五", "六"]


def test_texts_of_the_evaluation_are_left_out(tmp_path):
    judged = "央行今日宣布下调存款准备金率零点五个百分点"
    nlp = spacy.blank("zh")
    DocBin(docs=[nlp(judged), nlp("很好吃")]).to_disk(tmp_path / "dev.spacy")
    path = tmp_path / "raw.txt"
    near = f"快讯：{judged[:-2]}！"
    path.write_text("\n".join([judged, near, "很好吃。", "很好吃的面", "别的话题"]), "utf-8")
    tokenizer = train_vocabulary(path.read_text("utf-8").split("\n"), 100)
    options = tiny(exclude=(tmp_path / "dev.spacy",), held_out=0.0)
    data = prepare(path, tokenizer, options, tmp_path)
    assert len(data.train) == 2
    assert data.counts["excluded: exact match"] == 2
    assert data.counts["excluded: near match"] == 1


def test_a_near_match_shares_a_run_of_characters():
    text = "".join(chr(0x4E00 + i) for i in range(3 * RUN))
    overlap = Overlap([text])
    assert overlap.find(text) == "exact"
    assert overlap.find("，".join(text)) == "exact"  # only letters count
    assert overlap.find(f"甲{text[5 : 5 + RUN]}乙") == "near"
    assert overlap.find(f"甲{text[5 : 4 + RUN]}乙") is None
    assert overlap.find("") is None


def test_similar_characters_from_a_file(tmp_path):
    path = tmp_path / "similar.txt"
    path.write_text("未 末朱\n己 已巳\n", "utf-8")
    tokenizer = train_vocabulary(["未末己已"], 20)
    replacements = make_replacements(tokenizer, tiny(similar=(path,)))
    start, end = replacements.similar[tokenizer.token_to_id("未")]
    found = replacements.candidates[start:end].tolist()
    assert found == [tokenizer.token_to_id("末")]  # 朱 is no piece


@pytest.mark.parametrize("option", ["vocabulary", "similar"])
def test_a_list_in_another_encoding_is_one_line(text, tmp_path, option):
    path = tmp_path / "list.txt"
    path.write_bytes("中 国\n".encode("gb18030"))
    given = (path,) if option == "similar" else path
    with pytest.raises(BertZhError, match=r"list\.txt is not UTF-8"):
        pretrain(text, tmp_path / "bert", tiny(**{option: given}))


# --- the vocabulary


def test_a_vocabulary_has_characters_and_frequent_latin_pieces():
    texts = ["我用iphone拍照", "新的iphone很贵", "iphone好"] * 20 + ["罕"]
    tokenizer = train_vocabulary(texts, 60)
    pieces = pieces_of(tokenizer)
    assert pieces[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert len(pieces) <= 60
    assert tokenizer.encode("我用iPhone").tokens == ["我", "用", "iphone"]
    assert "我用" not in pieces


def test_the_most_used_pieces_stay_when_there_is_little_room():
    texts = ["天地人"] * 9 + ["罕"]
    assert pieces_of(train_vocabulary(texts, 8))[5:] in (
        list(order) for order in ("天地人", "天人地", "地天人", "地人天", "人天地", "人地天")
    )


def test_a_given_vocabulary_is_kept_and_extended(tmp_path):
    path = tmp_path / "vocab.txt"
    lines = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "甲", "乙"]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    assert pieces_of(read_vocabulary(path)) == lines
    extended = pieces_of(train_vocabulary(["甲丙", "丙"], 8, path))
    assert extended == [*lines, "丙"]
    with pytest.raises(BertZhError, match="must be more than the 7"):
        train_vocabulary(["甲丙"], 7, path)


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
    with pytest.raises(BertZhError, match="isn't a checkpoint"):
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


def test_a_large_corpus_is_sampled_evenly(monkeypatch):
    monkeypatch.setattr("spacy_bert_zh.pretrain.vocabulary.SAMPLE", 1_000)
    early, late = ["甲乙丙丁戊"] * 1000, ["子丑寅卯辰"] * 1000
    pieces = pieces_of(train_vocabulary([*early, *late], 15))
    assert {"甲", "子"} <= set(pieces)


@pytest.mark.parametrize("inside", ["raw/bert", "."])
def test_corpus_and_output_are_apart(tmp_path, inside):
    folder = tmp_path / "all" / "raw"
    folder.mkdir(parents=True)
    (folder / "raw.txt").write_text("你好\n", "utf-8")
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "all" / name).touch()
    with pytest.raises(BertZhError, match="inside each other"):
        pretrain(folder, tmp_path / "all" / inside, tiny())


def test_a_file_is_not_replaced_by_a_folder(text, tmp_path):
    (tmp_path / "bert").write_text("mine")
    with pytest.raises(BertZhError, match="isn't a checkpoint"):
        pretrain(text, tmp_path / "bert", tiny())


def test_all_texts_held_out_is_an_error(tmp_path):
    path = tmp_path / "raw.txt"
    path.write_text("\n".join(f"第{i}行" for i in range(3)), "utf-8")
    tokenizer = train_vocabulary(path.read_text("utf-8").split("\n"), 50)
    with pytest.raises(BertZhError, match="fell to --held-out"):
        for seed in range(200):  # one of the seeds holds all three out
            prepare(path, tokenizer, tiny(held_out=0.5, seed=seed), tmp_path)


def test_a_docbin_to_exclude_counts_for_what_is_kept(text, tmp_path):
    nlp = spacy.blank("zh")
    DocBin(docs=[nlp(text.read_text("utf-8").split("\n")[0])]).to_disk(tmp_path / "dev.spacy")
    tokenizer = train_vocabulary(text.read_text("utf-8").split("\n"), 300)
    prepare(text, tokenizer, tiny(), tmp_path)
    counts = prepare(text, tokenizer, tiny(exclude=(tmp_path / "dev.spacy",)), tmp_path).counts
    assert counts["excluded: exact match"] >= 1


def test_a_spoilt_run_stops_before_it_saves(made, text, tmp_path):
    spoilt = tmp_path / "spoilt"
    shutil.copytree(made, spoilt)
    arrays = {name: np.full_like(array, np.nan) for name, array in weights(made).items()}
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


def test_spelled_out_and_unknown_pieces_are_never_predicted(tmp_path):
    path = tmp_path / "raw.txt"
    rows = [f"用[MASK]和[SEP]预测{text}罕" for text, _ in make_rows(150)]
    path.write_text("\n".join(rows), "utf-8")
    tokenizer = train_vocabulary([row.replace("罕", "") for row in rows], 300)
    options = tiny(held_out=0.0, mask_rate=0.9)
    batches = Batches(_prepared(path, tokenizer, options, tmp_path), tokenizer, options, 0, 1)
    special = [tokenizer.token_to_id(p) for p in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")]
    for step in range(3):
        assert not np.isin(batches[step]["labels"].numpy(), special).any()


def _prepared(path, tokenizer, options, work):
    """The part to learn from, however many pieces are unknown."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spacy_bert_zh.pretrain.prepare.MOST_UNKNOWN", 1.0)
        return prepare(path, tokenizer, options, work).train


def test_batches_go_on_from_epoch_to_epoch(text, tmp_path):
    tokenizer = train_vocabulary(text.read_text("utf-8").split("\n"), 300)
    options = tiny(held_out=0.0)
    train = prepare(text, tokenizer, options, tmp_path).train
    batches = Batches(train, tokenizer, options, 0, 1)
    steps = 2 * batches.rows // options.batch_size + 1
    straight = [batches[step]["ids"] for step in range(steps)]
    assert all(
        (Batches(train, tokenizer, options, 0, 1)[step]["ids"] == straight[step]).all()
        for step in (steps - 1, steps // 2, 0)
    )
    ranks = [Batches(train, tokenizer, options, rank, 2)[steps // 2]["ids"] for rank in (0, 1)]
    assert sorted(map(tuple, np.concatenate(ranks).tolist())) == sorted(
        map(tuple, straight[steps // 2].tolist())
    )


def test_untrained_positions_are_continued():
    table = torch.arange(10.0)[:, None].repeat(1, 2)
    fill_positions(table, 4)
    assert table[:, 0].tolist() == [0, 1, 2, 3, 2, 3, 2, 3, 2, 3]
