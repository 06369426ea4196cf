"""A network as plain data, and what rows become by it; no estimators."""
