"""Is hf: right and fast for the families of transformers? Tiny random models of the real classes, against generate.

    python bench/families.py [FAMILY…] [--quick] [--torchvision FOLDER] [--folder /tmp/families]

Every family runs in a process of its own. What it is measured against is a loop of this file: the model as transformers
loads it, ids from the processor's own `apply_chat_template(tokenize=True)`, `generate` for one question at a time; for
likelihoods `generate` that is forced to write the option. Prints a markdown table and, as the last line, JSON.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.family_models import FAMILIES, built

LIMIT_SECONDS, TOKENS = 900, 12
# their cards show no question beside the picture
WITHOUT_QUESTIONS = ("blip", "got_ocr2")
QUESTIONS = (
    "Кто в рубашке?\nОтветь.",
    "Какого цвета мяч слева от кошки?",
    "да?",
    "нет или да?",
    "Кто?",
    "круг или квадрат там?",
)
OPTIONS = ("красный мяч", "да", "синий")
# rounding in float32
SAME_SCORE = 1e-3
# width, height, mode: wide, tall, square, small, grey
PICTURES = ((100, 60, "RGB"), (90, 200, "RGB"), (112, 112, "RGB"), (64, 48, "RGB"), (120, 90, "L"))
COLUMNS = (
    "family",
    "loads",
    "ids equal",
    "answers equal",
    "likelihood",
    "shared used",
    "shared = plain",
    "speed-up",
    "verdict",
    "remark",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("family", nargs="*", help="default: all")
    parser.add_argument("--quick", action="store_true", help="no speed-up")
    parser.add_argument(
        "--torchvision", type=Path, help="folder with torchvision (timm, num2words) for the measured processes"
    )
    parser.add_argument("--folder", type=Path, default=Path("/tmp/families"), help="where the models are built")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        row = measured(arguments.family[0], arguments.folder, arguments.quick)
        print(json.dumps(row, ensure_ascii=False))
        return 0
    names = arguments.family or list(FAMILIES)
    unknown = sorted(set(names) - set(FAMILIES))
    if unknown:
        parser.error(f"no such family: {', '.join(unknown)}; there are {', '.join(FAMILIES)}")
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    rows = []
    for name in names:
        rows.append(in_its_own_process(name, arguments))
        print(as_row(rows[-1]), flush=True)
    counts = Counter(row["verdict"].partition(" (")[0] for row in rows)
    print(json.dumps({"counts": counts, "torchvision": bool(arguments.torchvision), "rows": rows}, ensure_ascii=False))
    return int(bool(counts["WRONG"] or counts["TRACEBACK"]))


def in_its_own_process(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The row of a family; whatever happens to its process, there is one."""
    command = [sys.executable, __file__, name, "--one", "--folder", str(arguments.folder)]
    command += ["--quick"] if arguments.quick else []
    paths = [str(arguments.torchvision.resolve())] if arguments.torchvision else []
    paths += [path for path in (os.environ.get("PYTHONPATH"),) if path]
    arguments.folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": os.pathsep.join(paths),
    }
    start = time.perf_counter()
    try:
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        return {"family": name, "verdict": "no end", "remark": f"no end within {LIMIT_SECONDS} s"}
    finally:
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    (arguments.folder / f"{name}.log").write_text(ran.stderr, encoding="utf-8")
    try:
        row: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        last = (ran.stderr.strip().splitlines() or ["no word"])[-1]
        return {"family": name, "verdict": "TRACEBACK", "remark": f"process ended with {ran.returncode}: {last[:200]}"}
    return row


def as_row(row: dict[str, Any]) -> str:
    """A line of the table."""
    return (
        "| " + " | ".join(str(row.get(column, "–")).replace("|", "¦").replace("\n", " ") for column in COLUMNS) + " |"
    )


# --- one family


