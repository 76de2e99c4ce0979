"""What annotation tools and pandas export, in the shapes that they document."""

import json
from pathlib import Path
from typing import Any

import pytest

from spacy_bert_zh.convert import Options
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading.formats import get_format
from spacy_bert_zh.reading.rows import Reject, Row
from spacy_bert_zh.reading.source import Source


def read(path: Path, content: Any, lines: bool = False, **options: Any) -> list[Row | Reject]:
    file = path / "export.json"
    if lines:
        text = "\n".join(json.dumps(item, ensure_ascii=False) for item in content)
    else:
        text = content if isinstance(content, str) else json.dumps(content, indent=1)
    file.write_text(text, "utf-8")
    chosen = Options("json", **options)
    return list(get_format("json").read(Source(file, file), chosen))


def labels(items: list[Row | Reject]) -> dict[str, tuple[str, ...] | None]:
    return {item.text: item.labels for item in items if isinstance(item, Row)}


def reasons(items: list[Row | Reject]) -> dict[str, str]:
    rejected = (item for item in items if isinstance(item, Reject))
    return {item.text: f"{item.reason} {item.detail}".strip() for item in rejected}


# Label Studio


def annotation(*choices: str, control: str = "sentiment", **more: Any) -> dict[str, Any]:
    result = {
        **{"id": "Dx_aB", "from_name": control, "to_name": "text", "type": "choices"},
        **{"origin": "manual", "value": {"choices": list(choices)}},
    }
    results = [result] if choices else []
    return {"id": 1, "completed_by": 1, "was_cancelled": False, "result": results, **more}


