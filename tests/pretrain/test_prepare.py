"""Preparing a corpus: every text read once, its words, what is left out, its batches."""

import gzip
import json
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import spacy
from spacy.tokens import DocBin

from spacy_bert_zh.checkpoint.saving import SPECIAL, pieces_of
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pretrain.data import Batches, make_replacements
from spacy_bert_zh.pretrain.prepare import prepare
from spacy_bert_zh.pretrain.vocabulary import read_vocabulary, train_vocabulary, unigram_of
from spacy_bert_zh.reading.overlap import RUN, Overlap
from tests.conftest import make_rows
from tests.pretrain.pretraining import TINY, as_words, tiny


def test_documents_words_and_counts(tmp_path):
    path = tmp_path / "raw.txt"
    path.write_text("北京大学在北京\n\nＡＩ很火\n", "utf-8")
    tokenizer = train_vocabulary(["北京大学在北京", "AI很火"], 200)
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
    tokenizer = train_vocabulary(["一二三四五六"], 200)
    data = prepare(path, tokenizer, tiny(format="csv", text_columns="乙", held_out=0.0), tmp_path)
    assert [tokenizer.id_to_token(i) for i in data.train.pieces] == ["四", "五", "六"]


def test_texts_of_the_evaluation_are_left_out(tmp_path):
    judged = "央行今日宣布下调存款准备金率零点五个百分点"
    nlp = spacy.blank("zh")
    DocBin(docs=[nlp(judged), nlp("很好吃")]).to_disk(tmp_path / "dev.spacy")
    path = tmp_path / "raw.txt"
    near = f"快讯：{judged[:-2]}！"
    path.write_text("\n".join([judged, near, "很好吃。", "很好吃的面", "别的话题"]), "utf-8")
    tokenizer = train_vocabulary(path.read_text("utf-8").split("\n"), 200)
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


def test_a_docbin_to_exclude_counts_for_what_is_kept(text, tmp_path):
    nlp = spacy.blank("zh")
    DocBin(docs=[nlp(text.read_text("utf-8").split("\n")[0])]).to_disk(tmp_path / "dev.spacy")
    tokenizer = train_vocabulary(text.read_text("utf-8").split("\n"), 300)
    prepare(text, tokenizer, tiny(), tmp_path)
    counts = prepare(text, tokenizer, tiny(exclude=(tmp_path / "dev.spacy",)), tmp_path).counts
    assert counts["excluded: exact match"] >= 1


def test_all_texts_held_out_is_an_error(tmp_path):
    path = tmp_path / "raw.txt"
    path.write_text("\n".join(f"第{i}行" for i in range(3)), "utf-8")
    tokenizer = train_vocabulary(path.read_text("utf-8").split("\n"), 200)
    with pytest.raises(BertZhError, match="fell to --held-out"):
        for seed in range(200):  # one of the seeds holds all three out
            prepare(path, tokenizer, tiny(held_out=0.5, seed=seed), tmp_path)


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


def test_a_vocabulary_without_letters_is_refused(tmp_path):
    path, given = tmp_path / "raw.txt", tmp_path / "vocab.txt"
    path.write_text(
        "".join(f"{text}\n" for text, _ in make_rows(300)) + "2026年的iphone15\n", "utf-8"
    )
    characters = sorted({c for text, _ in make_rows(300) for c in text} | set("年的"))
    letters = sorted(set("2026iphone15"))
    given.write_text("\n".join([*SPECIAL, *characters, *letters]), "utf-8")
    with pytest.raises(BertZhError, match=r"100.0% of the words of letters and digits .* 2i"):
        prepare(path, read_vocabulary(given), tiny(), tmp_path / "a")
    within = (f"##{letter}" for letter in letters)
    given.write_text("\n".join([*SPECIAL, *characters, *letters, *within]), "utf-8")
    counts = prepare(path, read_vocabulary(given), tiny(), tmp_path / "b").counts
    assert counts["unknown"] == 0 and counts["latin words"] == 2


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


def test_similar_characters_from_a_file(tmp_path):
    path = tmp_path / "similar.txt"
    path.write_text("未 末朱\n己 已巳\n", "utf-8")
    tokenizer = train_vocabulary(["未末己已"], 200)
    replacements = make_replacements(tokenizer, tiny(similar=(path,)))
    start, end = replacements.similar[tokenizer.token_to_id("未")]
    found = replacements.candidates[start:end].tolist()
    assert found == [tokenizer.token_to_id("末")]  # 朱 is no piece


def test_a_piece_of_several_words_starts_one(tmp_path):
    path = tmp_path / "raw.txt"
    path.write_text("我在北京大学读书\n", "utf-8")
    tokenizer = unigram_of({**dict.fromkeys(SPECIAL, 0), **dict.fromkeys("我在北京大学读书", 1)})
    words = unigram_of({**dict.fromkeys(SPECIAL, 0), "我在": 9, "北京": 9, "大学": 9, "读书": 9})
    characters = prepare(path, tokenizer, tiny(held_out=0.0), tmp_path).train
    assert characters.starts.tolist() == [True, True, True, *[False] * 3, True, False]
    assert prepare(path, words, tiny(held_out=0.0), tmp_path).train.starts.tolist() == [
        True,  # 我在, two words for jieba
        True,  # 北京, of the word 北京大学
        False,
        True,
    ]
