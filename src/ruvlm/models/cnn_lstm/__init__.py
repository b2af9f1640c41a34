"""The CNN+LSTM baseline of 649,610 parameters: it picks one of the most frequent training answers."""

from __future__ import annotations

from pydantic import Field

from ruvlm.config import Family, ModelSettings, RunConfig


class CnnLstmModel(ModelSettings):
    """How many answers it picks from."""

    name: str = "cnn_lstm"
    classes: int = Field(10, ge=2)


class CnnLstmRun(RunConfig):
    """A run of the baseline."""

    model: CnnLstmModel = CnnLstmModel()


FAMILY = Family(
    name="cnn_lstm",
    run=CnnLstmRun,
    learner="ruvlm.models.cnn_lstm.learner:CnnLstmLearner",
    backend="ruvlm.models.cnn_lstm.backend:CnnLstmBackend",
    model_type="ruvlm_cnn_lstm",
)
