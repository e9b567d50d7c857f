"""The protocol of a result: all that two numbers must share to be comparable, with a short digest."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version

from tracetune.base.json_types import JsonObject

_LIBRARIES = ("tracetune", "torch", "transformers", "peft")
_DIGEST_LENGTH = 16


def library_versions() -> dict[str, str]:
    """Return installed versions of the libraries that can change a result; those that are absent are left out."""
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


@dataclass(frozen=True)
class ProtocolFingerprint:
    """Protocol of a result: all that it rests on, the method aside. Two rows compare if their digests agree.

    Attributes:
        dataset: name of the data.
        data_sha256: digest of the data file.
        borders: ends of train, validation and test, in steps.
        context_length: T.
        prediction_length: H.
        seed: of initial weights, order and dropout.
        stride: steps between test origins.
        drop_last: whether an incomplete last test batch is dropped (always False here).
        scaler: how values are scaled, and on which part that was fitted.
        metric_space: "scaled" or "original" values.
        train_windows: how many training windows were used; None for all.
        epoch_windows: how many windows counted as one epoch; None for all. None is left out of the digest, so that
            older digests stay valid.
        versions: of the libraries.
    """

    dataset: str
    data_sha256: str
    borders: tuple[int, int, int]
    context_length: int
    prediction_length: int
    seed: int
    stride: int = 1
    drop_last: bool = False
    scaler: str = "standard per channel, fitted on train"
    metric_space: str = "scaled"
    train_windows: int | None = None
    epoch_windows: int | None = None
    versions: dict[str, str] = field(default_factory=library_versions)

    def to_dict(self) -> JsonObject:
        """Return the fields as JSON types, with the digest."""
        return {**json.loads(self._canonical()), "digest": self.digest()}

    def digest(self) -> str:
        """Return first 16 hexadecimal digits of the SHA-256 of the canonical JSON form."""
        return hashlib.sha256(self._canonical().encode()).hexdigest()[:_DIGEST_LENGTH]

    def _canonical(self) -> str:
        content = asdict(self)
        if self.epoch_windows is None:
            del content["epoch_windows"]
        return json.dumps(content, sort_keys=True, separators=(",", ":"))
