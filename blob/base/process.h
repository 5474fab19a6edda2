/*
 * process.h - naming a process for good: a pid is given to another one day, a pid
 * with the time at which it started is not.
 */
#ifndef HPCPACK_BLOB_BASE_PROCESS_H
#define HPCPACK_BLOB_BASE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Start time of a process in clock ticks since boot, 0 if there is none (or it is
 * hidden from us). */
uint64_t process_start(pid_t pid);

/* Does the process with this pid and start time still run (and is no zombie)?
 * Reaps it if it is ours. */
bool process_alive(pid_t pid, uint64_t start);

/* Is it certain that it does not? Of a process that is hidden from us nothing is. */
bool process_gone(pid_t pid, uint64_t start);

#endif
