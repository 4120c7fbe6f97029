"""The machines of cross.py: compilers, what runs their programs, and which packages bring both."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass

LINUX, BARE, PAGE = "linux", "bare", "page"
Which = Callable[[str], str | None]
SANITIZE = "-g -fsanitize=address,undefined -fno-sanitize-recover=all"


@dataclass(frozen=True, slots=True)
class Machine:
    """A processor, or a way to watch a program on this one.

    Attributes:
        name: in the table, and of `--machines`.
        cc: compiler with its options, as `verify --cc` takes it.
        runner: what starts the program.
        packages: of Debian that bring them, by the program that each is known by.
        kind: LINUX is built and run by `verify`'s backend c; BARE has no operating system, `cortex.py` builds
            and runs it; PAGE is WebAssembly in node.
    """

    name: str
    cc: str
    runner: tuple[str, ...]
    packages: dict[str, str]
    kind: str = LINUX

    def missing(self, which: Which = shutil.which) -> str:
        """What keeps it from running, in a few words; empty if nothing does."""
        lacking = {package: program for program, package in self.packages.items() if which(program) is None}
        named = ", ".join(f"{program} ({package})" for package, program in lacking.items())
        return f"no {named}" if named else ""


def emulated(name: str, triple: str, emulator: str, libc: str, options: str = "") -> Machine:
    """A Linux machine that qemu-user runs; static, so that it needs no files of that system."""
    packages = {f"{triple}-gcc": f"gcc-{triple} {libc}", emulator: "qemu-user"}
    return Machine(name, f"{triple}-gcc -static {options}".strip(), (emulator,), packages)


def cortex(core: str, board: str) -> Machine:
    """A Cortex-M on one of QEMU's MPS2 boards."""
    packages = {
        "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
        "qemu-system-arm": "qemu-system-arm",
    }
    cc = f"arm-none-eabi-gcc -mcpu={core} -mthumb -O2"
    runner = ("qemu-system-arm", "-machine", board, "-nographic", "-monitor", "none", "-serial", "null")
    counted = ("-semihosting-config", "enable=on,target=native", "-icount", "shift=0", "-kernel")
    return Machine(core, cc, (*runner, *counted), packages, BARE)


VALGRIND = ("valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full")
MACHINES = (
    Machine("host gcc", "gcc", (), {"gcc": "gcc"}),
    Machine("host clang", "clang", (), {"clang": "clang"}),
    Machine("host ASan+UBSan", f"gcc {SANITIZE}", (), {"gcc": "gcc"}),
    Machine("host valgrind", "gcc -g", VALGRIND, {"gcc": "gcc", "valgrind": "valgrind"}),
    emulated("aarch64", "aarch64-linux-gnu", "qemu-aarch64", "libc6-dev-arm64-cross"),
    emulated("armhf", "arm-linux-gnueabihf", "qemu-arm", "libc6-dev-armhf-cross"),
    emulated("armhf NEON", "arm-linux-gnueabihf", "qemu-arm", "libc6-dev-armhf-cross", "-mfpu=neon"),
    emulated("riscv64", "riscv64-linux-gnu", "qemu-riscv64", "libc6-dev-riscv64-cross"),
    Machine("wasm", "", (), {"node": "nodejs"}, PAGE),
    cortex("cortex-m3", "mps2-an385"),
    cortex("cortex-m4", "mps2-an386"),
)
