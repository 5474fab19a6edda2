/*
 * volume_rig.h - volumes in the sandbox (tests/unit/sandbox.h): what goes wrong fails
 * the test.
 */
#ifndef HPCPACK_TESTS_UNIT_VOLUME_RIG_H
#define HPCPACK_TESTS_UNIT_VOLUME_RIG_H

#include "agent/volume.h"

/* To mount the image at `mnt` in the sandbox, read-write. */
struct volume_wish wish(const char *image);
void attach(const struct volume_wish *w, struct volume *v);
/* And see that nothing of it is left. */
void detach(const struct volume *v);

/* A process whose working directory this is; teardown kills it. */
pid_t sit_in(const char *dir);

#endif
