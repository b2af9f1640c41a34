"""The report: what it says is what was measured; hostile answers stay text; it reads in the dark, on a phone, without eyes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ruvlm.benchmarks.source import open_source
from ruvlm.reporting.calibration import calibration
from tests.support.browsing import browsing, violations
from tests.support.house import Ran
from tests.support.runs import moved_away

# its fixtures are dear: one worker makes them
pytestmark = pytest.mark.xdist_group("report")

Run = Callable[..., Ran]
VECTORS = (
    "<script>window.pwned=1</script>",
    "</script><script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=1>",
    "<svg onload=window.pwned=1>",
    '"><svg/onload=window.pwned=1>',
    "'><img src=x onerror=window.pwned=1>",
    "<iframe srcdoc='<script>parent.pwned=1</script>'>",
    "javascript:window.pwned=1",
    "<a href=javascript:window.pwned=1>x</a>",
    "<body onload=window.pwned=1>",
    "<style>*{display:none}</style>",
    "<!--",
    "-->",
    "]]>",
    "{{ 7*7 }}",
    "{% for x in y %}",
    "${window.pwned=1}",
    "`${window.pwned=1}`",
    "\\u003cscript>window.pwned=1</script>",
    "<details open ontoggle=window.pwned=1>",
    "<input autofocus onfocus=window.pwned=1>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=window.pwned=1>",
    "\u2028\u2029window.pwned=1",
    "\x00\x01\x02",
    "\u202eлево",
    "</textarea><script>window.pwned=1</script>",
    "</style><script>window.pwned=1</script>",
    "<base href=http://evil.example/>",
    "<meta http-equiv=refresh content=0;url=http://evil.example>",
    "<link rel=stylesheet href=http://evil.example/x.css>",
    "<object data=javascript:window.pwned=1>",
    "<embed src=javascript:window.pwned=1>",
    "<form action=http://evil.example><button>",
    "&lt;script&gt;",
    "&#60;script&#62;",
    "__proto__",
    "constructor",
    "toString",
    "null",
    "undefined",
    "NaN",
    "true",
    "[]",
    "{}",
    '"',
    "'",
    "\\",
    '\\"',
    "%00",
    "%3Cscript%3E",
)


def payloads() -> list[str]:
    """More than two hundred: every vector bare, after words, upper case, twice, and with line ends in it."""
    found = [
        form
        for v in VECTORS
        for form in (v, f"да {v}", v.upper().replace("WINDOW.PWNED", "window.pwned"), v + v, v.replace("<", "<\n"))
    ]
    return [*dict.fromkeys(found), "А" * 100_000, "<b>" * 20_000, "слово " * 5_000]


@pytest.fixture(scope="module")
def evaluated(runs: Path, world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two run folders with evaluations of the same rows."""
    import shutil

    from ruvlm.evaluation.plan import evaluate_model

    root = tmp_path_factory.mktemp("report")
    for name in ("nano", "cnn_lstm"):
        shutil.copytree(runs / name, root / name)
        evaluate_model(str(root / name), str(world), "test", limit=60)
    return root / "nano", root / "cnn_lstm"


