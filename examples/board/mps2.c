/* From reset to main on the Cortex-M boards of QEMU, and their lamp; a vendor's own start-up code stands for it. */
#include <stdint.h>
#include <stdlib.h>

extern uint32_t data_image[], data_begin[], data_end[], bss_begin[], bss_end[], stack_top[];
int main(void);
void initialise_monitor_handles(void); /* printf and exit through the debugger: -specs=rdimon.specs */
void lamp(int on);

void reset(void)
{
    const uint32_t *from = data_image;
    uint32_t *to;
    for (to = data_begin; to < data_end; to++)
        *to = *from++;
    for (to = bss_begin; to < bss_end; to++)
        *to = 0;
    initialise_monitor_handles();
    exit(main());
}

static void fault(void)
{
    exit(3);
}

/* Where the processor finds its stack and its first instruction; then what it does at every fault. */
__attribute__((section(".vectors"), used)) static const uintptr_t vectors[] = {
    (uintptr_t)stack_top, (uintptr_t)reset, (uintptr_t)fault, (uintptr_t)fault,
    (uintptr_t)fault,     (uintptr_t)fault, (uintptr_t)fault,
};

/* The first lamp of the board; a board of yours has a register of its own. */
void lamp(int on)
{
    *(volatile uint32_t *)0x40028000u = on ? 1 : 0;
}
