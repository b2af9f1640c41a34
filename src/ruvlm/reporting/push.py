"""A run to the hub: exactly which files, then one commit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ruvlm.checkpoint import model_folder
from ruvlm.errors import ConfigError, ModelError, RuvlmError
from ruvlm.evaluation.folder import evaluations_in
from ruvlm.run_folder import RunFolder

SUFFIXES = (".safetensors", ".json", ".jinja", ".model", ".txt")
NAME = re.compile(r"[\w.\-]+/[\w.\-]+")


@dataclass(frozen=True)
class Sent:
    """A file and its name in the repository."""

    path: Path
    name: str

    @property
    def size(self) -> int:
        return self.path.stat().st_size


def planned(run: Path) -> list[Sent]:
    """What a run's repository would hold. Raises ModelError if there is no model or no card."""
    model = model_folder(str(run))
    if not RunFolder(run).card.is_file():
        raise ModelError(f"В {run} нет README.md: карточку пишут ruvlm train и ruvlm eval, выполните одну из них.")
    files = [
        Sent(path, path.name) for path in sorted(model.iterdir()) if _is_of_model(path) and path.name != "README.md"
    ]
    folder = RunFolder(run)
    beside = [*folder.published, *(place.figures for place in evaluations_in(folder.evaluations))]
    files += [Sent(path, str(path.relative_to(run))) for path in beside]
    return files


def _is_of_model(path: Path) -> bool:
    """A model's own regular file by its suffix: no hidden ones, no links, nothing that strayed in."""
    return path.is_file() and not path.is_symlink() and not path.name.startswith(".") and path.suffix in SUFFIXES


def left_out(run: Path) -> list[str]:
    """What lies in the model's folder and is not sent."""
    sent = {file.path for file in planned(run)}
    return [
        path.name for path in sorted(model_folder(str(run)).iterdir()) if path not in sent and path.name != "README.md"
    ]


def named(repo: str) -> str:
    """A repository's name. Raises ConfigError for what is none."""
    if not NAME.fullmatch(repo) or ".." in repo:
        raise ConfigError(f"«{repo}» – не имя на хабе: нужно ОРГАНИЗАЦИЯ/ИМЯ.")
    return repo


def push(run: Path, repo: str, private: bool) -> str:
    """Send a run; the address of the commit. Raises RuvlmError saying why the hub did not take it."""
    files = planned(run)
    named(repo)
    from huggingface_hub import CommitOperationAdd, HfApi, get_token

    if not get_token():
        raise ConfigError("Для отправки нужен HF_TOKEN с правом записи: задайте его в окружении.")
    api = HfApi()
    with _explained(repo):
        api.create_repo(repo, private=private, exist_ok=True)
        operations = [CommitOperationAdd(file.name, str(file.path)) for file in files]
        done = api.create_commit(repo, operations, commit_message=f"ruvlm: {run.name}")
    return str(done.commit_url)


@contextmanager
def _explained(repo: str) -> Iterator[None]:
    import httpx2 as httpx
    from huggingface_hub import constants, errors

    try:
        yield
    except errors.OfflineModeIsEnabled as error:
        raise RuvlmError("Включён HF_HUB_OFFLINE: уберите его, чтобы отправить.") from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        why = "у HF_TOKEN нет права записи сюда" if status in (401, 403) else "повторите позже"
        raise RuvlmError(f"Хаб {constants.ENDPOINT} не принял {repo} ({status}): {why}.") from error
    except httpx.HTTPError as error:
        raise RuvlmError(
            f"Нет связи с {constants.ENDPOINT} ({type(error).__name__}): проверьте сеть и HF_ENDPOINT."
        ) from error
