/* Packages that try to do harm (tests/lib/hostile.py): each is found out where it
 * should be and with the words it should be, in little memory. */
#include <config.h>

#include "unit.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc_count.h"
#include "blob/base/cleanup.h"
#include "pack/decoder.h"
#include "scratch.h"

#define FILE_MAX (8u << 20)     /* bytes of a package; the largest has one MiB */
#define MEMORY_MAX (48u << 20)  /* that index and decoder may take */

static uint8_t *data;
static size_t len;
static uint8_t out[64 << 10];
static const char *name;        /* of the case */
static struct err err;          /* what was found, or ERR_NONE */

static void load(const char *path)
{
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	len = fread(data, 1, FILE_MAX, f);
	assert_true(len < FILE_MAX);
	fclose(f);
}

static void check_message(const char *expect)
{
	regex_t re;

	assert_int_equal(regcomp(&re, expect, REG_EXTENDED | REG_NOSUB), 0);
	if (regexec(&re, err.msg, 0, NULL, 0) != 0)
		fail_msg("%s: '%s' does not say '%s'", name, err.msg, expect);
	regfree(&re);
	if (strncmp(err.msg, "c/app.zip: ", 11) != 0 || strchr(err.msg, '\n'))
		fail_msg("%s: unclear: %s", name, err.msg);
	if (err.code != ERR_FORMAT && err.code != ERR_UNSUPPORTED)
		fail_msg("%s: %s: %s", name, err_code_name(err.code), err.msg);
}

/* A member, all of it. Never more than its size comes out. False: it failed. */
static bool read_member(const struct pack_entry *e, struct pack_decoder **d)
{
	const uint8_t *in = data + e->header_offset;
	size_t left = (size_t)e->span, made;
	uint64_t all = 0;
	enum pack_step step;

	if (!*d)
		*d = pack_decoder_new(e, "c/app.zip", &err);
	else
		assert_int_equal(pack_decoder_reset(*d, e, &err), 0);
	assert_non_null(*d);
	do {
		step = pack_decoder_run(*d, &in, &left, out, sizeof(out), &made, &err);
		all += made;
		assert_true(all <= e->size);
	} while (step == PACK_STEP_OUTPUT);
	if (step == PACK_STEP_INPUT)
		fail_msg("%s: %s wants more than there is", name, e->path);
	if (step == PACK_STEP_DONE)
		assert_int_equal(all, e->size);
	return step == PACK_STEP_DONE;
}

static const char *read_all(const struct pack_index *index)
{
	struct pack_decoder *d = NULL;
	const char *stage = "none";

	for (uint32_t i = 1; i < index->count; i++) {
		const struct pack_entry *e = &index->entries[i];

		if (e->type == PACK_DIR || e->problem)
			continue;
		if (!read_member(e, &d)) {
			stage = "read";
			break;
		}
		if (e->type == PACK_LINK) {
			out[e->size] = '\0';
			if (!pack_link_inside(index, e->path, (char *)out))
				stage = "link";
		}
	}
	pack_decoder_free(d);
	return stage;
}

/* Where it was found out, and in `err` why. */
static const char *try(void)
{
	static const struct pack_limits limits = { .max_unpacked = 1ull << 30, .max_ratio = 500 };
	struct pack_memory mem;
	struct pack_index index;
	struct err check;
	const char *stage;

	err_clear(&err);
	pack_memory_init(&mem, "c/app.zip", data, len);
	if (pack_index_open(&index, &mem.reader, &limits, &err) < 0)
		return "open";
	stage = read_all(&index);
	if (pack_index_check(&index, "c/app.zip", 0, 0, &check) < 0) {
		stage = "check";
		err = check;
	}
	pack_index_free(&index);
	return stage;
}

/* Lines of --all: case, stage, expression. */
static void all_cases(void **state)
{
	char line[1024];
	unsigned count = 0;
	FILE *f;

	snprintf(line, sizeof(line), "/usr/bin/env python3 '%s/tests/lib/hostile.py' --all '%s'", TEST_SRCDIR,
		 scratch_dir());
	f = popen(line, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		char *stage, *expect, *rest = line, path[300];
		const char *was;

		name = strsep(&rest, "\t");
		stage = strsep(&rest, "\t");
		expect = strsep(&rest, "\n");
		assert_non_null(expect);
		snprintf(path, sizeof(path), "%.200s.zip", name);
		load(scratch_path(path));
		alloc_now = alloc_most = 0;
		was = try();
		if (strcmp(was, stage) != 0)
			fail_msg("%s: %s instead of %s: %s", name, was, stage, err.msg);
		if (strcmp(stage, "none") != 0 && strcmp(stage, "link") != 0)
			check_message(expect);
		if (alloc_most > MEMORY_MAX)
			fail_msg("%s: takes %zu bytes", name, alloc_most);
		if (alloc_now)
			fail_msg("%s: %zu bytes are left", name, alloc_now);
		count++;
	}
	assert_int_equal(pclose(f), 0);
	assert_true(count > 150);
}

static int setup(void **state)
{
	data = malloc(FILE_MAX);
	return data ? scratch_setup(state) : -1;
}

static int teardown(void **state)
{
	free(data);
	return scratch_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(all_cases) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
