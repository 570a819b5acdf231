"""Objectives of a user's own from what is at hand: a function, a Keras model, a scikit-learn estimator."""
