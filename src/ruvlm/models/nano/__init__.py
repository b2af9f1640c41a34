"""nano, the compact VLM that is trained from nothing: settings, model, tokenizer, learner with its lessons, backend."""

from __future__ import annotations

from ruvlm.config import Family
from ruvlm.models.nano.settings import NanoRun

FAMILY = Family(
    name="nano",
    run=NanoRun,
    learner="ruvlm.models.nano.learner:NanoLearner",
    backend="ruvlm.models.nano.backend:NanoBackend",
    model_type="ruvlm_nano",
)
