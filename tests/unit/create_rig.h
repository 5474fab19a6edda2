/*
 * create_rig.h - packages made of small files. What goes wrong in here fails the test.
 */
#ifndef TESTS_UNIT_CREATE_RIG_H
#define TESTS_UNIT_CREATE_RIG_H

#include <time.h>

#include "pack/create_priv.h"

#define SAID_MAX 65536
extern char said[SAID_MAX];  /* warnings, a line each */

/* Each test has a folder of its own, and works in it. */
int enter(void **state);
int leave(void **state);
#define TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)

/* A file with this text, and the folders that it is in. */
void put(const char *path, const char *text);

/* When it was changed last. */
void date(const char *path, time_t when);

/* Sources behind one another, up to NULL. */
int make_with(const struct pack_create_options *o, struct err *err, const char *package, ...);

extern const struct pack_create_options plain;
#define make(...) make_with(&plain, &err, __VA_ARGS__, NULL)

/* "a bin/ bin/x>target": what is in it, but OPC's own. */
const char *listing(const char *package);

/* Byte by byte. */
void same_file(const char *a, const char *b);

#endif
