/* Runs test.c on a Cortex-M of QEMU and tells what it took: instructions, and bytes of stack.
 *
 * With -icount shift=0 QEMU's clock goes on by a nanosecond with each instruction, and the board's counter goes
 * by that clock. How many instructions a tick stands for is measured first, on a loop of a known number.
 */
#include <stdint.h>
#include <stdio.h>

#define COUNTER (*(volatile uint32_t *)0x40028018u)
#define LOOPS 1000000u
#define PAINTED 8192 /* words below this function's own stack */
#define PAINT 0x5eed5eedu

int network_main(void);
void lamp(int on);

static uint32_t ticks_of_loop(void)
{
    uint32_t left = LOOPS;
    const uint32_t begun = COUNTER;
    __asm volatile("1: subs %0, %0, #1\n   bne 1b" : "+r"(left) : : "cc");
    return COUNTER - begun;
}

int main(void)
{
    volatile uint32_t *const stack = (volatile uint32_t *)__builtin_frame_address(0) - 16;
    const uint32_t loop = ticks_of_loop();
    uint32_t ticks;
    int at, status;
    lamp(1);
    for (at = 1; at <= PAINTED; at++)
        stack[-at] = PAINT;
    ticks = COUNTER;
    status = network_main();
    ticks = COUNTER - ticks;
    for (at = PAINTED; at > 0 && stack[-at] == PAINT; at--)
        ;
    lamp(0);
    printf("ticks %lu loop %lu of %lu instructions, stack %lu\n", (unsigned long)ticks, (unsigned long)loop,
           (unsigned long)(2 * LOOPS), (unsigned long)at * 4);
    return status;
}
