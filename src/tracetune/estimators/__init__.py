"""Objects with five verbs: from_pretrained, fit, predict_df, evaluate, save_pretrained."""
