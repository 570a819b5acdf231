"""The training engine: networks described by values, and trained epoch by epoch in compiled programs.

`network` describes; `training` trains; `program` compiles, from `variables`, `arrays` and `backbone`; `process`, alone
to import TensorFlow, configures it.
"""