def task(text: str, *annotations: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": 1, "data": {"text": text}, "annotations": list(annotations), **more}


def test_label_studio(tmp_path: Path) -> None:
    guess = {"result": annotation("好")["result"], "score": 0.9}
    tasks = [
        task("没人看过", predictions=[guess]),
        task("一", annotation("好")),
        task("二", annotation("好", "快")),
        task("同意", annotation("坏"), annotation("坏")),
        task("两说", annotation("好"), annotation("坏")),
        task("审过", annotation("好"), annotation("坏", ground_truth=True)),
        task("跳过", annotation(was_cancelled=True)),
        task("有人跳过", annotation("好", was_cancelled=True), annotation("坏")),
        task("没选", annotation()),
        {"id": 9, "data": {"text": "旧版"}, "completions": [annotation("好")]},
    ]
    for lines in (False, True):
        items = read(tmp_path, tasks, lines)
        assert labels(items) == {
            **{"一": ("好",), "二": ("好", "快"), "同意": ("坏",), "审过": ("坏",)},
            **{"有人跳过": ("坏",), "旧版": ("好",)},
        }
        assert reasons(items) == {
            "没人看过": "not annotated (but predicted)",
            "两说": 'annotators disagree ([["好"], ["坏"]])',
            "跳过": "refused by the annotator (skipped)",
            "没选": "not annotated",
        }
        assert len(labels(read(tmp_path, tasks, lines, unlabelled=True))) == 10


def test_label_studio_with_the_work_still_to_do_first(tmp_path: Path) -> None:
    tasks = [task(f"第{n}条") for n in range(250)]
    items = read(tmp_path, [*tasks, task("一", annotation("好"))])
    assert labels(items) == {"一": ("好",)}
    assert {item.reason for item in items if isinstance(item, Reject)} == {"not annotated"}
    assert len(labels(read(tmp_path, tasks, unlabelled=True))) == 250


def test_label_studio_with_two_controls(tmp_path: Path) -> None:
    both = annotation("好")
    both["result"] += annotation("食品", control="topic")["result"]
    tasks = [task("一", both), task("二", annotation("坏"))]
    with pytest.raises(
        BertZhError, match=r"2 columns .* label: 'sentiment', 'topic'; .*--label-col"
    ):
        read(tmp_path, tasks)
    items = read(tmp_path, tasks, label_column="topic")
    assert labels(items) == {"一": ("食品",)} and reasons(items) == {"二": "no label"}


def test_label_studio_min_and_csv(tmp_path: Path) -> None:
    more = {"annotator": 1, "annotation_id": 1, "lead_time": 3.1, "created_at": "2024"}
    rows = [
        {"text": "一", "id": 1, "sentiment": "好", **more},
        {"text": "二", "id": 2, "sentiment": {"choices": ["坏", "慢"]}, **more},
    ]
    assert labels(read(tmp_path, rows)) == {"一": ("好",), "二": ("坏", "慢")}
    file = tmp_path / "export.csv"
    cell = '"{""choices"": [""坏"", ""慢""]}"'
    file.write_text(f"id,sentiment,text,annotator\n1,好,一,1\n2,{cell},二,1\n", "utf-8")
    items = list(get_format("csv").read(Source(file, file), Options("csv")))
    assert labels(items) == {"一": ("好",), "二": ("坏", "慢")}


# Prodigy


def test_prodigy_binary(tmp_path: Path) -> None:
    hashes = {"_input_hash": 1, "_task_hash": 2, "_view_id": "classification"}
    tasks = [
        {"text": "一", "label": "好", "answer": "reject", **hashes},
        {"text": "二", "label": "好", "answer": "accept", **hashes},
        {"text": "三", "label": "好", "answer": "ignore", **hashes},
        {"text": "四", "label": "坏"},
    ]
    items = read(tmp_path, tasks, lines=True)
    assert labels(items) == {"二": ("好",), "四": ("坏",)}
    assert reasons(items) == {
        "一": "refused by the annotator (answer: reject)",
        "三": "refused by the annotator (answer: ignore)",
    }


def test_prodigy_choice(tmp_path: Path) -> None:
    options = [{"id": name, "text": name} for name in ("好", "坏")]
    tasks = [
        {"text": "一", "options": options, "accept": ["好"], "answer": "accept"},
        {"text": "二", "options": options, "accept": ["好", "坏"], "answer": "accept"},
        {"text": "三", "options": options, "accept": ["好"], "answer": "reject"},
        {"text": "四", "options": options, "accept": [], "answer": "accept"},
    ]
    items = read(tmp_path, tasks, lines=True)
    assert labels(items) == {"一": ("好",), "二": ("坏", "好"), "四": ()}
    assert list(reasons(items)) == ["三"]


def test_a_column_named_answer_may_be_the_label(tmp_path: Path) -> None:
    rows = [{"text": "一", "answer": "accept"}, {"text": "二", "answer": "reject", "label": 1}]
    items = read(tmp_path, rows, lines=True, label_column="answer")
    assert labels(items) == {"一": ("accept",), "二": ("reject",)}


# Argilla


def test_argilla_nested(tmp_path: Path) -> None:
    def record(text: str, *answers: dict[str, Any], **more: Any) -> dict[str, Any]:
        responses = {"label": list(answers)} if answers else {}
        return {"id": "1", "fields": {"text": text}, "responses": responses, "metadata": {}, **more}

    submitted = {"value": "好", "user_id": "a", "status": "submitted"}
    records = [
        record("一", submitted),
        record("二", {"value": ["好", "快"], "user_id": "a"}),
        record("草稿", {**submitted, "status": "draft"}),
        record("两说", submitted, {**submitted, "value": "坏"}),
        record("没人", suggestions={"label": {"value": "好", "score": 0.9}}),
        record("弃", status="discarded"),
    ]
    items = read(tmp_path, records)
    assert labels(items) == {"一": ("好",), "二": ("好", "快")}
    assert reasons(items) == {
        "草稿": "not annotated (not submitted)",
        "两说": 'annotators disagree (["好", "坏"])',
        "没人": "not annotated (but suggested)",
        "弃": "refused by the annotator (discarded)",
    }


def test_argilla_flattened(tmp_path: Path) -> None:
    def record(text: str, values: Any, status: Any, **more: Any) -> dict[str, Any]:
        names = {"label.responses": values, "label.responses.status": status}
        users = {"label.responses.users": ["a"] * len(values or [])}
        return {"id": "1", "text": text, "label.suggestion": "好", **names, **users, **more}

    records = [
        record("没人", None, None),
        record("一", ["好"], ["submitted"]),
        record("二", [["坏", "慢"]], ["submitted"]),
        record("弃", ["坏"], ["discarded"]),
        record("两说", ["坏", "好"], ["submitted", "submitted"]),
    ]
    items = read(tmp_path, records)
    assert labels(items) == {"一": ("好",), "二": ("坏", "慢")}
    assert reasons(items) == {
        "没人": "not annotated (but suggested)",
        "弃": "not annotated (not submitted)",
        "两说": 'annotators disagree (["坏", "好"])',
    }


def test_argilla_feedback(tmp_path: Path) -> None:
    answer = {"user_id": "a", "value": "好", "status": "submitted"}
    records = [
        {"text": "一", "label": [answer], "label-suggestion": None},
        {"text": "二", "label": {k: [v] for k, v in answer.items()}, "label-suggestion": "坏"},
        {"text": "三", "label": [], "label-suggestion": "坏"},
    ]
    items = read(tmp_path, records, lines=True)
    assert labels(items) == {"一": ("好",), "二": ("好",)}
    assert reasons(items) == {"三": "not annotated (but suggested)"}


def test_argilla_1(tmp_path: Path) -> None:
    def record(text: str, annotation: Any, status: str) -> dict[str, Any]:
        guess = [{"label": "坏", "score": 0.8}]
        more = {"prediction": guess, "prediction_agent": "m", "multi_label": False}
        return {"text": text, "annotation": annotation, "status": status, **more}

    records = [
        record("没人", None, "Default"),
        record("一", "好", "Validated"),
        record("二", ["好", "快"], "Validated"),
        record("弃", "好", "Discarded"),
    ]
    items = read(tmp_path, records, lines=True)
    assert labels(items) == {"一": ("好",), "二": ("好", "快")}
    assert reasons(items) == {
        "没人": "not annotated (but suggested)",
        "弃": "refused by the annotator (discarded)",
    }


# doccano and spaCy


def test_doccano(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "text": "一", "label": ["好"], "Comments": []},
        {"id": 2, "text": "二", "label": ["好", "快"], "Comments": ["可疑"]},
        {"id": 3, "text": "三", "label": [], "Comments": []},
        {"id": 4, "text": "四", "label": [[0, 1, "LOC"]], "Comments": []},
    ]
    items = read(tmp_path, rows, lines=True)
    assert labels(items) == {"一": ("好",), "二": ("好", "快"), "三": ()}
    assert reasons(items)["四"].startswith("label that can't be read in label a list in a list")
    intent = [{"id": 1, "text": "一", "cats": ["问路"], "entities": []}]
    assert labels(read(tmp_path, intent)) == {"一": ("问路",)}
    older = [{"id": 1, "data": "一", "label": ["好"]}]
    assert labels(read(tmp_path, older)) == {"一": ("好",)}


