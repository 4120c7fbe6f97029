"""Networks that teach: architectures, users' weights and ONNX files, taps for their features."""
