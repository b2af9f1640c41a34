"""The fixtures of `bench` under the name that checks written by others import them by."""

from bench.random_models import *  # noqa: F403
