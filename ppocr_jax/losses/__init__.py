"""Losses as pure functions: arrays -> scalar, or (scalar, {term: scalar})."""
