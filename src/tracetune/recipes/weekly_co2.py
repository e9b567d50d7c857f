"""Weekly CO2 at Mauna Loa: the series of the demos of forecasting and imputation."""

import pandas as pd
from statsmodels.datasets import co2


def weekly_co2() -> pd.DataFrame:
    """Return CO2 at Mauna Loa, 1958 to 2001, 2,284 weeks in ppm, gaps as NaN; ships with statsmodels."""
    series = co2.load_pandas().data["co2"]
    return pd.DataFrame({"item_id": "co2", "timestamp": series.index, "target": series.to_numpy()})
