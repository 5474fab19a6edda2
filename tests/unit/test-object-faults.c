/*
 * vhd/object.h when storage is in trouble, and when blobs are replaced or removed under
 * those who read them.
 *
 *   HPCPACK_SEED=N   what the random readers do
 */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "blob/base/log.h"
#include "tests/unit/object_rig.h"
#include "tests/unit/unit.h"

#define SHORT_MS 3000

/* --- another version, or none --- */

static void lost(bool gone)
{
	enum err_code code = gone ? ERR_NOT_FOUND : ERR_CONDITION;
	struct range_blob *b, *other;
	struct reading *r[10];
	struct object *o, *o2;

	rig_begin(&(struct objects_options) { .cache_bytes = 16 * MIB }, 0);
	b = range_server_add(&server, "b", NULL, 8 * MIB);
	other = range_server_add(&server, "other", NULL, MIB);
	o = rig_open(b, 1);
	o2 = rig_open(other, 1);
	rig_reads(o, 1, 0, 100000);
	range_server_hold(&server, b, 0, ALL);
	for (unsigned i = 0; i < 10; i++)
		r[i] = rig_start(o, 4 * MIB + i * 30000, 40000);
	range_server_wait_held(&server, 1);
	if (gone)
		range_server_remove(&server, b);
	else
		range_server_replace(&server, b);
	assert_int_equal(object_lost(o), ERR_NONE);
	range_server_clear(&server);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(rig_finish(r[i], 4 * MIB + i * 30000, 40000), code);
	for (unsigned turn = 0; turn < 2; turn++) {
		assert_int_equal(object_lost(o), code);
		rig_reads(o, 1, 0, 100000);
		rig_reads(o2, 1, turn * 100000, 1000);
		assert_int_equal(rig_read(o, 1, 4 * MIB, 1000), code);
		assert_int_equal(rig_read(o, 1, 90000, 100000), code);
	}
	assert_int_equal(object_lost(o2), ERR_NONE);
	object_close(o);
	object_close(o2);
	rig_end();
}

static void replaced(void **state)
{
	lost(false);
}

static void gone(void **state)
{
	lost(true);
}

/* Both versions through one cache. */
static void new_version(void **state)
{
	struct range_blob *b;
	struct object *old, *new;

	rig_begin(&(struct objects_options) { .cache_bytes = 16 * MIB }, 0);
	b = range_server_add(&server, "b", NULL, MIB);
	old = rig_open(b, 1);
	rig_reads(old, 1, 0, 70000);
	range_server_replace(&server, b);
	new = rig_open(b, 2);
	assert_true(object_number(old) != object_number(new));
	rig_reads(new, 2, 0, 70000);
	rig_reads(old, 1, 0, 70000);
	object_close(old);
	rig_reads(new, 2, 200000, 70000);
	assert_int_equal(object_lost(new), ERR_NONE);
	object_close(new);
	rig_end();
}

/* --- storage in trouble --- */

static void passing(void **state)
{
	struct range_blob *b;
	struct object *o;

	rig_begin(&(struct objects_options) { .cache_bytes = 16 * MIB }, 0);
	b = range_server_add(&server, "b", NULL, 8 * MIB);
	o = rig_open(b, 1);
	range_server_status(&server, b, 0, MIB, 500, 2);
	rig_reads(o, 1, 1000, 200000);
	range_server_cut(&server, b, 2 * MIB, 3 * MIB, 2);
	rig_reads(o, 1, 2 * MIB + 1, 200000);
	assert_int_equal(object_lost(o), ERR_NONE);
	object_close(o);
	rig_end();
}

static bool is_trouble(enum err_code code)
{
	return code == ERR_SERVER || code == ERR_TIMEOUT || code == ERR_NETWORK;
}

struct wish {
	struct object *o;
	uint64_t offset;
};

static bool is_granted(void *arg)
{
	struct wish *w = arg;

	return rig_read(w->o, 1, w->offset, 100000) == ERR_NONE;
}

/* A request that was begun in bad times may still have to end. */
static void goes_on(struct object *o, uint64_t offset)
{
	struct wish w = { o, offset };

	range_server_clear(&server);
	until(is_granted, &w, "a read once storage is well again");
}

