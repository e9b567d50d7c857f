import hashlib
import json
from dataclasses import replace

import pytest
import torch

from tracetune.evaluation.protocol import ProtocolFingerprint, library_versions

VERSIONS = {"torch": "2.13.0", "tracetune": "0.1.0"}


@pytest.fixture
def fingerprint() -> ProtocolFingerprint:
    return ProtocolFingerprint("ETTh1", "ab" * 32, (8640, 11520, 14400), 512, 96, seed=0, versions=VERSIONS)


def test_the_digest_is_that_of_the_canonical_json(fingerprint):
    content = {key: value for key, value in fingerprint.to_dict().items() if key != "digest"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    assert fingerprint.digest() == hashlib.sha256(canonical.encode()).hexdigest()[:16]
    assert fingerprint.to_dict()["digest"] == fingerprint.digest()


def test_the_same_protocol_has_the_same_digest(fingerprint):
    reordered = replace(fingerprint, versions=dict(reversed(VERSIONS.items())))
    assert reordered.digest() == fingerprint.digest()


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "ETTh2"},
        {"data_sha256": "cd" * 32},
        {"borders": (8640, 11520, 14401)},
        {"context_length": 336},
        {"prediction_length": 192},
        {"seed": 1},
        {"stride": 2},
        {"drop_last": True},
        {"scaler": "none"},
        {"metric_space": "original"},
        {"train_windows": 1000},
        {"epoch_windows": 1000},
        {"versions": {"torch": "2.12.0", "tracetune": "0.1.0"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_field_changes_the_digest(fingerprint, change):
    assert replace(fingerprint, **change).digest() != fingerprint.digest()


def test_it_is_plain_json(fingerprint):
    content = fingerprint.to_dict()
    assert json.loads(json.dumps(content)) == content
    assert content["borders"] == [8640, 11520, 14400]


def test_the_versions_are_the_installed_ones():
    versions = library_versions()
    assert versions["torch"].partition("+")[0] == torch.__version__.partition("+")[0]  # +cu130 is in one of the two
    assert {"tracetune", "transformers", "peft"} <= set(versions)


def test_digests_from_before_epochs_could_be_parts_hold(fingerprint):
    """This digest was taken before the field ``epoch_windows`` was there."""
    assert fingerprint.digest() == "2eab71d59b9c7f00"
    assert "epoch_windows" not in fingerprint.to_dict()
    assert replace(fingerprint, epoch_windows=8).to_dict()["epoch_windows"] == 8
