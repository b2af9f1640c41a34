"""RuVLM-Bench: train vision-language models and measure honestly how they answer in Russian.

Importing this package loads no torch. It does register our models with transformers' Auto classes, at once if
transformers is loaded already, else the moment it is (ruvlm.autoregister).
"""

from ruvlm.autoregister import install

__version__ = "0.1.0"
__all__ = ["__version__"]

install()
