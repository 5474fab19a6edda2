/*
 * scratch.h - a folder of its own for each unit test program, gone at its end.
 */
#ifndef HPCPACK_TESTS_UNIT_SCRATCH_H
#define HPCPACK_TESTS_UNIT_SCRATCH_H

/* cmocka group setup and teardown: make the folder, remove it with all in it. */
int scratch_setup(void **state);
int scratch_teardown(void **state);

/* The folder; and DIR/NAME, valid until the 8th call from now. */
const char *scratch_dir(void);
const char *scratch_path(const char *name);

/* Write DIR/NAME (folders on the way are made); its path. */
const char *scratch_write(const char *name, unsigned mode, const char *text);

#endif
