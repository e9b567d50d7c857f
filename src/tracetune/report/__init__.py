"""Tables, plots and model cards."""