class Measured:
    """A family's row in the making; `step` writes down what went wrong in it."""

    def __init__(self, family: str) -> None:
        self.row: dict[str, Any] = {"family": family}
        self.remarks: list[str] = []
        self.failures: list[str] = []
        self.ids_differ: set[str] = set()

    def step(self, name: str, run: Callable[[], Any]) -> Any:
        """What `run` gives, or None; an error that is no sentence of ours is a TRACEBACK."""
        from ruvlm.errors import RuvlmError

        try:
            return run()
        except RuvlmError as error:
            self.failures.append(name)
            self.remarks.append(f"{name}: «{error}»")
        except Exception as error:  # the point is to see whatever comes
            self.failures.append("TRACEBACK")
            self.remarks.append(f"{name}: {where(error)}")
        return None

    def done(self, verdict: str) -> dict[str, Any]:
        """The row, with its verdict: a traceback overrules all others but those of the fixture."""
        self.row["verdict"] = "TRACEBACK" if "TRACEBACK" in self.failures else verdict
        self.row["remark"] = "; ".join(self.remarks)
        return self.row


def where(error: Exception) -> str:
    """An exception and the last line of ours, else the very last, that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/ruvlm/" in frame.filename] or frames
    first = (str(error).strip().splitlines() or [""])[0]
    places = " ← ".join(
        dict.fromkeys(f"{Path(frame.filename).name}:{frame.lineno}" for frame in (frames[-1], ours[-1]))
    )
    return f"{type(error).__name__}: {first[:200]} ({places})"


def measured(family: str, root: Path, quick: bool) -> dict[str, Any]:
    """Everything about a family, in this process."""
    from ruvlm.runtime import quiet_transformers

    quiet_transformers()
    found = Measured(family)
    try:
        folder = built(family, root)
    except Exception as error:  # a fixture that cannot be made here says nothing of ours
        traceback.print_exc()
        found.row |= {"verdict": "not built", "remark": where(error)}
        return found.row
    items = asked(root)
    oracle = Oracle(folder)
    found.row["loads"] = "yes" if found.step("load", lambda: opened(folder)) else "no"
    if found.row["loads"] == "no":
        return found.done(f"refused ({truth(found, oracle, items)})")
    compare_ids(found, folder, oracle, items)
    texts = compare_answers(found, folder, oracle, items)
    if texts is None:
        return found.done(f"refused ({truth(found, oracle, items)})")
    compare_likelihoods(found, folder, oracle, scored_items(items))
    compare_shared(found, folder, items, texts)
    if not quick:
        measure_speed(found, folder, items)
    return found.done(verdict(found))


def opened(folder: Path, **settings: Any) -> Any:
    """Our backend on a model loaded anew: the shared way changes a model."""
    from ruvlm.backends.base import Access
    from ruvlm.models.vlm.backend import open_hf

    return open_hf(str(folder), Access(device="cpu", dtype="float32", **settings))


def asked(root: Path) -> list[Any]:
    """Some twenty questions on five pictures of different sizes: six on the first, five on the second, and so on."""
    import numpy as np
    from PIL import Image

    from ruvlm.backends.base import Asked
    from ruvlm.schema import Example, Generation, ImageRef, Prompt

    rng = np.random.default_rng(0)
    found = []
    folder = root / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for number, (width, height, mode) in enumerate(PICTURES):
        # coarse blocks: noise of single pixels is averaged away where a processor makes pictures smaller
        blocks = Image.fromarray(rng.integers(0, 255, (6, 5, 3), dtype=np.uint8)).resize(
            (width, height), Image.Resampling.NEAREST
        )
        path = folder / f"{number}.png"
        if not path.is_file():
            blocks.convert(mode).save(path)
        for question in QUESTIONS[: len(QUESTIONS) - number]:
            images = (ImageRef(path),)
            prompt = Prompt(protocol="x", text=question, images=images, generation=Generation(TOKENS))
            example = Example(
                id="a", benchmark="gqa-ru", question=question, answers=(), images=images, image_id="", cluster=""
            )
            found.append(Asked(prompt, example))
    return found


def scored_items(items: Sequence[Any]) -> list[Any]:
    """Two questions a picture, with options to score."""
    from dataclasses import replace

    seen: Counter[str] = Counter()
    found = []
    for item in items:
        seen[str(item.prompt.image)] += 1
        if seen[str(item.prompt.image)] <= 2:
            found.append(replace(item, prompt=replace(item.prompt, candidates=OPTIONS)))
    return found


class Oracle:
    """The model as transformers has it: nothing of ours, but for the processor where transformers' own does not load."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.borrowed, self.bare = folder, False, False
        self._model: Any = None
        self._processor: Any = None

    @property
    def model(self) -> Any:
        if self._model is None:
            import torch
            from transformers import AutoModelForImageTextToText

            self._model = AutoModelForImageTextToText.from_pretrained(str(self.folder), dtype=torch.float32).eval()
        return self._model

    @property
    def processor(self) -> Any:
        if self._processor is None:
            from transformers import AutoProcessor

            try:
                self._processor = AutoProcessor.from_pretrained(str(self.folder))
                self.inputs_of(self._processor, asked(self.folder.parent)[0])
            except Exception:  # e.g. it wants torchvision for videos, or lacks settings that only ours fills in
                self._processor, self.borrowed = opened(self.folder).reader.processor, True
            if not self._processor.chat_template:
                self._processor.chat_template = self._processor.tokenizer.chat_template
        return self._processor

    def own_error(self) -> str:
        """Why transformers' own processor or model does not load; empty if they do."""
        from transformers import AutoProcessor

        said = []
        for load in (lambda: AutoProcessor.from_pretrained(str(self.folder)), lambda: self.model):
            try:
                load()
            except Exception as error:
                said.append(str(error).strip() or type(error).__name__)
        return "\n".join(said)

    def inputs_of(self, processor: Any, item: Any) -> Any:
        """What `apply_chat_template` makes of a question; where there is no template, the processor of our words."""
        from ruvlm.data.images import load_image

        image = load_image(item.prompt.image)
        if not (processor.chat_template or processor.tokenizer.chat_template):
            return self._worded(processor, image, item)
        template = str(processor.chat_template or processor.tokenizer.chat_template)
        # ours asks a model that can think not to, unless told otherwise
        thinking = {name: False for name in ("enable_thinking", "thinking") if f"{name} is" in template}
        content = [{"type": "image", "image": image}, {"type": "text", "text": item.prompt.text}]
        return processor.apply_chat_template(
            [{"role": "user", "content": content}],
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            **thinking,
        )

    def _worded(self, processor: Any, image: Any, item: Any) -> Any:
        """Without a template: our words, or, where the class adds the picture itself, the bare question as its own examples have it."""
        if not self.bare:
            words = opened(self.folder).reader.worded(item.prompt.wording)
            try:
                return processor(images=[[image]], text=[words], return_tensors="pt")
            except Exception:
                self.bare = True
        return processor(images=image, text=item.prompt.text, return_tensors="pt")

    def inputs(self, item: Any) -> dict[str, Any]:
        """A question's inputs, in the model's format: Llama 4's processor gives pixels in half precision."""
        dtype = self.model.dtype
        found = self.inputs_of(self.processor, item)
        return {k: v.to(dtype) if v.is_floating_point() else v for k, v in found.items() if k != "labels"}

    def answer(self, item: Any) -> str:
        """The greedy answer."""
        import torch

        inputs = self.inputs(item)
        with torch.inference_mode():
            ids = self.model.generate(**inputs, max_new_tokens=TOKENS, do_sample=False)
        start = 0 if self.model.config.is_encoder_decoder else inputs["input_ids"].shape[1]
        text: str = self.processor.tokenizer.decode(ids[0, start:], skip_special_tokens=True)
        return text

    def score(self, item: Any, option: list[int]) -> float:
        """Log-probability of an option: `generate`, forced to write it."""
        import torch

        inputs = self.inputs(item)
        start = inputs["input_ids"].shape[1]
        with torch.inference_mode():
            out = self.model.generate(
                **inputs,
                max_new_tokens=len(option),
                do_sample=False,
                output_logits=True,
                return_dict_in_generate=True,
                prefix_allowed_tokens_fn=lambda _, ids: [option[min(len(ids) - start, len(option) - 1)]],
            )
        logits = torch.stack(out.logits, 1)[0].float().log_softmax(-1)
        return float(sum(row[token] for row, token in zip(logits, option, strict=True)))


