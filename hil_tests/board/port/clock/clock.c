// Time for the rig board, which the port leaves out: everything is derived from the board's
// free-running 25 MHz counter. Under `qemu -icount shift=5` an instruction takes 32 ns of it,
// so a difference of time.ticks_cpu() is a count of instructions (1.25 to the tick).

#include <stdint.h>

#include "py/mphal.h"
#include "py/runtime.h"

// FPGA system control block of the MPS2 (ARM application note AN385, table 4-2).
#define COUNTER_25_MHZ (*(volatile uint32_t *)0x40028018)
#define TICKS_PER_US (25)

// The counter wraps after 172 s; every look at the time carries the wraps forward. Whoever
// does not look for longer than that loses a wrap: asyncio looks all the time.
static uint64_t ticks_64(void) {
    static uint32_t wraps;
    static uint32_t last;
    uint32_t now = COUNTER_25_MHZ;
    if (now < last) {
        wraps += 1;
    }
    last = now;
    return ((uint64_t)wraps << 32) | now;
}

mp_uint_t mp_hal_ticks_cpu(void) {
    return COUNTER_25_MHZ;
}

mp_uint_t mp_hal_ticks_us(void) {
    return (mp_uint_t)(ticks_64() / TICKS_PER_US);
}

mp_uint_t mp_hal_ticks_ms(void) {
    return (mp_uint_t)(ticks_64() / (TICKS_PER_US * 1000));
}

// The board has no clock that survives a reset: this is time since reset.
uint64_t mp_hal_time_ns(void) {
    return ticks_64() * (1000 / TICKS_PER_US);
}

void mp_hal_delay_us(mp_uint_t us) {
    uint64_t until = ticks_64() + (uint64_t)us * TICKS_PER_US;
    while (ticks_64() < until) {
    }
}

void mp_hal_delay_ms(mp_uint_t ms) {
    uint64_t until = ticks_64() + (uint64_t)ms * TICKS_PER_US * 1000;
    while (ticks_64() < until) {
        mp_handle_pending(true);
    }
}
