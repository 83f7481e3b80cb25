"""Floor 5: the scikit-learn contract."""
