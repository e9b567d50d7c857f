"""Classification of series: its model, the scales that series are read at, and what speaks for a class."""
