"""The optional semantic extra: visual labels whose names lie near a sound's label in an embedding space.

WordLlama (https://github.com/dleemiller/WordLlama) averages token embeddings distilled from a language model; its
wheel ships the weights, and nothing is fetched. What it proposes goes to review, never further.
"""

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.matching.candidates import Evidence
from pipelines.matching.phrases import Mention, Role
from pipelines.matching.vocabularies import AudioLabel, VisualLabel
from pipelines.matching.wording import tokens
from shards.errors import AvsError

_MOST = 4  # proposals a label
_LEAST_COSINE = 0.3
_TRUST = 0.3, 0.55  # at the least cosine and at 1


class SemanticExtraMissing(AvsError, ImportError):
    """The extra is not installed; the message says how to install it."""


class Semantics:
    """Embeddings of one visual vocabulary, float32 (labels, dimensions), rows of length 1."""

    def __init__(self, visual: tuple[VisualLabel, ...]) -> None:
        self._model = _model()
        names = self._embed([" ".join(label.names) for label in visual])
        glosses = self._embed([f"{label.names[0]} {label.definition}" for label in visual])
        both = names + glosses
        self._visual = both / np.maximum(np.linalg.norm(both, axis=1, keepdims=True), 1e-9)

    def find(self, label: AudioLabel) -> list[Evidence]:
        """The nearest labels, nearest first; equal ones in the vocabulary's order."""
        text = " ".join(tokens(label.label))
        cosines = np.round(self._visual @ self._embed([text])[0], 4)
        nearest = np.argsort(-cosines, kind="stable")[:_MOST]
        low, high = _TRUST
        mention = Mention(tokens(label.label), Role.SOURCE)
        return [
            Evidence(
                int(number),
                mention,
                "semantic",
                low + (high - low) * float((cosines[number] - _LEAST_COSINE) / (1 - _LEAST_COSINE)),
                f"its name is near the label in meaning (cosine {cosines[number]:.2f})",
            )
            for number in nearest
            if cosines[number] >= _LEAST_COSINE
        ]

    def _embed(self, texts: list[str]) -> np.ndarray:
        return np.asarray(self._model.embed([text.lower() for text in texts], norm=True), dtype=np.float32)


def _model() -> Any:
    try:
        wordllama = importlib.import_module("wordllama")
    except ImportError as error:
        raise SemanticExtraMissing(
            "--semantic needs the package wordllama, which is not installed: pip install 'avs-data[semantic]'"
        ) from error
    # The wheel holds weights and tokenizer; its loader finds the tokenizer only when the wheel is named as the cache.
    return wordllama.WordLlama.load(cache_dir=Path(str(wordllama.__file__)).parent, disable_download=True)
