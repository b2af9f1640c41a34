"""Our reference rules decide as the reference codes did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ruvlm.benchmarks.circular import reference_figures
from ruvlm.benchmarks.mmbench_ru.rows import example_of
from ruvlm.rules.match import match_reference, match_vlmevalkit
from ruvlm.rules.named import MATCHERS, READERS
from ruvlm.rules.parse import read_reference
from ruvlm.rules.parse_vlmevalkit import read_vlmevalkit
from ruvlm.schema import ImageRef


def _lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("rule", "key"), [(match_reference, "lmms_eval_exact_match"), (match_vlmevalkit, "vlmevalkit_gqa_accuracy")]
)
def test_gqa_match(shared: Path, rule, key: str) -> None:  # type: ignore[no-untyped-def]
    cases = _lines(shared / "parity" / "gqa_scoring_cases.jsonl")
    assert len(cases) > 700
    assert [c["id"] for c in cases if rule(c["pred"], c["gold"]) != bool(c[key])] == []


@pytest.mark.parametrize(("rule", "key"), [(read_reference, "lmms_eval"), (read_vlmevalkit, "vlmevalkit")])
def test_mmbench_extraction(shared: Path, rule, key: str) -> None:  # type: ignore[no-untyped-def]
    cases = _lines(shared / "parity" / "mmbench_extract_cases.jsonl")
    assert len(cases) > 300
    read = [rule(c["prediction"], [c["options"].get(x) for x in "ABCDE"]).letter for c in cases]
    assert [c["id"] for c, letter in zip(cases, read, strict=True) if letter != c[key]] == []


def test_parse_and_match_on_the_command_line(shared: Path, ruvlm) -> None:  # type: ignore[no-untyped-def]
    path = shared / "parity" / "mmbench_extract_cases.jsonl"
    ran = ruvlm("parse", path, "--rule", "mmbench-ru/lmms", "--json")
    assert ran.code == 0
    assert [json.loads(line)["letter"] for line in ran.out.splitlines()] == [c["lmms_eval"] for c in _lines(path)]
    path = shared / "parity" / "gqa_scoring_cases.jsonl"
    ran = ruvlm("match", path, "--rule", "gqa-ru/lmms", "--json")
    wanted = [bool(c["lmms_eval_exact_match"]) for c in _lines(path)]
    assert [json.loads(line)["correct"] for line in ran.out.splitlines()] == wanted


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"prediction": "A"}', "options"),
        ('{"prediction": "A", "options": {"Ж": "x"}}', "options"),
        ('{"prediction": 5, "options": ["x", "y"]}', "prediction"),
        ('{"prediction": "A", "options": ["x", 7]}', "7"),
        ("[1]", "не объект"),
        ("{", "не JSON"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, ruvlm, line: str, said: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "answers.jsonl"
    path.write_text('{"prediction": "A", "options": ["стол", "стул"]}\n' + line + "\n", encoding="utf-8")
    ran = ruvlm("parse", path)
    assert ran.code == 2
    assert "строка 2" in ran.err
    assert said in ran.err


@pytest.mark.parametrize("name", ["clean", "uninferable", "missing_rotations"])
@pytest.mark.parametrize("key", ["lmms_openai_api_down_seed2680", "lmms_static", "vlmevalkit_exact"])
def test_circular_figures(shared: Path, name: str, key: str) -> None:
    """Every group's verdict, and the overall, category and L2 figures."""
    case = json.loads((shared / "parity" / "mmbench_circular_cases.json").read_text(encoding="utf-8"))[name]
    examples = [example_of(row, ImageRef(Path("none"))) for row in case["rows"]]
    read = read_vlmevalkit if key.startswith("vlm") else read_reference
    letters = [read(row["prediction"], e.options).letter for row, e in zip(case["rows"], examples, strict=True)]
    found = reference_figures(examples, letters, draw="seed" in key)
    wanted = case[key]
    assert {base: int(hit) for base, hit in found.hits.items()} == wanted["hits"]
    assert found.overall == pytest.approx(wanted["overall"], abs=1e-12)
    for axis, shares in (("category", found.category), ("l2", found.l2)):
        if axis in wanted:
            assert shares == pytest.approx(wanted[axis], abs=1e-12)


