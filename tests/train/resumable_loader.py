"""A loader that Lightning resumes where it stood."""

from collections.abc import Iterator

from animelm.data.batches.batch import PackedBatch


class ResumableLoader:
    """Batches as they are, resumed after those that were seen."""

    def __init__(self, batches: list[PackedBatch]) -> None:
        self._batches = batches
        self._seen = 0

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[PackedBatch]:
        while self._seen < len(self):
            self._seen += 1
            yield self._batches[self._seen - 1]
        self._seen = 0

    def state_dict(self) -> dict[str, int]:
        return {"seen": self._seen}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._seen = state["seen"]
