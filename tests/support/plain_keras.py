"""A training as a notebook would write it with plain Keras: what the engine is compared with."""

from __future__ import annotations

import keras
import numpy as np

from tasks.engine.network import Conv, Dense, Dropout, MaxPool, Normal, named_layers
from tasks.engine.training import class_weights


def model_of(training, shape, seed=0):
    """Build and compile the Keras model of a description; it takes float inputs."""
    model = keras.Sequential([keras.Input(shape)])
    for name, layer in named_layers(training.layers):
        match layer:
            case Dense():
                model.add(keras.layers.Flatten())  # changes nothing where the inputs are flat
                penalty = keras.regularizers.L1L2(layer.l1, layer.l2) if layer.l1 or layer.l2 else None
                model.add(
                    keras.layers.Dense(
                        layer.units,
                        activation=layer.activation,
                        kernel_initializer=initializer(layer.initializer, seed),
                        kernel_regularizer=penalty,
                        name=name,
                    )
                )
            case Conv():
                model.add(
                    keras.layers.Conv2D(
                        layer.filters,
                        layer.kernel,
                        padding="same",
                        activation=layer.activation,
                        kernel_initializer=initializer(layer.initializer, seed),
                        name=name,
                    )
                )
            case MaxPool():
                model.add(keras.layers.MaxPooling2D(layer.size))
            case Dropout():
                model.add(keras.layers.Dropout(layer.rate))
    model.compile(
        optimizer_of(training.optimizer),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def initializer(described, seed):
    match described:
        case Normal(mean, sd):
            return keras.initializers.RandomNormal(mean, sd, seed)
        case name:
            return {"class_name": name, "config": {"seed": seed}}


def optimizer_of(described):
    match described.name:
        case "sgd":
            return keras.optimizers.SGD(described.lr, momentum=described.momentum)
        case "rmsprop":
            return keras.optimizers.RMSprop(described.lr, rho=described.rho)
        case "adam":
            return keras.optimizers.Adam(described.lr)


def begin_like(model, state):
    """Give a model the weights of a training state."""
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([state.variables[f"{layer.name}/{part}"] for part in ("kernel", "bias")])


def begin_anew(model, fresh):
    """Put a model back to its beginning, with the weights of a fresh one: as if that were trained instead."""
    model.set_weights(fresh.get_weights())
    if model.optimizer.built:
        for ours, theirs in zip(model.optimizer.variables, _built(fresh).optimizer.variables, strict=True):
            ours.assign(theirs)


def _built(model):
    model.optimizer.build(model.trainable_variables)
    return model


def weights_of(model):
    """Return a model's weights under the engine's names."""
    return {
        f"{layer.name}/{part}": value
        for layer in model.layers
        for part, value in zip(("kernel", "bias"), layer.get_weights(), strict=False)
    }


def pixels(x):
    return x.astype(np.float32) / 255 if x.dtype == np.uint8 else x


def fit(model, training, data, epochs):
    """Train with `Model.fit` and return its history; the data's order unless the description shuffles."""
    labels = {part: data[f"y_{part}"].astype(np.int32) for part in ("train", "val")}
    balance = class_weights(labels["train"], training.layers[-1].units)
    return model.fit(
        pixels(data["x_train"]),
        labels["train"],
        batch_size=training.batch,
        epochs=epochs,
        shuffle=training.shuffle,
        class_weight=dict(enumerate(balance)) if training.balance == "weights" else None,
        validation_data=(pixels(data["x_val"]), labels["val"]),
        verbose=0,
    ).history