def truth(found: Measured, oracle: Oracle, items: Sequence[Any]) -> str:
    """Is a refusal true? It is where it names the package that transformers lacks too, or says encoder–decoder of one."""
    said = " ".join(found.remarks)
    error = oracle.own_error().lower()
    for package in ("torchvision", "timm", "num2words"):
        if package in said and importlib.util.find_spec(package) is None:
            return f"true: needs {package}" if package in error else f"doubtful: is {package} all it needs?"
    try:
        oracle._model = None
        seq2seq = bool(oracle.model.config.is_encoder_decoder)
    except Exception as own:
        return f"true: transformers fails too, {where(own)}"
    if seq2seq:
        return "true: encoder–decoder" if "декодер" in said or "encoder" in said else "encoder–decoder, but not said"
    if "вопросов не принимает" in said and oracle.model.config.model_type in WITHOUT_QUESTIONS:
        return "true: continues a caption or reads text, takes no question"
    if error:
        return f"doubtful: transformers' processor says «{error.splitlines()[0][:120]}»"
    for oracle.bare in (False, True):
        try:
            return f"FALSE: transformers answers{' the bare question' if oracle.bare else ''} «{oracle.answer(items[0])[:20]}»"
        except Exception as own:
            why = where(own)
    return f"transformers takes no such question either, {why}"