def test_cats_of_spacy(tmp_path: Path) -> None:
    rows = [
        {"text": "一", "cats": {"好": 1.0, "坏": 0.0}},
        {"text": "二", "cats": {"好": True, "坏": True}},
        {"text": "三", "cats": {"好": 0.6, "坏": 0.4}},
    ]
    items = read(tmp_path, rows, lines=True)
    assert labels(items) == {"一": ("好",), "二": ("坏", "好")}
    assert "neither 0 nor 1" in reasons(items)["三"]


# tables in one object

TEXTS, CODES = ["一", "二", "三"], [0, 1, 0]
PAIRS = list(zip(TEXTS, CODES, strict=True))


@pytest.mark.parametrize("orient", ["records", "split", "index", "columns", "table"])
@pytest.mark.parametrize("names", [("text", "label"), ("评论内容", "类别")])
def test_orients_of_pandas(tmp_path: Path, orient: str, names: tuple[str, str]) -> None:
    import pandas

    frame = pandas.DataFrame(dict(zip(names, (TEXTS, CODES), strict=True)))
    items = read(tmp_path, frame.to_json(orient=orient))
    assert labels(items) == {"一": ("0",), "二": ("1",), "三": ("0",)}
    assert [item.line for item in items][-1] == (3 if orient != "records" else items[-1].line)


@pytest.mark.parametrize(
    "content",
    [
        {"text": TEXTS, "label": CODES},
        {"version": "1", "data": [{"text": t, "label": c} for t, c in PAIRS]},
        {"examples": [{"text": t, "intent": c} for t, c in PAIRS]},
    ],
)
def test_other_tables_in_one_object(tmp_path: Path, content: Any) -> None:
    assert labels(read(tmp_path, content)) == {"一": ("0",), "二": ("1",), "三": ("0",)}


def test_an_object_with_lists_is_a_row_of_its_own(tmp_path: Path) -> None:
    rows = [{"text": "一", "label": ["好"], "spans": [{"start": 0}]}] * 2
    assert labels(read(tmp_path, rows)) == {"一": ("好",)}


def test_the_first_record_need_not_have_all_columns(tmp_path: Path) -> None:
    rows = [{"text": "一"}, {"label": "好", "text": "二"}]
    items = read(tmp_path, rows, lines=True)
    assert labels(items) == {"二": ("好",)}
    assert reasons(items) == {"一": "no label in label"}


@pytest.mark.parametrize("format", ["csv", "parquet", "xlsx"])
def test_refused_answers_of_prodigy_in_a_table(tmp_path: Path, format: str) -> None:
    import openpyxl
    import pyarrow
    from pyarrow import parquet

    file, header = tmp_path / f"answers.{format}", ["text", "label", "answer"]
    rows = [["一", "好", "accept"], ["二", "好", "reject"], ["三", "坏", "ignore"]]
    if format == "csv":
        file.write_text("\n".join(map(",".join, [header, *rows])), "utf-8")
    elif format == "parquet":
        columns = dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))
        parquet.write_table(pyarrow.table(columns), file)
    else:
        book = openpyxl.Workbook()
        for row in [header, *rows]:
            book.active.append(row)
        book.save(file)
    items = list(get_format(format).read(Source(file, file), Options(format)))
    assert labels(items) == {"一": ("好",)}
    assert reasons(items) == {
        "二": "refused by the annotator (answer: reject)",
        "三": "refused by the annotator (answer: ignore)",
    }
    every = list(get_format(format).read(Source(file, file), Options(format, unlabelled=True)))
    assert [item.text for item in every if isinstance(item, Row)] == ["一", "二", "三"]
