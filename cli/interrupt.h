/*
 * interrupt.h - SIGINT, SIGTERM and SIGHUP while something is under way.
 *
 * The first one calls a function, once, on a thread of its own: it ends what is
 * under way, and the command then cleans up and exits with 128 + the signal. A
 * second one ends the process on the spot.
 */
#ifndef HPCPACK_CLI_INTERRUPT_H
#define HPCPACK_CLI_INTERRUPT_H

#include "blob/base/err.h"

int interrupt_start(void (*fn)(void *arg), void *arg, struct err *err);

/* From now on the function is not called any more (and is not running): what
 * follows is short, and better finished than broken off. */
void interrupt_hold(void);

/* Give the signals back and end the thread. */
void interrupt_stop(void);

/* The signal that came, 0 if none did. */
int interrupt_signal(void);

#endif
