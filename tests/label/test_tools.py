"""Other tools' files: what goes out comes in again, and is what the tools and `convert` read."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.label import Options, label
from spacy_bert_zh.label.options import TOOLS
from spacy_bert_zh.label.pool import Labels
from spacy_bert_zh.label.store import Answer
from spacy_bert_zh.label.tools import read_answers, write_answers
from spacy_bert_zh.reading import Options as ReadOptions
from spacy_bert_zh.reading import Row, Source, get_format
from tests.label.labelling import read_rows, write_pool

ONE, SEVERAL = Labels(("体育", "财经"), True), Labels(("体育", "财经"), False)
TIME = "2026-01-02T03:04:05+00:00"
# U+FFFD in a file stands for bytes that were broken, by which encodings are told apart.
TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd"), min_size=1, max_size=9
)


def answers_with(labels: Labels) -> Any:
    sets = st.sets(st.sampled_from(labels.names), max_size=len(labels.names))
    given_labels = st.sampled_from(labels.names).map(lambda name: (name,))
    if not labels.exclusive:
        given_labels = sets.map(lambda names: tuple(sorted(names, key=labels.names.index)))
    names = TEXT.filter(str.strip)
    one = st.builds(Answer, TEXT, names, st.none() | given_labels, st.just(TIME))
    return st.lists(one, max_size=5, unique_by=lambda answer: (answer.text, answer.annotator))


@pytest.mark.parametrize("labels", [ONE, SEVERAL], ids=["one", "several"])
@pytest.mark.parametrize("tool", TOOLS)
@given(data=st.data())
def test_what_goes_out_comes_in_again(
    tool: str, labels: Labels, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    answers = data.draw(answers_with(labels))
    name, content = write_answers(tool, answers, labels)
    path = tmp_path_factory.mktemp("tools") / name
    path.write_text(content, "utf-8")
    kept = [one for one in answers if tool != "doccano" or one.labels is not None]
    found = [answer for _, answer in read_answers(path)]

    def key(answer: Answer) -> Any:
        return (answer.text, answer.annotator, sorted(answer.labels or ()), answer.labels is None)

    assert sorted(map(key, found)) == sorted(map(key, kept))
    assert {answer.time for answer in found} <= {TIME}


@pytest.mark.parametrize("tool", TOOLS)
def test_convert_reads_what_is_written_for_a_tool(tool: str, tmp_path: Path) -> None:
    answers = [Answer("亚冠抽签", "甲", ("体育",), TIME), Answer("央行降息", "甲", ("财经",), TIME)]
    name, content = write_answers(tool, answers, ONE)
    path = tmp_path / name
    path.write_text(content, "utf-8")
    form = "json" if path.suffix == ".json" else "jsonl"
    rows = list(get_format(form).read(Source(path, path, None, lambda n: None), ReadOptions(form)))
    assert all(isinstance(row, Row) for row in rows), rows
    found = {row.text: row.labels for row in rows if isinstance(row, Row)}
    assert found == {"亚冠抽签": ("体育",), "央行降息": ("财经",)}


# As the tools' own exports look, and who has said what in them.
EXPORTS: dict[str, tuple[str, list[Answer]]] = {
    "小王.jsonl": (
        '{"id": 1, "text": "一", "label": ["体育"], "Comments": []}\n',
        [Answer("一", "小王", ("体育",), "")],
    ),
    "tasks.json": (
        json.dumps(
            [
                {
                    "id": 1,
                    "data": {"text": "一"},
                    "annotations": [
                        {
                            "completed_by": 10,
                            "was_cancelled": False,
                            "created_at": "2021-03-09T22:16:08.728353Z",
                            "result": [
                                {
                                    "from_name": "sentiment",
                                    "to_name": "text",
                                    "type": "choices",
                                    "value": {"choices": ["财经"]},
                                }
                            ],
                        },
                        {"completed_by": 11, "was_cancelled": True, "result": []},
                    ],
                    "predictions": [],
                }
            ]
        ),
        [Answer("一", "10", ("财经",), ""), Answer("一", "11", None, "")],
    ),
    "records.json": (
        json.dumps(
            [
                {
                    "id": "a",
                    "fields": {"text": "一"},
                    "metadata": {},
                    "suggestions": {},
                    "responses": {"topic": [{"value": "体育", "user_id": "u-1"}]},
                    "vectors": {},
                    "_server_id": None,
                }
            ]
        ),
        [Answer("一", "u-1", ("体育",), "")],
    ),
    "prodigy.jsonl": (
        '{"text": "一", "accept": ["体育"], "answer": "accept", "_annotator_id": "news-anna"}\n'
        '{"text": "二", "accept": [], "answer": "ignore", "_annotator_id": "news-anna"}\n'
        '{"text": "三", "label": "财经", "answer": "reject"}\n',
        [Answer("一", "news-anna", ("体育",), ""), Answer("二", "news-anna", None, "")],
    ),
}


@pytest.mark.parametrize("name", EXPORTS)
def test_exports_of_the_tools_are_read(name: str, tmp_path: Path) -> None:
    content, expected = EXPORTS[name]
    (tmp_path / name).write_text(content, "utf-8")
    found = [answer for _, answer in read_answers(tmp_path / name)]
    assert [(a.text, a.annotator, a.labels) for a in found] == [
        (a.text, a.annotator, a.labels) for a in expected
    ]


def test_the_command_takes_in_and_gives_out(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool.jsonl", ["一", "二", "三"])
    content, _ = EXPORTS["prodigy.jsonl"]
    (tmp_path / "prodigy.jsonl").write_text(content, "utf-8")
    names = {"labels": "体育,财经"}
    given = Options(answers=tmp_path / "prodigy.jsonl", **names)
    assert label(pool, tmp_path / "out", given).taken == {"taken in": 2}
    assert label(pool, tmp_path / "out", given).taken == {
        "to texts that have an answer, left out": 2
    }
    made = label(pool, tmp_path / "out", Options(export="prodigy", **names))
    assert made.exported == tmp_path / "out" / "prodigy.jsonl" and made.agreed == 1
    assert [row["answer"] for row in read_rows(made.exported)] == ["accept", "ignore"]


@pytest.mark.parametrize(
    "content",
    ["[1]", '{"text": "一"', '{"label": "体育"}', '{"text": "一", "label": {"start": 1}}'],
)
def test_what_is_no_answer_is_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.jsonl").write_text(content, "utf-8")
    with pytest.raises(BertZhError, match=r"wrong\.jsonl, line 1") as caught:
        list(read_answers(tmp_path / "wrong.jsonl"))
    assert "\n" not in str(caught.value)
