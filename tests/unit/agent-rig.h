/*
 * agent-rig.h - a real hpcagentd in the sandbox's folder `run`, with fake-drive
 * for its workers and the images of `images` for its blobs; and what tests ask of
 * it. Whatever here can't be done fails the test that asked.
 */
#ifndef HPCPACK_TESTS_UNIT_AGENT_RIG_H
#define HPCPACK_TESTS_UNIT_AGENT_RIG_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "blob/base/err.h"

extern pid_t rig_agent; /* the one that runs */

/* Of the group: the sandbox and the images. */
int rig_setup(void **state);
/* Of each test: a fresh agent; and its end, with nothing left behind. */
int rig_begin(void **state);
int rig_finish(void **state);

/* Start hpcagentd as `uid` with one option and its value (or NULL); it listens
 * when rig_start() returns. */
pid_t rig_spawn(uid_t uid, const char *option, const char *value, const char *log);
void rig_start(uid_t uid, const char *option, const char *value);
bool rig_listens(void *arg);
/* Its exit status, or minus the signal that ended it. */
int rig_end(int sig);
int rig_wait_end(unsigned ms);

/* One request, whose reference is taken; NULL and *err when it is refused. */
json_t *rig_call(json_t *request, struct err *err);
/* It must be refused, with a message that holds `expected`. */
void rig_refused(json_t *request, const char *expected);

json_t *rig_mount_request(const char *blob, const char *at);
json_t *rig_unmount_request(const char *target, bool lazy);
/* `request` with one more key; takes the value's reference. */
json_t *rig_with(json_t *request, const char *key, json_t *value);

/* These must work: the entry; the reply. */
json_t *rig_mounted(json_t *request);
void rig_mount(const char *blob, const char *at);
json_t *rig_unmounted(const char *target);

/* A folder of the sandbox, made if need be; the path stays valid. */
const char *rig_folder(const char *name);

/* A field of the listed mount at `at` as text, "" when there is none; valid until
 * the next call. */
const char *rig_field(const char *at, const char *key);
pid_t rig_worker(const char *at);
void rig_becomes(const char *at, const char *state);

/* No loop device, mount, worker or folder within ten seconds. */
void rig_nothing_left(void);
/* Has the worker of this blob (a const char *) been stopped in order? */
bool rig_stopped(void *blob);

/* Somebody who works in this folder, and sleeps. The caller ends and waits for them. */
pid_t rig_sleep_in(const char *folder);

#endif
