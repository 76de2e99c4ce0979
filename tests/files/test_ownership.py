"""Outputs: whose they are, and where they may be."""

import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import outputs as files
from spacy_bert_zh.files import renaming
from tests.files.making import make, only, tree


def make_file(output: Path, command: str = "score", text: str = "1") -> None:
    with files.owned(output, command, folder=False) as part:
        part.write_text(text)


@pytest.fixture(params=[True, False], ids=["exchange", "two steps"])
def exchanges(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(renaming, "exchange", lambda one, other: False)
    elif sys.platform != "linux":
        pytest.skip("only Linux exchanges paths")


# Ownership


def test_a_folder_is_made_again_and_nothing_else_is_left(tmp_path: Path, exchanges: None) -> None:
    make(tmp_path / "out")
    first = tree(tmp_path)
    make(tmp_path / "out", text="2")
    assert (tmp_path / "out" / "config.cfg").read_text() == "2"
    make(tmp_path / "out")
    assert tree(tmp_path) == first  # to the byte, the record as well
    assert only(tmp_path) == ["out"]


@pytest.mark.parametrize(
    "where", ["thesis.txt", ".hidden", "inner/thesis.txt", "inner/none/deep", "new/", "a/b/c/d.txt"]
)
def test_what_the_user_put_into_an_output_is_kept(tmp_path: Path, where: str) -> None:
    make(tmp_path / "out")
    path = tmp_path / "out" / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if where.endswith("/") else path.write_text("mine")
    before = tree(tmp_path)
    with pytest.raises(BertZhError, match=f"holds {where}.*another output") as error:
        make(tmp_path / "out", text="2")
    assert "\n" not in str(error.value)
    assert tree(tmp_path) == before


def test_what_the_user_changed_in_an_output_is_kept(tmp_path: Path) -> None:
    make(tmp_path / "out")
    (tmp_path / "out" / "inner" / "model").write_text("mine")
    with pytest.raises(BertZhError, match=r"holds inner/model, .*changed since"):
        make(tmp_path / "out")
    assert (tmp_path / "out" / "inner" / "model").read_text() == "mine"


def test_links_that_the_user_put_into_an_output_are_kept(tmp_path: Path) -> None:
    make(tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    (tmp_path / "out" / "link").symlink_to(tmp_path / "mine")
    with pytest.raises(BertZhError, match=r"holds link"):
        make(tmp_path / "out")


def test_a_folder_that_we_did_not_make_is_kept(tmp_path: Path) -> None:
    for name in ("report.json", "config.cfg"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text("{}")
        with pytest.raises(BertZhError, match=f"holds {name}, and nothing says that 'export'"):
            make(folder)
        assert (folder / name).exists()


def test_what_another_command_made_is_kept(tmp_path: Path) -> None:
    make(tmp_path / "out", "convert")
    with pytest.raises(BertZhError, match="nothing says that 'export' made it"):
        make(tmp_path / "out", "export")
    make(tmp_path / "exports" / "onnx")
    with pytest.raises(BertZhError, match=r"holds onnx/"):
        make(tmp_path / "exports")


def test_a_folder_that_is_empty_or_lost_files_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    make(tmp_path / "out")
    (tmp_path / "out" / "config.cfg").unlink()
    (tmp_path / "out" / "inner" / "model").unlink()
    make(tmp_path / "out")
    assert (tmp_path / "out" / "config.cfg").exists()


def test_droppings_of_systems_do_not_count_but_what_hides_among_them_does(tmp_path: Path) -> None:
    make(tmp_path / "out")
    for name in (".DS_Store", "inner/Thumbs.db", "inner/none/desktop.ini", "__pycache__/a.pyc"):
        (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "out" / name).write_text("x")
    make(tmp_path / "out")
    assert not (tmp_path / "out" / ".DS_Store").exists()
    (tmp_path / "out" / "__pycache__").mkdir()
    (tmp_path / "out" / "__pycache__" / "thesis.txt").write_text("mine")
    with pytest.raises(BertZhError, match=r"holds __pycache__/thesis.txt"):
        make(tmp_path / "out")


@pytest.mark.parametrize(
    "record", ["", "{", "[]", '{"folder": 1}', '{"files": {"a": 1}}', "[" * 9999]
)
def test_a_broken_record_claims_nothing(tmp_path: Path, record: str) -> None:
    make(tmp_path / "out")
    (tmp_path / "out" / files.RECORD).write_text(record)
    with pytest.raises(BertZhError, match="nothing says"):
        make(tmp_path / "out")


NAMES = st.sampled_from(["a", "b", "config.cfg", "inner", "模型", ".x", "__pycache__", "t.pyc"])


@given(st.lists(st.lists(NAMES, min_size=1, max_size=4), max_size=4))
@example([["a", "__pycache__", "t.pyc"]])
@example([["inner", "__pycache__", "t.pyc"]])
@example([["__pycache__", "__pycache__", "t.pyc"]])
def test_no_file_of_the_user_is_ever_lost(
    tmp_path_factory: pytest.TempPathFactory, paths: list[list[str]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    make(folder / "out")
    made = {folder / "out", *(path for path in (folder / "out").rglob("*") if path.is_dir())}
    mine = {}
    for number, path in enumerate(paths):
        file = folder.joinpath("out", *path)
        if any(part.is_file() for part in (file, *file.parents)) or file.exists():
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        mine[file] = str(number)
        file.write_text(mine[file])
    # Python's byte code beside what we made may go; that in a folder of the user's is the user's.
    caches = {own / "__pycache__" for own in made}
    cache = {file for file in mine if file.parent in caches and file.suffix == ".pyc"}
    try:
        make(folder / "out", text="2")
    except BertZhError:
        assert mine.keys() - cache
        assert (folder / "out" / "config.cfg").read_text() == "1"
        assert {file: file.read_text() for file in mine} == mine
    else:
        assert not mine.keys() - cache


# Single files


def test_a_file_is_made_again_beside_other_files(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    for text in ("1", "2"):
        make_file(tmp_path / "scores.jsonl", text=text)
        make_file(tmp_path / "report.html", "evaluate", text)
        assert (tmp_path / "scores.jsonl").read_text() == text
    assert only(tmp_path) == [files.RECORD, "report.html", "scores.jsonl", "thesis.txt"]


def test_a_file_that_is_the_users_is_kept(tmp_path: Path) -> None:
    (tmp_path / "labels.jsonl").write_text("mine")
    with pytest.raises(BertZhError, match=r"is not from 'score'.*Name another output"):
        make_file(tmp_path / "labels.jsonl")
    make_file(tmp_path / "scores.jsonl")
    (tmp_path / "scores.jsonl").write_text("mine")
    with pytest.raises(BertZhError, match="changed since"):
        make_file(tmp_path / "scores.jsonl")
    make_file(tmp_path / "report.html", "evaluate")
    with pytest.raises(BertZhError, match=r"is not from 'score'"):
        make_file(tmp_path / "report.html", "score")
    assert only(tmp_path) == [files.RECORD, "labels.jsonl", "report.html", "scores.jsonl"]


def test_a_record_forgets_files_that_are_gone(tmp_path: Path) -> None:
    make_file(tmp_path / "a")
    make_file(tmp_path / "b")
    (tmp_path / "a").unlink()
    make_file(tmp_path / "b")
    alone = (tmp_path / files.RECORD).read_text()
    assert '"b"' in alone
    assert '"a"' not in alone


@pytest.mark.parametrize("step", range(3))
def test_a_file_is_ours_whenever_the_process_dies(
    tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_file(tmp_path / "scores.jsonl", text="1")
    calls = iter(range(9))
    real = files.replace

    def dying(source: Path, target: Path) -> None:
        if next(calls) == step:
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(files, "replace", dying)
    with pytest.raises(KeyboardInterrupt):
        make_file(tmp_path / "scores.jsonl", text="2")
    monkeypatch.undo()
    make_file(tmp_path / "scores.jsonl", text="2")
    undisturbed = tmp_path / "other"
    undisturbed.mkdir()
    make_file(undisturbed / "scores.jsonl", text="2")
    assert tree(undisturbed) == {k: v for k, v in tree(tmp_path).items() if "other" not in k}


# Places


def test_an_output_is_no_input_nor_inside_or_above_one(tmp_path: Path) -> None:
    make(tmp_path / "pipeline")
    before = tree(tmp_path)
    for output, said in [
        (tmp_path / "pipeline", "input and output at once"),
        (tmp_path, "inside the output"),
        (tmp_path / "pipeline" / "inner" / "out", "inside the input"),
    ]:
        with pytest.raises(BertZhError, match=said):
            make(output, inputs=[tmp_path / "pipeline", "an_installed_package"])
    (tmp_path / "link").symlink_to("pipeline")
    with pytest.raises(BertZhError, match="at once"):
        make(tmp_path / "link", inputs=[tmp_path / "pipeline"])
    (tmp_path / "link").unlink()
    assert tree(tmp_path) == before


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "out")
    for _ in range(2):
        make(tmp_path / "out")
        assert (tmp_path / "out").is_symlink()
        assert (tmp_path / "disk" / "out" / "config.cfg").exists()
        assert only(tmp_path / "disk") == ["out"]
    (tmp_path / "disk" / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(BertZhError, match="thesis"):
        make(tmp_path / "out")


def test_a_file_is_no_folder_and_a_folder_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BertZhError, match="is a file: name a folder"):
        make(tmp_path / "file")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BertZhError, match="is a folder: name a file"):
        make_file(tmp_path / "folder")
    with pytest.raises(BertZhError, match="no ordinary file"):
        make_file(Path("/dev/null"))
    with pytest.raises(OSError, match="file"):
        make(tmp_path / "file" / "below")


def test_the_current_folder_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for output in (Path("."), Path("..")):
        with pytest.raises(BertZhError, match="where you are"):
            make(output)
    with pytest.raises(BertZhError, match="mounted disk"):
        make(Path("/proc"))


@pytest.mark.parametrize("name", ["长" * 80, "x" * 250])
def test_names_as_long_as_the_system_allows(tmp_path: Path, name: str) -> None:
    for _ in range(2):
        make(tmp_path / name)
    assert only(tmp_path) == [name]
    with pytest.raises(OSError, match="too long"):
        make(tmp_path / (name + "x" * 20))
    assert only(tmp_path) == [name]
