"""The student alone, to be taken elsewhere: ONNX with its preprocessing inside, in float32 and in 8 bits."""

from foodkd.export.folder import FLOAT, FORMAT, INT8, export_pair
from foodkd.export.graph import PHOTO, StudentGraph, write_onnx

__all__ = ["FLOAT", "FORMAT", "INT8", "PHOTO", "StudentGraph", "export_pair", "write_onnx"]
