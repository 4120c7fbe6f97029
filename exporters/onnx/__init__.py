"""ONNX files of teachers and students, float and integer, checked in onnxruntime."""
