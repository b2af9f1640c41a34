"""Errors that are sentences for people: what was wrong, where, the value seen, what to do."""

from __future__ import annotations

import errno

_REASONS = {
    errno.ENOENT: "нет такого файла или папки",
    errno.EACCES: "нет прав",
    errno.EPERM: "не разрешено",
    errno.EROFS: "диск только для чтения",
    errno.ENOSPC: "на диске нет места",
    errno.EDQUOT: "кончилась квота",
    errno.ENOTDIR: "на пути файл, а не папка",
    errno.EISDIR: "это папка, а не файл",
    errno.EEXIST: "уже есть",
    errno.ENAMETOOLONG: "слишком длинное имя",
    errno.EIO: "ошибка диска",
    errno.EFBIG: "файл больше, чем разрешено (ulimit -f, квота или файловая система)",
    errno.EMFILE: "не хватило открытых файлов (ulimit -n)",
    errno.ENOTEMPTY: "папка не пуста",
    errno.ELOOP: "ссылки ведут по кругу",
    errno.ENOMEM: "не хватило памяти",
}


WITHOUT_MODELS = (
    "чтобы спрашивать и обучать модели здесь, нужны torch и transformers: pip install 'ruvlm[models]' (из клона – pip install '.[models]'). Без "
    "них работает всё, что не запускает моделей: серверы (openai:), файлы ответов, баллы, сравнения, отчёты, данные."
)


def because(error: OSError) -> str:
    """Why the system refused, in Russian where it is a usual reason."""
    return _REASONS.get(error.errno or 0, error.strerror or str(error))


class RuvlmError(Exception):
    """Any error whose text is meant for the user. The CLI prints it without a traceback and exits with 2."""


class ConfigError(RuvlmError):
    """A run's settings: an unknown key, a value of a wrong type, an unreadable TOML file."""


class DataError(RuvlmError):
    """A data set, a predictions file or an image that cannot be used."""


class MissingSplitError(DataError):
    """A data set that does not have the split asked for; a damaged one is a plain DataError."""


class ModelError(RuvlmError):
    """A checkpoint that is missing, damaged, or of another model."""


class CannotAnswerError(ModelError):
    """A model whose own code refuses a question; `why` in its words."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(text)
        self.why = why


class OutputError(RuvlmError):
    """A place to write to that is taken, full or read-only."""


class DeviceError(RuvlmError):
    """A device that was asked for and is not there."""
