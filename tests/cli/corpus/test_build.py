"""corpus build as a user calls it, on a real dump where there is one."""

import json
from pathlib import Path

import pytest

from animelm.cli.configs import find_configs

ISLANDS = """
インドネシア スリランカ バーレーン ニュージーランド ジャマイカ キプロス 東ティモール
ミクロネシア連邦 セントクリストファー・ネイビス マルタ モーリシャス トンガ カーボベルデ
サントメ・プリンシペ パプアニューギニア ソロモン諸島 マダガスカル ドミニカ共和国
アンティグア・バーブーダ バハマ セントビンセント・グレナディーン キリバス サモア ハイチ
ドミニカ国 グレナダ セントルシア ナウル バヌアツ マーシャル諸島 クック諸島 フィリピン イギリス
パラオ 日本 シンガポール
"""


@pytest.fixture(scope="module")
def countries(shared_data: Path) -> Path:
    return shared_data / "dumps" / "jawiki-countries.xml.bz2"


@pytest.fixture(scope="module")
def islands(call, countries: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("islands") / "corpus"
    options = ["--category", "島国", "--out", out, "--workers=1"]
    called = call("corpus", "build", "--dump", countries, *options)
    assert called.status == 0, called.err
    assert f"characters): {out / 'articles'}" in called.out
    return out


def test_a_category_gives_the_right_pages(islands: Path):
    lines = (islands / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["title"] for line in lines] == ISLANDS.split()
    assert (islands / "left_out.jsonl").read_text() == ""


def test_from_a_dump_to_training_without_a_step_between(call, small, islands: Path, tmp_path: Path):
    folder = tmp_path / "run"
    own = [f"--data.folder={islands / 'articles'}", "--data.general_folders=null"]
    called = call("fit", "--config=cpt.yaml", *small(folder, 3), *own)
    assert called.status == 0, called.err
    assert (folder / "adapter" / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("日本", "日本: selected\n  category 島国"),
        ("ドイツ", "ドイツ: not selected\n  none of its categories is 島国"),
        ("無い国", "無い国: not selected: no page of the dump has this title"),
    ],
)
def test_explain_says_why_and_builds_nothing(
    call, countries: Path, title: str, expected: str, tmp_path: Path
):
    options = ["--category", "島国", "--out", tmp_path / "out", "--explain", title]
    called = call("corpus", "build", "--dump", countries, *options)
    assert called.status == 0, called.err
    assert called.out.startswith(expected)
    assert not (tmp_path / "out").exists()


def test_the_language_asked_for_is_that_of_the_dump(call, shared_data: Path, tmp_path: Path):
    dump = shared_data / "dumps" / "enwiki-pages-articles-shortened.xml.bz2"
    options = ["--title-pattern=^An", "--out", tmp_path / "out", "--workers=1"]
    called = call("corpus", "build", "--dump", dump, *options)
    assert called.status == 0, called.err
    record = json.loads((tmp_path / "out" / "build.json").read_text())
    assert record["cleaning"]["language"] == "en"
    assert record["counts"]["kept"] > 5


def test_questions_of_an_evaluation_are_looked_for(call, countries: Path, tmp_path: Path):
    questions = tmp_path / "questions.jsonl"
    pair = {"question": "太平洋にあるパラオ共和国", "answer": "はい"}
    questions.write_text(json.dumps(pair, ensure_ascii=False) + "\n", encoding="utf-8")
    options = ["--title_pattern=^パラオ$", f"--cleaning.questions=[{questions}]", "--workers=1"]
    called = call("corpus", "build", "--dump", countries, "--out", tmp_path / "out", *options)
    assert called.status == 0, called.err
    assert (tmp_path / "out" / "contaminated.jsonl").is_file()


def test_help_teaches(call):
    overview = call("corpus", "--help")
    assert overview.status == 0 and "build" in overview.out
    called = call("corpus", "build", "--help")
    assert called.status == 0
    for text in ("examples:", "--category アニメ --depth 4", "--explain", "--cleaning.minimum"):
        assert text in called.out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["corpus", "unknown"], "no corpus 'unknown'; expected one of build"),
        (["corpus", "build"], "dump"),
        (["corpus", "build", "--dump=nowhere.xml"], "--dump nowhere.xml: no such file"),
        (["corpus", "build", "--dump=x", "--title-pattern=("], "not a regular expression"),
        (["corpus", "build", "--dump=x", "--workers=0"], "--workers must be at least 1"),
        (["corpus", "build", "--dump=x", "--nope"], "nope"),
        (["corpus", "build", "--dump=x", "--match=some"], "--match"),
    ],
)
def test_a_mistake_is_reported_in_one_message(call, options: list[str], expected: str):
    called = call(*options)
    assert called.status == 2
    assert called.err.startswith("error: ") and expected in called.err
    assert "Traceback" not in called.err


@pytest.mark.parametrize("name", ["anime", "gintama"])
def test_a_shipped_config_is_understood(call, name: str, countries: Path):
    config = f"--config=corpus/{name}.yaml"
    assert find_configs([config])[0].endswith(f"{name}.yaml")
    called = call("corpus", "build", config, f"--dump={countries}", "--explain=日本")
    assert called.status == 0, called.err
    assert called.out.startswith("日本: not selected")
