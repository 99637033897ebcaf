import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path

import pytest
import torch
from jsonargparse import ArgumentParser

from animelm.data.domain import DomainData
from animelm.data.held_out import DEFAULT_SPLIT, QUESTION_SETS, SplitSettings
from animelm.data.sources.qa import QARecord
from animelm.data.tokenization.tokenizer import load_tokenizer
from animelm.errors import UserError
from animelm.evaluate import compare as compare_module
from animelm.evaluate.compare import (
    CompareSettings,
    compare,
    require_trained_split,
    with_adapter,
)
from animelm.evaluate.comparison import model_run
from animelm.evaluate.comparison.files import FILES
from animelm.evaluate.generate import load_for_inference
from animelm.evaluate.results import read_results
from animelm.model.checkpoint.load import load_base
from animelm.model.lora.adapters import LoraSettings, add_adapter, save_adapter
from animelm.model.lora.targets import DEFAULT_TARGETS
from animelm.provenance.fingerprints import record_base, record_paths
from animelm.provenance.record import (
    BaseRecord,
    DataRecord,
    TrainingStep,
    read_record,
    write_record,
)

WORKS = 8


@pytest.fixture(scope="module")
def adapters(base: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three adapters that change the model, each in another way."""
    folders = {}
    for seed, name in enumerate(("cpt", "sft", "sft_only")):
        torch.manual_seed(seed)
        model = add_adapter(load_base(base, "nf4"), LoraSettings(rank=2, alpha=8))
        for path, parameter in model.named_parameters():
            if "lora_B" in path:
                torch.nn.init.normal_(parameter, std=0.5)
        folders[name] = tmp_path_factory.mktemp(name) / "adapter"
        save_adapter(model, folders[name])
    return folders


def _write_records(path: Path, make_record: Callable[..., QARecord], domain: str) -> None:
    directions = {"forward": "{0}の主人公は?{1}", "reverse": "主人公が{0}の作品は?{1}"}
    records = [
        make_record(
            id=f"{domain}{work}/{direction}/{wording}",
            work=f"{domain}{work}",
            fact=f"{domain}{work}/protagonist",
            direction=direction,
            wording=f"protagonist/{direction}/{wording}",
            domain=domain,
            question=question.format(f"{domain}{work}", wording),
        )
        for work in range(WORKS)
        for direction, question in directions.items()
        for wording in range(4)
    ]
    lines = (json.dumps(asdict(record), ensure_ascii=False) for record in records)
    path.write_text("\n".join(lines), encoding="utf-8")


def _write_articles(folder: Path, subject: str) -> Path:
    folder.mkdir()
    for number in range(6):
        title = f"{subject}{number}"
        text = f"---\ntitle: {title}\n---\n# {title}\n\n" + "主人公はエドワード。" * (
            1 + number % 3
        )
        (folder / f"{number}.md").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def settings(
    base: str, adapters: dict[str, Path], make_record: Callable[..., QARecord], tmp_path: Path
) -> CompareSettings:
    for domain in ("anime", "general"):
        _write_records(tmp_path / f"{domain}.jsonl", make_record, domain)
    return CompareSettings(
        base=base,
        records=tmp_path / "anime.jsonl",
        cpt_adapter=adapters["cpt"],
        sft_adapter=adapters["sft"],
        general_records=tmp_path / "general.jsonl",
        articles=_write_articles(tmp_path / "articles", "anime"),
        general_articles=_write_articles(tmp_path / "general", "general"),
        validation_share=0.34,
        block_size=64,
        max_new_tokens=6,
        cache=tmp_path / "cache",
        compute_type="float32",
        output=tmp_path / "out",
    )


def _asked(settings: CompareSettings) -> dict[str, list[QARecord]]:
    """The test part of each held-out set."""
    data = DomainData(settings.data_paths, load_tokenizer(settings.base), DEFAULT_SPLIT)
    return data.questions.test


def test_all_models_answer_the_same_questions_in_this_order(
    settings: CompareSettings, adapters: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []

    def counted(base: str, *rest):
        loads.append(base)
        return load_for_inference(base, *rest)

    monkeypatch.setattr(compare_module, "load_for_inference", counted)
    settings.seconds_before = 1000.0
    settings.held_out_subjects = 0.25
    settings.sft_only_adapter, settings.retrieval = adapters["sft_only"], True
    models = ["base", "cpt", "sft_only", "sft", "retrieval"]
    summary = compare(settings)
    assert len(loads) == 1
    assert list(summary.models) == models

    results = read_results(settings.output / "results.jsonl")
    asked = _asked(settings)
    assert set(asked) == set(QUESTION_SETS)
    for model in models:
        for name, records in asked.items():
            rows = [r.id for r in results if (r.model, r.held_out_set) == (model, name)]
            assert sorted(rows) == sorted(record.id for record in records)
            scores = summary.models[model].sets[name]
            assert (scores.n, scores.works) == (len(records), len({r.work for r in records}))
            assert set(scores.directions) == {"forward", "reverse"}
        measured = model != "retrieval"  # which has no article to retrieve for an article
        assert ((summary.models[model].perplexity_anime or 0) > 1) == measured
        assert ((summary.models[model].perplexity_general or 0) > 1) == measured
    assert summary.seconds > 1000
    assert summary.seeds == (0,)
    assert set(summary.differences) == {
        f"{later}-{earlier}" for earlier, later in combinations(models, 2)
    }
    trained = summary.trainable_parameters_per_target
    assert {name for label in trained for name in label.split("+")} == set(DEFAULT_TARGETS)
    assert all(trained.values())
    assert {path.name for path in settings.output.iterdir()} == set(FILES)

    outputs = {model: [r.output for r in results if r.model == model] for model in models}
    assert len(set(map(tuple, outputs.values()))) == len(models)


def test_nothing_is_asked_that_recipes_were_chosen_on(settings: CompareSettings) -> None:
    settings.cpt_adapter = settings.sft_adapter = None
    settings.held_out_subjects = 0.25
    compare(settings)
    split = DomainData(settings.data_paths, load_tokenizer(settings.base), DEFAULT_SPLIT).questions
    asked = {result.id for result in read_results(settings.output / "results.jsonl")}
    dev = {record.id for records in split.dev.values() for record in records}
    assert dev and asked and not asked & dev


def test_each_model_answers_as_it_does_alone(settings: CompareSettings) -> None:
    """No adapter leaves a trace in the model that is examined after it."""
    settings.questions_per_set = 3
    together = compare(settings).models["sft"]
    settings.cpt_adapter = None
    alone = compare(settings)
    assert list(alone.models) == ["base", "sft"]
    assert alone.models["sft"] == together


def test_an_adapter_is_taken_off_the_base_whole(base: str, adapters: dict[str, Path]) -> None:
    model = load_base(base, "nf4")
    names = [name for name, _ in model.named_parameters()]
    prompt = torch.arange(10)[None]
    with torch.inference_mode():
        before = model(input_ids=prompt).logits
        with with_adapter(model, adapters["cpt"]) as changed:
            assert not torch.allclose(changed(input_ids=prompt).logits, before)
        assert torch.equal(model(input_ids=prompt).logits, before)
    assert [name for name, _ in model.named_parameters()] == names


def test_without_adapters_the_base_alone_is_measured(settings: CompareSettings) -> None:
    settings.cpt_adapter = settings.sft_adapter = settings.general_records = None
    settings.articles = settings.general_articles = None
    summary = compare(settings)
    assert list(summary.models) == ["base"]
    assert summary.models["base"].sets["general_unrehearsed"].n == 0
    assert summary.models["base"].perplexity_anime is None
    assert summary.trainable_parameters_per_target == {}


def test_a_comparison_that_fails_leaves_no_summary(
    settings: CompareSettings, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    settings.sft_adapter = broken
    settings.questions_per_set = 1
    with pytest.raises(UserError, match=r"broken: no adapter_config\.json"):
        compare(settings)
    assert not {path.name for path in settings.output.iterdir()} & {*FILES, "summary.json"}


def test_an_output_that_cannot_be_written_is_reported_before_the_base_is_loaded(
    settings: CompareSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_module, "load_for_inference", pytest.fail)
    (tmp_path / "file").touch()
    settings.output = tmp_path / "file" / "out"
    with pytest.raises(UserError, match=r"--output .*file/out: cannot be made"):
        compare(settings)


def test_what_is_missing_is_reported_before_anything_is_answered(
    settings: CompareSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_run, "answer_questions", pytest.fail)
    settings.sft_adapter = tmp_path / "nowhere"
    with pytest.raises(UserError, match="nowhere"):
        compare(settings)
    settings.cpt_adapter = settings.sft_adapter = settings.general_records = None
    settings.held_out_wordings = settings.held_out_works = 0.0
    with pytest.raises(UserError, match="no question is held out"):
        compare(settings)


def test_a_tokenizer_that_the_base_has_no_rows_for_is_reported_before_the_base_is_loaded(
    settings: CompareSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_module, "load_for_inference", pytest.fail)
    folder = tmp_path / "base"
    shutil.copytree(settings.base, folder)
    config = json.loads((folder / "config.json").read_text()) | {"vocab_size": 99}
    (folder / "config.json").write_text(json.dumps(config))
    settings.base = str(folder)
    with pytest.raises(UserError, match="its embedding has 99 rows"):
        compare(settings)


@pytest.fixture
def recorded(
    settings: CompareSettings, adapters: dict[str, Path], tmp_path: Path
) -> CompareSettings:
    """Adapters of CPT and SFT with the record of a training on the data of the comparison."""
    for name in ("cpt", "sft"):
        folder = tmp_path / "runs" / name
        shutil.copytree(adapters[name], folder)
        setattr(settings, f"{name}_adapter", folder)
        _record(settings, folder, name)
    settings.validation_share = None
    return settings


TRAINED = replace(DEFAULT_SPLIT, seed=7, held_out_works=0.5, validation_share=0.34)


def _record(
    settings: CompareSettings,
    folder: Path,
    step: str,
    base: BaseRecord | None = None,
    split: SplitSettings = TRAINED,
) -> None:
    """Writes the record of a run of one step on the comparison's data."""
    base = base or record_base(settings.base)
    data = record_paths(settings.data_paths)
    earlier = "runs/cpt" if step == "sft" else None
    own = TrainingStep(step, "0.1.0", 1, base, data, split, init_adapter=earlier)
    write_record(folder, [own])


def test_the_split_is_the_one_that_the_adapters_were_trained_with(
    recorded: CompareSettings,
) -> None:
    assert require_trained_split(recorded) == TRAINED
    recorded.seed = 7  # what agrees may be given
    assert require_trained_split(recorded) == TRAINED


def test_an_adapter_without_a_record_is_compared_as_given_with_a_warning(
    settings: CompareSettings,
) -> None:
    settings.seed = 3
    expected = replace(DEFAULT_SPLIT, seed=3, validation_share=0.34)
    with pytest.warns(UserWarning, match=r"has no adapter_record\.json"):
        assert require_trained_split(settings) == expected


@pytest.mark.parametrize(
    ("setting", "trained", "expected"),
    [
        ("cpt_adapter", "sft", "cpt_adapter .*: its record says sft; expected one that was not"),
        ("sft_only_adapter", "sft", "sft_only_adapter .*fine-tuned from the base alone"),
        ("sft_adapter", "cpt", "sft_adapter .*: its record says cpt; .*began from another"),
    ],
)
def test_an_adapter_that_is_not_what_it_is_compared_as_is_refused(
    recorded: CompareSettings, setting: str, trained: str, expected: str
) -> None:
    setattr(recorded, setting, recorded.adapters[trained])
    with pytest.raises(UserError, match=expected):
        require_trained_split(recorded)


def test_where_nothing_was_rehearsed_no_subject_is_called_rehearsed(
    recorded: CompareSettings, tmp_path: Path
) -> None:
    without_replay = replace(TRAINED, held_out_subjects=None)
    for name in ("cpt", "sft"):
        _record(recorded, tmp_path / "runs" / name, name, split=without_replay)
    assert require_trained_split(recorded) == without_replay
    _record(recorded, tmp_path / "runs" / "sft", "sft")  # with replay
    assert require_trained_split(recorded) == TRAINED
    recorded.cpt_adapter = recorded.sft_adapter = None  # the base has rehearsed nothing
    assert require_trained_split(recorded) == replace(DEFAULT_SPLIT, held_out_subjects=None)


def _refused(settings: CompareSettings, monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    """Checks that a comparison is refused before the base is loaded."""
    monkeypatch.setattr(compare_module, "load_for_inference", pytest.fail)
    with pytest.raises(UserError, match=message):
        compare(settings)
    assert not settings.output.exists()


def test_an_adapter_of_another_base_is_refused_with_both_named(
    recorded: CompareSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = replace(record_base(recorded.base), name="another/base", weights_sha256="x" * 64)
    _record(recorded, tmp_path / "runs" / "sft", "sft", base=other)
    _refused(
        recorded,
        monkeypatch,
        rf"runs/sft was trained on the base another/base .*x{{12}}\), and {recorded.base} is",
    )


@pytest.mark.parametrize(
    ("file", "role"),
    [
        ("anime.jsonl", "questions"),
        ("general.jsonl", "general questions"),
        ("articles/0.md", "articles"),
        ("general/0.md", "general articles"),
    ],
)
def test_an_adapter_of_other_data_is_refused_with_both_named(
    recorded: CompareSettings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    file: str,
    role: str,
) -> None:
    changed = tmp_path / file
    text = changed.read_text(encoding="utf-8").replace("主人公", "主役")
    changed.write_text(text, encoding="utf-8")
    _refused(recorded, monkeypatch, rf"runs/cpt was trained on the {role} of .* (holds|are) others")


def test_an_adapter_that_another_step_trained_on_other_data_is_compared_with_a_warning(
    recorded: CompareSettings, tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "sft"
    [step] = read_record(folder)
    other = DataRecord("questions", "other.jsonl", "z" * 64)
    write_record(folder, [replace(step, data=(other,)), step])
    with pytest.warns(UserWarning, match=r"runs/sft was trained on the questions of other\.jsonl"):
        require_trained_split(recorded)


def test_another_split_is_refused_with_both_values(
    recorded: CompareSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded.held_out_works = 0.25
    _refused(recorded, monkeypatch, r"runs/cpt .* held_out_works=0\.5, .* held_out_works=0\.25")


def test_adapters_of_two_splits_are_refused_with_both_values(
    recorded: CompareSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _record(recorded, tmp_path / "runs" / "sft", "sft", split=replace(TRAINED, seed=8))
    _refused(recorded, monkeypatch, r"runs/cpt was trained with seed=7, .*runs/sft with seed=8")


def test_settings_are_built_from_yaml(tmp_path: Path) -> None:
    config = tmp_path / "compare.yaml"
    config.write_text(
        "base: some/base\nrecords: qa.jsonl\nsft_adapter: runs/sft/adapter\nquestions_per_set: 5\n",
        encoding="utf-8",
    )
    parser = ArgumentParser()
    parser.add_class_arguments(CompareSettings)
    parser.add_argument("--config", action="config")
    values = parser.parse_args(["--config", str(config), "--max_new_tokens=9"])
    del values["config"]
    settings = CompareSettings(**values.as_dict())
    assert settings.adapters == {"sft": Path("runs/sft/adapter")}
    assert (settings.questions_per_set, settings.max_new_tokens) == (5, 9)


class Killed(BaseException):
    """Stands for a signal: nothing in the comparison may catch it."""


def _standard_sets(folder: Path) -> dict[str, object]:
    """A question or two of each published set, in its published form."""
    jsquad = {
        "data": [
            {
                "title": "川",
                "paragraphs": [
                    {
                        "context": "川 [SEP] 川は山から海へ流れる。",
                        "qas": [
                            {
                                "id": f"j{n}",
                                "question": f"川はどこへ流れるか。{n}",
                                "answers": [{"text": "海", "answer_start": 9}],
                            }
                            for n in range(2)
                        ],
                    }
                ],
            }
        ]
    }
    hops = [{"qid": "h0", "question": "高いのはどちらか。", "answer": "山", "page_ids": ["1"]}]
    choice = {"q_id": 7, "question": "泳ぐのは?", "label": 1}
    choice |= {f"choice{i}": name for i, name in enumerate("山魚石雲木")}
    files = {
        "jsquad": ("jsquad.json", json.dumps(jsquad)),
        "niilc": (
            "niilc.xml",
            "<?xml version='1.0'?><questions><question id='n0'><text>何年に一度?</text>"
            "<answers><answer>4年</answer></answers></question></questions>",
        ),
        "jemhopqa": ("hops.json", json.dumps(hops)),
        "jcommonsenseqa": ("choices.jsonl", json.dumps(choice)),
    }
    sets: dict[str, object] = {}
    for name, (file, text) in files.items():
        (folder / file).write_text(text, encoding="utf-8")
        sets[name] = str(folder / file)
    return sets


def _local_sets(folder: Path) -> dict[str, object]:
    """Two questions of each published set beside the clone."""
    files = {
        "jsquad": "jsquad-v1.3-valid.json",
        "niilc": "niilc-ecqa2015-dev.xml",
        "jemhopqa": "jemhopqa-v1.2-train.json",
        "jcommonsenseqa": "jcommonsenseqa-v1.3-valid.jsonl",
    }
    return {
        name: {"file": str(folder / "qa" / file), "questions": 2} for name, file in files.items()
    }


def _several(
    settings: CompareSettings,
    adapters: dict[str, Path],
    folder: Path,
    published: dict[str, object] | None = None,
) -> CompareSettings:
    """Three models, one of two adapters, and five sets, four of them published ones."""
    models = {
        "base": None,
        "two seeds": [str(adapters["sft"]), str(adapters["sft_only"])],
        "plain weights": {"adapter": str(adapters["cpt"]), "quantization": "none"},
    }
    own = folder / "own.txt"
    own.write_text("質問: 魚は何をする?\n出力: 泳ぐ\n", encoding="utf-8")
    sets = {
        "own": {"file": str(own), "domain": "animals"},
        **(published or _standard_sets(folder)),
    }
    return replace(
        settings,
        cpt_adapter=None,
        sft_adapter=None,
        records=None,
        general_records=None,
        articles=None,
        general_articles=None,
        models=models,
        sets=sets,
        rivals=2,
        questions_per_batch=1,
    )


@pytest.mark.parametrize("published", ["made up", "beside the clone"])
def test_named_models_answer_named_sets_and_a_killed_comparison_asks_nothing_twice(
    settings: CompareSettings,
    adapters: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    published: str,
) -> None:
    local = published == "beside the clone"
    sets = _local_sets(request.getfixturevalue("shared_data")) if local else None
    questions = 1 + 2 * 4 if local else 6
    wanted = _several(settings, adapters, tmp_path, sets)
    asked: list[tuple[str, str]] = []

    def counted(kind: str, stop_after: int | None, real: Callable):
        def call(model, given, *rest):
            if kind == "answer":  # tokenizer, then batches
                asked.extend((kind, record.id) for record in rest[0][0].records)
            else:  # chat, then questions
                asked.extend((kind, question.prompt) for question in rest[0])
            if stop_after is not None and len(asked) > stop_after:
                raise Killed
            return real(model, given, *rest)

        return call

    answer, prefer = model_run.answer_questions, model_run.preferences

    def watch(stop_after: int | None) -> None:
        monkeypatch.setattr(model_run, "answer_questions", counted("answer", stop_after, answer))
        monkeypatch.setattr(model_run, "preferences", counted("choose", stop_after, prefer))

    watch(stop_after=9)
    with pytest.raises(Killed):
        compare(wanted)
    partial = wanted.output / "answers.partial.jsonl"
    finished = len(partial.read_text(encoding="utf-8").splitlines()) - 1
    with partial.open("a", encoding="utf-8") as file:
        file.write('{"model": "two se')  # a line that was being written
    first = asked[:-1]  # the last one was not answered
    asked.clear()
    watch(stop_after=None)
    summary = compare(wanted)
    # Of four adapters or none; each question once, the unanswered one again.
    assert finished > 5 and len(first) + len(asked) == 4 * questions
    assert not partial.exists()

    results = read_results(wanted.output / "results.jsonl")
    answers = [(r.model, r.run, r.held_out_set, r.id) for r in results]
    assert len(set(answers)) == len(answers) == 4 * questions
    assert list(summary.models) == ["base", "two seeds", "plain weights"]
    assert summary.models["two seeds"].sets["jsquad"].n == 4
    assert summary.models["two seeds"].sets["jsquad"].spread is not None
    for model in summary.models.values():
        chosen = model.sets["jcommonsenseqa"]
        assert chosen.key_probability is not None and chosen.n >= 1
        assert model.sets["own"].n >= 1
    again = compare(replace(wanted, output=tmp_path / "whole"))
    assert again.models == summary.models


def test_unfinished_answers_of_another_comparison_are_not_continued(
    settings: CompareSettings, adapters: dict[str, Path], tmp_path: Path
) -> None:
    wanted = _several(settings, adapters, tmp_path)
    wanted.output.mkdir()
    stale = wanted.output / "answers.partial.jsonl"
    stale.write_text('{"comparison": "other"}\n', encoding="utf-8")
    with pytest.raises(UserError, match="unfinished answers of a comparison with other models"):
        compare(wanted)
    assert stale.read_text(encoding="utf-8") == '{"comparison": "other"}\n'


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({"a": {"adaptor": "x"}}, r"models\.a: adaptor is not a setting; expected adapter"),
        ({"a": "nowhere"}, r"models\.a: nowhere: expected the folder of an adapter"),
        ({"a": {"quantization": "nf5"}}, r"models\.a\.quantization is 'nf5'; expected one of"),
        ({"a": []}, r"models\.a: expected a folder, or a list of folders"),
        ({"a/b": None}, "'a/b' is not a name"),
        ({}, "models: expected a mapping of names to adapters"),
    ],
)
def test_a_malformed_model_is_named(settings: CompareSettings, models: dict, message: str) -> None:
    settings.cpt_adapter = settings.sft_adapter = None
    settings.models = models
    with pytest.raises(UserError, match=message):
        compare(settings)


def test_models_and_roles_are_not_mixed(settings: CompareSettings) -> None:
    settings.models = {"base": None}
    with pytest.raises(UserError, match="leave out cpt_adapter"):
        compare(settings)


def test_a_question_that_was_trained_on_is_not_asked_in_another_set(
    settings: CompareSettings, tmp_path: Path
) -> None:
    settings.cpt_adapter = settings.sft_adapter = None
    settings.sets = {"mine": str(settings.records)}
    with pytest.warns(UserWarning, match=r"sets\.mine: \d+ of 64 questions were trained on"):
        compare(settings)
    split = DomainData(settings.data_paths, load_tokenizer(settings.base), DEFAULT_SPLIT).questions
    trained = {record.question for record in split.train}
    results = read_results(settings.output / "results.jsonl")
    mine = {result.question for result in results if result.held_out_set == "mine"}
    assert mine and not mine & trained


def test_questions_of_training_are_asked_beside_the_held_out_ones(
    settings: CompareSettings,
) -> None:
    settings.cpt_adapter = None
    settings.trained_questions = 5
    summary = compare(settings)
    split = DomainData(settings.data_paths, load_tokenizer(settings.base), DEFAULT_SPLIT).questions
    results = read_results(settings.output / "results.jsonl")
    recalled = {r.id for r in results if r.held_out_set == "anime_trained"}
    assert len(recalled) == 5 and recalled <= {record.id for record in split.train}
    assert {name: model.sets["anime_trained"].n for name, model in summary.models.items()} == {
        "base": 5,
        "sft": 5,
    }
    assert "anime_trained" in summary.differences["sft-base"]
    settings.trained_questions = -1
    with pytest.raises(UserError, match="trained_questions is -1; expected 0 or more"):
        compare(settings)


def test_the_routers_choices_on_anime_and_general_articles_are_written(
    settings: CompareSettings,
) -> None:
    settings.questions_per_set = 1
    compare(settings)
    models = json.loads((settings.output / "routers.json").read_text(encoding="utf-8"))["models"]
    assert set(models) == {"base", "cpt", "sft"}
    anime, general = (models["cpt"][f"{name}_articles"]["shares"] for name in ("anime", "general"))
    assert [round(sum(layer), 6) for layer in anime] == [1.0, 1.0]
    assert anime != general and anime != models["base"]["anime_articles"]["shares"]
