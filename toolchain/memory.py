"""Whether an error says that the memory of the host or of an accelerator ran out."""

PHRASES = (
    "DefaultCPUAllocator",  # torch on the host, a RuntimeError; the words differ between systems
    "out of memory",  # torch.OutOfMemoryError of CUDA and of others, a RuntimeError as well
    "bad_alloc",  # C++ libraries under torch and onnxruntime
    "Failed to allocate memory",  # onnxruntime's arena
)


def is_out_of_memory(error: BaseException) -> bool:
    """By type or by the words of the library, because torch need not have been imported to ask."""
    return isinstance(error, MemoryError) or any(phrase in str(error) for phrase in PHRASES)