@pytest.fixture(scope="module")
def page_file(evaluated: tuple[Path, Path], world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ruvlm.cli.main import main

    out = tmp_path_factory.mktemp("page") / "report.html"
    assert main(["report", *map(str, evaluated), "--data", str(world), "--out", str(out)]) == 0
    return out


def test_the_report_holds_every_figure(page_file: Path, evaluated: tuple[Path, Path]) -> None:
    text = page_file.read_text(encoding="utf-8")
    seen = 0
    for folder in evaluated:
        for path in folder.glob("eval/*/summary.json"):
            summary = json.loads(path.read_text())
            if summary["model"] not in ("nano", "cnn_lstm"):
                continue
            for rule, score in summary["scores"].items():
                value = f"{score['value']:.1f}".replace(".", ",")
                assert re.search(
                    rf"<td>{re.escape(rule)}</td><td class=\"n\">{value}</td><td class=\"n\">[^<]*</td><td class=\"n\">{score['n']}</td>",
                    text,
                ), rule
                seen += 1
            assert summary["fingerprints"]["model"] in text
    assert seen > 8
    for part in (
        "встроенном мире",
        "(контроль)",
        "неотличимы",
        "Макнемара",
        "Уверенность и правота",
        "Предпочтение букв",
        "Потери на ответах",
        "ruvlm score",
    ):
        assert part in text, part
    assert len(text.encode()) < 15e6


def test_the_report_in_a_browser(page_file: Path, world: Path, tmp_path: Path) -> None:
    with browsing() as page:
        page.goto(page_file.as_uri())
        box = page.locator("[data-browser]").first
        count = box.locator("[aria-live]")
        assert "найдено строк" in count.inner_text()
        how = box.locator("[data-field=how]")
        how.select_option("")
        box.locator("[data-field=pictured]").uncheck()
        total = len(open_source(str(world)).load("gqa-ru", "test", limit=60).examples)
        assert f"найдено строк: {total} из {total}" in count.inner_text()
        how.select_option("right")
        right = int(re.findall(r"\d+", count.inner_text())[0])
        how.select_option("wrong")
        wrong = int(re.findall(r"\d+", count.inner_text())[0])
        how.select_option("unread")
        assert right + wrong + int(re.findall(r"\d+", count.inner_text())[0]) == total
        how.select_option("differ")
        assert 0 < int(re.findall(r"\d+", count.inner_text())[0]) <= total
        how.select_option("")
        word = box.locator("article").nth(0).locator("p").first.inner_text().split()[0]
        box.locator("[data-field=words]").fill(word)
        page.wait_for_timeout(300)
        assert int(re.findall(r"\d+", count.inner_text())[0]) > 0
        assert page.said == []
        assert page.locator("article img").first.evaluate("image => image.naturalWidth") > 50


def test_rows_are_chosen_by_what_needs_no_picture(page_file: Path, evaluated: tuple[Path, Path]) -> None:
    """The browser's counts are those of the evaluations' own files; the common sighted score is on rows that no one answers blind."""
    rows: dict[str, list[dict[str, object]]] = {}
    right: dict[str, dict[str, bool]] = {}
    for run in evaluated:
        folder = next(path for path in (run / "eval").iterdir() if path.name.endswith(f"gqa-ru_lmms-{run.name}"))
        for row in map(json.loads, (folder / "bias.jsonl").read_text(encoding="utf-8").splitlines()):
            rows.setdefault(row["id"], []).append(row)
        verdicts = map(json.loads, (folder / "verdicts.jsonl").read_text(encoding="utf-8").splitlines())
        right[run.name] = {row["id"]: next(iter(row["scores"].values())) == 1 for row in verdicts}
    blind = {name for name, told in rows.items() if any(row["answered_by"] for row in told)}
    low = {name for name, told in rows.items() if float(str(told[0]["bias"])) <= 0.25}
    assert 0 < len(low) < len(rows)
    with browsing() as page:
        page.goto(page_file.as_uri())
        box = page.locator("[data-browser]").first
        box.locator("[data-field=how]").select_option("")
        box.locator("[data-field=pictured]").uncheck()
        count = box.locator("[aria-live]")

        def counted() -> int:
            return int(re.findall(r"\d+", count.inner_text())[0])

        box.locator("[data-field=sight]").select_option("sighted")
        assert counted() == len(rows) - len(blind)
        box.locator("[data-field=sight]").select_option("blind")
        assert counted() == len(blind)
        box.locator("[data-field=sight]").select_option("")
        box.locator("[data-field=bias]").fill("0,25")
        box.locator("[data-field=bias]").dispatch_event("change")
        assert counted() == len(low)
        assert page.said == []
    shown = page_file.read_text(encoding="utf-8")
    assert f"зрячий балл на общих строках: {len(rows) - len(blind)}" in shown
    for verdicts in right.values():
        kept = [verdicts[name] for name in rows if name not in blind]
        assert f"{100 * sum(kept) / len(kept):.1f}".replace(".", ",") in shown


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)])
def test_everybody_can_read_it(page_file: Path, width: int, dark: bool) -> None:
    with browsing(width, 800, dark) as page:
        page.goto(page_file.as_uri())
        for details in page.locator("details").all():
            details.evaluate("d => d.open = true")
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1"), "no sideways scrolling"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"


