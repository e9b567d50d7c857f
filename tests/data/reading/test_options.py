import json

import numpy as np
import pandas as pd
import pytest

from tracetune.base.errors import InputError
from tracetune.data.reading.options import ReadingOptions


@pytest.mark.parametrize("kind", [list, tuple, np.array, pd.Index, pd.Series])
def test_several_columns_come_in_any_kind_of_list(kind):
    options = ReadingOptions(id_column=kind(["shop", "product"]), missing=kind([-9, -200]))
    assert (options.id_column, options.missing) == (("shop", "product"), (-9, -200))
    json.dumps(options.to_json())


@pytest.mark.parametrize("value", [{"shop": "store"}, {"shop"}])
def test_what_has_no_order_names_no_columns(value):
    with pytest.raises(InputError, match="id_column as one name or a list of them"):
        ReadingOptions(id_column=value)
