"""Files of the UCR anomaly archive: what their names say."""

import numpy as np
import pandas as pd
import pytest

from tracetune.base.errors import InputError
from tracetune.data.reading.anomaly_archive import ArchiveName, archive_name
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.read import read_table
from tracetune.estimators.anomaly.frames import normal_part

NAME = "007_UCR_Anomaly_DISTORTEDCIMIS44_60_80_85.txt"


def write(folder, name=NAME, steps=100):
    path = folder / name
    np.savetxt(path, np.sin(np.arange(steps) / 3) + 2)
    return path


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (NAME, ArchiveName(60, 80, 85)),
        ("112_UCR_Anomaly_BIDMC1_2500_5400_5600.txt.gz", ArchiveName(2500, 5400, 5600)),
        ("UCR_Anomaly_60_80_85.txt", None),
        ("007_UCR_Anomaly_x_60_80.txt", None),
        ("sales_2023_01_02.csv", None),
    ],
)
def test_a_name_says_where_the_normal_part_and_the_anomaly_end(name, found):
    assert archive_name(name) == archive_name("folder/" + name) == found


def test_labels_come_from_the_name_and_each_row_is_one_step(tmp_path):
    reading = read_table(write(tmp_path), label_column="label")
    assert reading.panel.lengths == (100,)
    assert np.flatnonzero(reading.labels[0]).tolist() == [80, 81, 82, 83, 84]
    assert any("first 60 steps are normal, and 80 to 84 an anomaly" in str(note) for note in reading.notes)
    assert read_table(write(tmp_path)).labels is None


def test_all_values_in_one_line_are_read_as_those_in_one_column(tmp_path):
    column = write(tmp_path)
    line = tmp_path / NAME.replace("007", "204")
    line.write_text("  " + "  ".join(column.read_text().split()) + "\n")
    one, other = (read_table(path, label_column="label") for path in (column, line))
    np.testing.assert_array_equal(one.labels[0], other.labels[0])
    assert one.panel.origin.normal_steps == other.panel.origin.normal_steps == 60
    np.testing.assert_array_equal(one.panel.series[0].values, other.panel.series[0].values)


def test_a_table_that_was_read_before_is_learned_like_its_file(tmp_path):
    reading = read_table(write(tmp_path), label_column="label")
    panel, labelled = normal_part(reading.panel, list(reading.labels), "label")
    assert (panel.lengths, labelled) == ((60,), True)


def test_a_fit_learns_what_the_name_calls_normal(tmp_path, caplog):
    panel, labelled = normal_part(write(tmp_path), None, "label")
    assert (panel.lengths, labelled) == ((60,), True)
    assert np.isfinite(panel.series[0].values).all()
    assert "the first 60 steps are normal: these alone are learned" in caplog.text
    whole, labelled = normal_part(write(tmp_path, "other.txt"), None, "label")
    assert (whole.lengths, labelled) == ((100,), False)


def test_a_file_that_ends_before_its_anomaly_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"an anomaly in 80 to 85, as the file's name says, found 82 steps"):
        read_table(write(tmp_path, steps=82), label_column="label")
    assert read_table(write(tmp_path, steps=82)).panel.lengths == (82,)


def of_tsb_ad(folder, steps=100, channels=6):
    """Write a table as TSB-AD has them: numbered channels and their labels, no times."""
    path = folder / "057_SMD_id_1_Facility_tr_60_1st_80.csv"
    table = pd.DataFrame({f"Data{number}": np.sin(np.arange(steps) / 3 + number) for number in range(channels)})
    table.assign(Label=((np.arange(steps) >= 80) & (np.arange(steps) < 85)).astype(int)).to_csv(path, index=False)
    return path


def test_numbered_channels_with_a_label_in_each_row_are_channels_not_series(tmp_path):
    reading = read_table(of_tsb_ad(tmp_path), label_column="label")
    assert reading.panel.lengths == (100,)
    assert reading.panel.channels == tuple(f"Data{number}" for number in range(6))
    assert np.flatnonzero(reading.labels[0]).tolist() == [80, 81, 82, 83, 84]
    assert reading.line.startswith("one series, targets Data0, Data1, ")
    given = read_table(of_tsb_ad(tmp_path), ReadingOptions(layout="steps_in_header"), label_column="label")
    assert given.panel.lengths == (6,) * 100


def test_a_fit_learns_what_a_name_of_tsb_ad_gives_to_learn_from(tmp_path, caplog):
    panel, labelled = normal_part(of_tsb_ad(tmp_path), None, "label")
    assert (panel.lengths, labelled) == ((60,), True)
    assert "the first 60 steps are normal: these alone are learned" in caplog.text
    with pytest.raises(InputError, match="more than the 60 steps that are to learn from, as the file's name says"):
        read_table(of_tsb_ad(tmp_path, steps=60), label_column="label")