def compare_ids(found: Measured, folder: Path, oracle: Oracle, items: Sequence[Any]) -> None:
    """Ids of six questions on three pictures, as our reader gives them for the plain way and for the shared one."""
    from ruvlm.data.images import load_image
    from ruvlm.schema import Wording

    groups = [items[0:3], items[6:8], items[-1:]]
    try:
        expected = [[oracle.inputs(item)["input_ids"][0].tolist() for item in group] for group in groups]
    except Exception as error:
        found.row["ids equal"] = "no oracle"
        found.remarks.append(f"own loop: {where(error)}")
        return
    if oracle.borrowed:
        found.remarks.append("oracle's processor is ours")
    reader = opened(folder).reader
    if not reader.templated:
        found.remarks.append(f"no template: oracle asked {'the bare question' if oracle.bare else 'in our words'}")
    ways: dict[str, Callable[[Any, list[str]], list[list[int]]]] = {
        "batch": lambda image, texts: [
            reader.batch([[image]], [Wording(text)])["input_ids"][0].tolist() for text in texts
        ],
        "encode": lambda image, texts: reader.encode(image, list(map(Wording, texts))).ids,
    }
    said = []
    for name, ids in ways.items():
        try:
            pairs = [
                (row, wanted)
                for group, rows in zip(groups, expected, strict=True)
                for row, wanted in zip(
                    ids(load_image(group[0].prompt.image), [i.prompt.text for i in group]), rows, strict=True
                )
            ]
        except Exception as error:  # HfBackend catches what its reader raises: what matters is seen in its answers
            said.append(f"{name} –")
            found.remarks.append(f"{name}: {where(error)}")
            found.ids_differ.add(name)
            continue
        same = sum(row == wanted for row, wanted in pairs)
        said.append(f"{name} {same}/{len(pairs)}")
        if same < len(pairs):
            found.ids_differ.add(name)
    found.row["ids equal"] = ", ".join(said) if found.ids_differ else "yes"


def answers_of(backend: Any, items: Sequence[Any]) -> list[Any]:
    """Responses to all, in one batch where the backend takes them together."""
    backend._portion = backend._rows  # it would begin with a few: mixed sizes are to meet in one batch
    return list(backend.answer(items))


def compare_answers(found: Measured, folder: Path, oracle: Oracle, items: Sequence[Any]) -> list[str] | None:
    """Plain answers, one by one and in a batch, against the loop of our own. None if there are none."""
    alone = found.step("plain", lambda: answers_of(opened(folder, rows=1, shared=False), items))
    if alone is None:
        return None
    if any(response.error for response in alone):
        errors = Counter(response.error for response in alone if response.error)
        found.remarks.append("errors " + ", ".join(f"{count}× «{error}»" for error, count in errors.items()))
        found.failures.append("errors")
    batch = found.step("batch", lambda: answers_of(opened(folder, shared=False), items)) or []
    texts = [response.text for response in alone]
    try:
        expected = [oracle.answer(item) for item in items]
    except Exception as error:
        found.row["answers equal"] = "no oracle"
        found.failures.append("oracle")
        found.remarks.append(f"own loop: {where(error)}")
        return texts
    same = sum(a == b for a, b in zip(texts, expected, strict=True))
    together = sum(response.text == b for response, b in zip(batch, expected, strict=False))
    distinct = len(set(expected))
    found.row["answers equal"] = f"{same}/{len(items)}, batch {together}/{len(items)}, {distinct} distinct"
    if same < len(items) or together < len(items):
        found.failures.append("answers")
        pair = next(((r, e) for r, e in zip(texts, expected, strict=True) if r != e), None)
        found.remarks.append(f"e.g. «{pair[0][:30]}» for «{pair[1][:30]}»" if pair else "batch differs from one by one")
    if distinct <= len(items) / 2:
        found.remarks.append("weak fixture: answers too alike")
    return texts


