"""Results of what was run elsewhere as a sweep's tables: files of rows, Optuna, Ray Tune and Keras Tuner."""
