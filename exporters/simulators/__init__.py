"""Students lowered to norse, snntorch, spikingjelly, sinabs and nirtorch."""