static void lasting(void **state)
{
	struct range_blob *b;
	struct reading *r[10];
	struct object *o;

	rig_begin(&(struct objects_options) { .cache_bytes = MIB }, SHORT_MS);
	b = range_server_add(&server, "b", NULL, 8 * MIB);
	o = rig_open(b, 1);
	rig_reads(o, 1, 0, 1000);
	range_server_status(&server, b, 0, ALL, 500, 0);
	for (unsigned i = 0; i < 10; i++)
		r[i] = rig_start(o, MIB + i * 50000, 60000);
	for (unsigned i = 0; i < 10; i++)
		assert_true(is_trouble(rig_finish(r[i], MIB + i * 50000, 60000)));
	assert_int_equal(object_lost(o), ERR_NONE);
	rig_reads(o, 1, 0, 1000);
	goes_on(o, MIB);
	range_server_cut(&server, b, 0, ALL, 0);
	assert_true(is_trouble(rig_read(o, 1, 4 * MIB, 1000)));
	goes_on(o, 4 * MIB);
	object_close(o);
	rig_end();
}

/* Storage that never answers: the deadline does. */
static void silent(void **state)
{
	struct range_blob *b;
	struct object *o;

	rig_begin(&(struct objects_options) { .cache_bytes = MIB }, SHORT_MS);
	b = range_server_add(&server, "b", NULL, 8 * MIB);
	o = rig_open(b, 1);
	range_server_hold(&server, b, 0, ALL);
	assert_int_equal(rig_read(o, 1, 300000, 100000), ERR_TIMEOUT);
	goes_on(o, 300000);
	object_close(o);
	rig_end();
}

/* --- at random --- */

#define OBJECTS 3
#define THREADS 4
#define READS 500

struct random_reader {
	struct object *const *of;
	uint64_t state;
	char wrong[200];
	unsigned good, bad;
};

static bool one_read(struct random_reader *rr)
{
	struct object *o = rr->of[seed_below(&rr->state, OBJECTS)];
	uint32_t len = 1 + (uint32_t)seed_below(&rr->state, seed_below(&rr->state, 4) ? 9000 : 250000);
	uint64_t offset = seed_below(&rr->state, object_size(o) - len + 1);
	uint64_t most = 1 + seed_below(&rr->state, 6);
	uint8_t *data = malloc(len);
	struct err err;

	for (; most-- && offset + len <= object_size(o); offset += len) {
		if (object_read_wait(o, offset, data, len, &err) < 0) {
			rr->bad++;
			if (err.code != ERR_CONDITION || object_lost(o) != ERR_CONDITION)
				snprintf(rr->wrong, sizeof(rr->wrong), "%.150s", err.msg);
		} else if (rr->good++, rig_compare(data, 1, offset, len) < len) {
			snprintf(rr->wrong, sizeof(rr->wrong), "[%" PRIu64 ", +%u) is wrong", offset, len);
		}
	}
	free(data);
	return !*rr->wrong;
}

static void *read_at_random(void *arg)
{
	struct random_reader *rr = arg;

	for (unsigned i = 0; i < READS && one_read(rr); i++)
		;
	return NULL;
}

/* Some bodies are cut, some requests fail; one of the blobs is replaced meanwhile. */
static void at_random(void **state)
{
	uint64_t seed = seed_of_test();
	struct random_reader readers[THREADS];
	struct object *of[OBJECTS];
	struct range_blob *b[OBJECTS];
	pthread_t threads[THREADS];
	unsigned good = 0, bad = 0;
	char name[8];

	rig_begin(&(struct objects_options) { .cache_bytes = (1 + seed_below(&seed, 4)) * MIB }, 0);
	for (unsigned i = 0; i < OBJECTS; i++) {
		snprintf(name, sizeof(name), "b%u", i);
		b[i] = range_server_add(&server, name, NULL, 2 * MIB + seed_below(&seed, 3 * MIB));
		of[i] = rig_open(b[i], 1);
		range_server_cut(&server, b[i], 0, ALL, 1);
		range_server_status(&server, b[i], MIB, ALL, 503, 1);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		readers[i] = (struct random_reader) { .of = of, .state = seed + i + 1 };
		pthread_create(&threads[i], NULL, read_at_random, &readers[i]);
	}
	rig_reads(of[0], 1, 0, 100);
	range_server_replace(&server, b[2]);
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		good += readers[i].good;
		bad += readers[i].bad;
		if (*readers[i].wrong)
			fail_msg("%s", readers[i].wrong);
	}
	printf("# %u reads, and %u of what is not there any more\n", good, bad);
	assert_true(good > 0);
	assert_int_equal(object_lost(of[0]), ERR_NONE);
	for (unsigned i = 0; i < OBJECTS; i++)
		object_close(of[i]);
	rig_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replaced), cmocka_unit_test(gone), cmocka_unit_test(new_version),
		cmocka_unit_test(passing), cmocka_unit_test(lasting), cmocka_unit_test(silent),
		cmocka_unit_test(at_random),
	};

	log_init("test-object-faults", LOG_LEVEL_ERROR);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