def test_hostile_answers_do_no_harm(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    hostile = payloads()
    assert len(hostile) >= 200
    examples = open_source(str(world)).load("gqa-ru", "test").examples
    assert len(examples) >= len(hostile)
    answers = tmp_path / "answers.jsonl"
    lines = [{"id": e.id, "prediction": hostile[n % len(hostile)]} for n, e in enumerate(examples)]
    answers.write_text("".join(json.dumps(line) + "\n" for line in lines))
    name = 'name"><img src=x onerror=window.pwned=1>.jsonl'
    renamed = tmp_path / name.replace("/", "")
    answers.rename(renamed)
    done = ruvlm(
        "eval",
        f"file:{renamed}",
        "--data",
        world,
        "--protocol",
        "gqa-ru/lmms",
        "--no-controls",
        "--out",
        tmp_path / "e",
    )
    assert done.code == 0, done.err
    out = tmp_path / "r.html"
    assert ruvlm("report", tmp_path / "e", "--data", world, "--out", out).code == 0
    with browsing() as page:
        page.goto(out.as_uri())
        box = page.locator("[data-browser]").first
        box.locator("[data-field=how]").select_option("")
        box.locator("[data-field=pictured]").uncheck()
        more = box.locator("button.more")
        while more.is_visible():
            more.click()
        assert box.locator("article").count() == len({example.image_id for example in examples})
        while (rest := box.locator("article button")).count():
            rest.first.click()
        shown = box.locator("article .asked").all_inner_texts()
        assert len(shown) == len(examples)
        assert page.evaluate("window.pwned") is None
        assert page.said == []
        for n, payload in enumerate(hostile[:200]):
            first = next((word for word in re.split(r"[\s\x00-\x1f\u2028\u2029\u202e]+", payload) if word), "")
            assert first[:80] in shown[n], payload[:80]
        longest = shown[hostile.index("А" * 100_000)]
        assert "всего знаков: 100000" in longest
        assert len(longest) < 3000


def test_rows_that_are_not_found_are_told_of(
    evaluated: tuple[Path, Path], tmp_path: Path, ruvlm: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "alone"
    shutil.copytree(evaluated[0] / "eval", folder)
    moved_away(folder)
    done = ruvlm("report", folder, "--out", tmp_path / "r.html")
    assert done.code == 0, done.err
    assert "указать --data" in done.err
    assert "набор не найден" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_wrong_folders_are_one_sentence(tmp_path: Path, ruvlm: Run, evaluated: tuple[Path, Path]) -> None:
    import shutil

    for folder, said in ((tmp_path / "no", "нет: укажите"), (tmp_path, "нет законченных оценок")):
        done = ruvlm("report", folder, "--out", tmp_path / "r.html")
        assert (done.code, said in done.err, "Traceback" in done.err) == (2, True, False), done.err
    shutil.copytree(evaluated[0] / "eval", tmp_path / "bad")
    next((tmp_path / "bad").glob("*/summary.json")).write_text('{"model": 1')
    done = ruvlm("report", tmp_path / "bad", "--out", tmp_path / "r.html")
    assert (done.code, "повреждена (summary.json" in done.err) == (2, True), done.err
    assert not (tmp_path / "r.html").exists()


def test_calibration_of_the_honest_and_the_boastful() -> None:
    honest = calibration([0.95] * 100 + [0.25] * 100, [True] * 95 + [False] * 5 + [True] * 25 + [False] * 75)
    assert honest.error == pytest.approx(0, abs=1e-9)
    assert [b.n for b in honest.bins] == [100, 100]
    assert calibration([1.0] * 10, [True] * 5 + [False] * 5).error == pytest.approx(50)


def test_the_first_screen_says_what_the_scores_come_to(page_file: Path, evaluated: tuple[Path, Path]) -> None:
    """Before any table of rules: a sentence a model, scores beside the best control, types in Russian."""
    figures = {}
    for folder in evaluated:
        for path in folder.glob("eval/*gqa-ru_lmms*/summary.json"):
            summary = json.loads(path.read_text())
            figures[summary["model"]] = next(iter(summary["scores"].values()))["value"]
    with browsing(1280, 900) as page:
        page.goto(page_file.as_uri())
        overview = page.locator("section").first
        assert overview.locator("h2").inner_text() == "Главное"
        sentences = overview.locator(".verdict").all_inner_texts()
        assert sorted(sentence.partition(":")[0] for sentence in sentences) == ["cnn_lstm", "nano"]
        assert all("лучше" in sentence for sentence in sentences)
        rows = overview.locator("table.first tbody tr")
        first = rows.filter(has_text="gqa-ru").filter(has_text="nano").first
        assert f"{figures['nano']:.1f}".replace(".", ",") in first.inner_text()
        others = [figures[name] for name in ("question-only", "majority", "random", "blind:nano")]
        assert f"{max(others):.1f}".replace(".", ",") in first.inner_text()
        mark, dot = (first.locator(name).bounding_box() for name in (".control", ".dot"))
        assert (dot["x"] - mark["x"] > -5) == (figures["nano"] >= max(others))
        assert "открытый вопрос" in overview.inner_text()
        assert overview.locator("table.first").bounding_box()["y"] < 600, "on the first screen"


def test_the_score_is_on_a_phone_s_screen(page_file: Path) -> None:
    with browsing(390, 800) as page:
        page.goto(page_file.as_uri())
        for table in page.locator("table.first, section > .scroll > table").all()[:3]:
            box = table.locator("td.n").first.bounding_box()
            assert box["x"] + box["width"] <= 390


def test_a_picture_stands_once_with_its_questions_beside_it(page_file: Path, world: Path) -> None:
    examples = open_source(str(world)).load("gqa-ru", "test", limit=60).examples
    choices = open_source(str(world)).load("mmbench-ru", "test", limit=60).examples
    with browsing() as page:
        page.goto(page_file.as_uri())
        for number, keys in ((0, [e.image_id for e in examples]), (1, [e.cluster for e in choices])):
            box = page.locator("[data-browser]").nth(number)
            box.locator("[data-field=how]").select_option("")
            box.locator("[data-field=pictured]").uncheck()
            while (more := box.locator("button.more")).is_visible():
                more.click()
            assert box.locator("article").count() == len(set(keys)) < len(keys)
        # all orders of a question's options are one card: every model's marks in a row
        marks = page.locator("[data-browser]").nth(1).locator("article").first.locator("dd").all_inner_texts()
        assert any(re.search(r"[✓✗?]( [✓✗?])+ – верно в \d из \d порядков", text) for text in marks)


def test_the_best_model_s_mistakes_have_their_pictures(
    world: Path, evaluated: tuple[Path, Path], tmp_path: Path, ruvlm: Run
) -> None:
    """With room for few pictures: those of the better model's mistakes, however much the other errs."""
    scores, wrong = {}, {}
    for folder in evaluated:
        path = next(folder.glob(f"eval/*gqa-ru_lmms-{folder.name}"))
        verdicts = [json.loads(line) for line in (path / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()]
        right = {row["id"]: next(iter(row["scores"].values())) == 1 for row in verdicts}
        scores[folder.name] = sum(right.values())
        wrong[folder.name] = {name for name, full in right.items() if not full}
    best = max(scores, key=lambda name: scores[name])
    out = tmp_path / "r.html"
    assert ruvlm("report", *evaluated, "--data", world, "--pictures", 3, "--out", out).code == 0
    text = out.read_text(encoding="utf-8")
    data = json.loads(re.search(r'<script type="application/json" id="rows">(.*?)</script>', text, re.DOTALL)[1])[0]
    assert data["models"][data["best"]] == best
    pictures = {row[1] for row in data["rows"] if row[0] in wrong[best]}
    assert len(data["pictures"]) == 3
    assert data["pictures"].keys() <= pictures or pictures <= data["pictures"].keys()


def test_a_report_is_printed_on_few_pages(page_file: Path, tmp_path: Path) -> None:
    with browsing() as page:
        page.goto(page_file.as_uri())
        page.pdf(path=str(tmp_path / "r.pdf"), format="A4")
    pages = len(re.findall(rb"/Type\s*/Page[^s]", (tmp_path / "r.pdf").read_bytes()))
    assert 1 < pages <= 12
