/*
 * sandbox.h - for tests that mount: a folder of their own, and counting what is
 * left behind. Needs root; the test is skipped without.
 */
#ifndef HPCPACK_TESTS_UNIT_SANDBOX_H
#define HPCPACK_TESTS_UNIT_SANDBOX_H

#include <stdbool.h>
#include <sys/types.h>

/* cmocka group setup and teardown. All is in a mount namespace of its own. Teardown takes away whatever is still there:
 * mounts and loop devices by name, processes by the pid they were noted with. */
int sandbox_setup(void **state);
int sandbox_teardown(void **state);

/* From now on /dev/fuse is open to all here, as udev's rules have it where they
 * run. 0 or -1. */
int sandbox_open_fuse(void);

/* Exit the program as skipped (77, with the reason) when it can't run here. */
void sandbox_require(void);

const char *sandbox_dir(void);
/* DIR/text; valid until the 16th call from now. */
const char *sandbox_path(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A program of the build: absolute. */
const char *sandbox_program(const char *name);

/* Run a shell command; the test fails when it does. */
void sandbox_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same, its exit status. */
int sandbox_try(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The test fails, and says what to install, when the system lacks this program. */
void sandbox_need(const char *program);

/* A process that teardown kills if it still runs. */
void sandbox_note_pid(pid_t pid);

/* Loop devices whose file is in the sandbox, and mounts in it. */
int sandbox_loops(void);
int sandbox_mounts(void);

/* Until `ready(arg)`, at most so long; false when it never came. */
bool sandbox_wait(bool (*ready)(void *arg), void *arg, unsigned ms);

/* DIR/NAME with a filesystem of `mib` MiB that holds the file hello.txt. */
const char *sandbox_ext4(const char *name, unsigned mib);

#endif