def compare_likelihoods(found: Measured, folder: Path, oracle: Oracle, items: Sequence[Any]) -> None:
    """Plain likelihoods of options, against generate that is forced to write them."""
    backend = opened(folder, shared=False)
    responses = found.step("likelihood", lambda: answers_of(backend, items))
    if responses is None or any(response.error for response in responses):
        found.row["likelihood"] = "no"
        found.failures.append("likelihood")
        found.remarks += [f"likelihood: «{r.error}»" for r in (responses or [])[:1] if r.error]
        return
    try:
        gap = max(
            abs(oracle.score(item, backend.reader.option(text, item.prompt.wording)) - score)
            for item, response in zip(items[::3], responses[::3], strict=True)
            for text, score in zip(OPTIONS, response.sum_logprobs, strict=True)
        )
    except Exception as error:
        found.row["likelihood"] = "no oracle"
        found.remarks.append(f"own likelihood: {where(error)}")
        return
    found.row["likelihood"] = f"{'yes' if gap <= SAME_SCORE else 'NO'}, gap {gap:.0e}"
    if gap > SAME_SCORE:
        found.failures.append("likelihood")


def compare_shared(found: Measured, folder: Path, items: Sequence[Any], texts: Sequence[str]) -> None:
    """Is the shared prefix used, and does it give what the plain way gives?"""
    backend = opened(folder)
    responses = found.step("shared", lambda: answers_of(backend, items))
    left = left_why(backend)
    scored = scored_items(items)
    scorer = opened(folder)
    scores = found.step("shared likelihood", lambda: answers_of(scorer, scored))
    left = left or left_why(scorer)
    found.row["shared used"] = f"no: {left}" if left else "yes"
    if responses is None or scores is None:
        found.row["shared = plain"] = "no"
        found.failures.append("shared")
        return
    differ = sum(a.text != b for a, b in zip(responses, texts, strict=True))
    plain = found.step("plain likelihood", lambda: answers_of(opened(folder, shared=False), scored))
    try:
        gap = max(
            abs(a - b)
            for one, two in zip(scores, plain or [], strict=True)
            for a, b in zip(one.sum_logprobs, two.sum_logprobs, strict=True)
        )
    except (TypeError, ValueError):
        gap = float("nan")
    right = not differ and gap <= SAME_SCORE
    found.row["shared = plain"] = f"{'yes' if right else 'NO'}, {differ} differ, gap {gap:.0e}"
    if not right:
        found.failures.append("shared")


def left_why(backend: Any) -> str:
    """Why the backend left the shared way; empty if it uses it."""
    return next((note.partition("(")[2].removesuffix(")") for note in backend.notes if "заново" in note), "")


def measure_speed(found: Measured, folder: Path, items: Sequence[Any]) -> None:
    """Time of the plain way over that of the shared one, 24 questions a picture. One measurement: a hint."""
    from dataclasses import replace

    if found.row["shared used"] != "yes":
        return
    pictures = list(dict.fromkeys(item.prompt.image for item in items))[:2]
    many = [
        replace(items[0], prompt=replace(items[0].prompt, image=picture, text=f"{QUESTIONS[n % 6]} {n}"))
        for picture in pictures
        for n in range(24)
    ]
    seconds = []
    for backend in (opened(folder, shared=False), opened(folder)):
        list(backend.answer(many[:2]))  # the check of the first answers is paid once an evaluation
        start = time.perf_counter()
        answers_of(backend, many)
        seconds.append(time.perf_counter() - start)
    found.row["speed-up"] = f"{seconds[0] / seconds[1]:.1f}"


def verdict(found: Measured) -> str:
    """One word for a row without a traceback."""
    if "oracle" in found.failures:
        return "no oracle"
    # ids of `encode` matter only where the shared way is used
    used = found.row["shared used"] == "yes"
    wrong_ids = found.ids_differ - (set() if used else {"encode"})
    if found.failures or wrong_ids:
        return "WRONG"
    return "right" if used else "right, slow"


if __name__ == "__main__":
    sys.exit(main())