def asked(ruvlm, command: str, path: Path, rule: str) -> list[dict]:  # type: ignore[no-untyped-def]
    ran = ruvlm(command, path, "--rule", rule, "--json")
    assert ran.code == 0, ran.err
    return [json.loads(line) for line in ran.out.splitlines()]


@pytest.mark.parametrize(
    ("rule", "file", "key"),
    [
        ("any-of", "any_of_cases", "correct"),
        ("mera-em", "mera_em_cases", "correct"),
        ("contains", "contains_cases", "correct"),
        ("contains", "contains_variants_cases", "contains"),
        ("contains-authors", "contains_variants_cases", "contains-authors"),
        ("contains-plain", "contains_variants_cases", "contains-plain"),
        ("anls", "anls_cases", "score"),
        ("mws-vqa", "mws_vqa_cases", "score"),
        ("numeric", "numeric_cases", "numeric"),
        ("numeric-5", "numeric_cases", "numeric-5"),
    ],
)
def test_official_matchers(shared: Path, ruvlm, rule: str, file: str, key: str) -> None:  # type: ignore[no-untyped-def]
    path = shared / "parity" / f"{file}.jsonl"
    given = [one["score"] for one in asked(ruvlm, "match", path, rule)]
    assert given == pytest.approx([float(case[key]) for case in _lines(path)], abs=1e-6)


@pytest.mark.parametrize(
    ("rule", "file", "mode"),
    [
        ("letters-kaleidoscope", "kaleidoscope_cases", "direct"),
        ("letters-kaleidoscope-cot", "kaleidoscope_cases", "cot"),
        ("number-first", "number_first_cases", None),
        ("letters-pm4bench", "letters_pm4bench_cases", None),
        ("letters-vlmevalkit", "letters_seven_cases", None),
    ],
)
def test_official_readers(shared: Path, tmp_path: Path, ruvlm, rule: str, file: str, mode: str | None) -> None:  # type: ignore[no-untyped-def]
    cases = [case for case in _lines(shared / "parity" / f"{file}.jsonl") if case.get("mode") == mode]
    path = tmp_path / "cases.jsonl"
    path.write_text("".join(json.dumps(case, ensure_ascii=False) + "\n" for case in cases), encoding="utf-8")
    given = [one["read"] for one in asked(ruvlm, "parse", path, rule)]
    assert given == [case.get("read", case.get("vlmevalkit")) for case in cases]


def test_an_official_rule_is_shown_beside_ours(tmp_path: Path, ruvlm) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "a.jsonl"
    path.write_text('{"pred": "Ответ: ёлка", "gold": ["елка", "сосна"]}\n{"pred": "5", "gold": 5}\n', encoding="utf-8")
    ran = ruvlm("match", path, "--rule", "exact", "--json")
    assert [json.loads(line) for line in ran.out.splitlines()] == [
        {"score": 0.0, "correct": False, "ru": 1.0},
        {"score": 1.0, "correct": True, "ru": 1.0},
    ]
    assert "exact и exact-ru расходятся в 1 из 2 строк" in ran.err
    path.write_text('{"pred": "5", "gold": []}\n', encoding="utf-8")
    assert ruvlm("match", path).code == 2


@pytest.mark.parametrize("length", [100_000])
def test_a_long_answer_costs_no_minutes(length: int) -> None:
    """Lengths that alone decide are not compared letter by letter, and no reader is quadratic."""
    text = "ответ <ANSWER> " * (length // 15)
    for rule in MATCHERS:
        MATCHERS[rule](text, "кот на столе у окна дома")
    for rule in READERS:
        READERS[rule](text, ["кот", "пёс", "дом", "лес"], False)
