"""The released network as an ONNX file, written without torch."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, checker, helper, numpy_helper

from models.families.network import NetworkSpec

OPSET = 17
IR_VERSION = 8  # of 2022: older runtimes read it too


def encode(
    spec: NetworkSpec,
    parameters: Mapping[str, npt.NDArray[np.float32]],
    *,
    notes: Mapping[str, str],
) -> bytes:
    """Give the ONNX model `features [rows, width] -> probabilities [rows, classes]`, float32.

    The input is the encoded row (`models.families.encoding`), which `notes` describe.
    """
    nodes, last = _layers(parameters)
    nodes += _two_classes(last) if spec.classes == 2 else _many_classes(last)  # noqa: PLR2004
    constants = [numpy_helper.from_array(np.array([1.0], dtype=np.float32), name="one")]
    weights = [numpy_helper.from_array(np.asarray(v), name=k) for k, v in parameters.items()]
    graph = helper.make_graph(
        nodes,
        "datalabbet",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", spec.inputs])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", spec.classes])],
        initializer=weights + (constants if spec.classes == 2 else []),  # noqa: PLR2004
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="datalabbet",
    )
    helper.set_model_props(model, dict(notes))
    checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _layers(
    parameters: Mapping[str, npt.NDArray[np.float32]],
) -> tuple[list[NodeProto], str]:
    """Give the nodes up to the logits, and the name of the logits."""
    indices = sorted({int(name.partition(".")[0]) for name in parameters})
    nodes: list[NodeProto] = []
    value = "features"
    for index in indices:
        if index != indices[0]:
            nodes.append(helper.make_node("Relu", [value], [f"hidden{index}"]))
            value = f"hidden{index}"
        linear = [value, f"{index}.weight", f"{index}.bias"]
        nodes.append(helper.make_node("Gemm", linear, [f"linear{index}"], transB=1))
        value = f"linear{index}"
    return nodes, value


def _two_classes(logit: str) -> list[NodeProto]:
    """Give the nodes from one logit to the probabilities of both classes."""
    return [
        helper.make_node("Sigmoid", [logit], ["positive"]),
        helper.make_node("Sub", ["one", "positive"], ["negative"]),
        helper.make_node("Concat", ["negative", "positive"], ["probabilities"], axis=1),
    ]


def _many_classes(logits: str) -> list[NodeProto]:
    """Give the node from one logit per class to their probabilities."""
    return [helper.make_node("Softmax", [logits], ["probabilities"], axis=1)]
