"""`snn-tool demo`: the whole pipeline on photographs that ship, and its page."""
