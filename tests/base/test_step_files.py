from pathlib import Path

from tracetune.base.step_files import StepFiles


def test_only_the_steps_that_are_needed_stay(tmp_path: Path) -> None:
    files = StepFiles(tmp_path / "states")
    for step in (5, 10, 15):
        files.new(step).write_bytes(b"")
    other = tmp_path / "states" / "notes.txt"
    other.write_text("mine")
    StepFiles(tmp_path / "states", writable=False).keep([])
    files.keep([10, 20])
    assert files.path(10).is_file()
    assert sorted(path.name for path in files.folder.iterdir()) == ["10.safetensors", "notes.txt"]
    other.unlink()
    files.keep([])
    assert not files.folder.exists()
    files.keep([])  # nothing to do
