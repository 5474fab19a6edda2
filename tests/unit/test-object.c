/* Reading several blobs through one chunk cache (vhd/object.h), against a server that
 * knows nothing of it. What goes wrong: test-object-faults.c. */
#include <config.h>

#include <stdio.h>

#include "blob/base/log.h"
#include "tests/unit/object_rig.h"
#include "tests/unit/unit.h"

/* --- what a read gives --- */

static const uint64_t borders[] = { 0, 1, 511, 512, 4095, 4096, 65535, 65536, 65537, 131071, 131072,
				    196607, 196608, 200000, 200001 };
#define BORDERS (sizeof(borders) / sizeof(borders[0]))

/* Each range that begins and ends near a border, of objects that end near one. */
static void any_range(void **state)
{
	char name[16];

	rig_begin(&(struct objects_options) { .cache_bytes = 16 * MIB }, 0);
	for (size_t s = 1; s < BORDERS; s++) {
		struct range_blob *b;
		uint64_t sent;

		snprintf(name, sizeof(name), "b%zu", s);
		b = range_server_add(&server, name, NULL, borders[s]);
		for (size_t i = 0; i < s; i++)
			for (size_t j = i + 1; j <= s; j++) {
				struct object *o = rig_open(b, 1);

				rig_reads(o, 1, borders[i], (uint32_t)(borders[j] - borders[i]));
				sent = range_server_look(&server, b).requests;
				rig_reads(o, 1, borders[i], (uint32_t)(borders[j] - borders[i]));
				assert_int_equal(range_server_look(&server, b).requests, sent);
				rig_reads(o, 1, 0, (uint32_t)b->size);
				object_close(o);
			}
		assert_true(range_server_look(&server, b).furthest <= b->size);
	}
	rig_end();
}

static void beyond(void **state)
{
	struct range_blob *b;
	struct object *o;

	rig_begin(&(struct objects_options) { .cache_bytes = MIB }, 0);
	b = range_server_add(&server, "b", NULL, 2 * MIB);
	o = rig_open(b, 1);
	assert_int_equal(object_size(o), 2 * MIB);
	assert_int_equal(rig_read(o, 1, 2 * MIB, 1), ERR_RANGE);
	assert_int_equal(rig_read(o, 1, 2 * MIB - 10, 11), ERR_RANGE);
	assert_int_equal(rig_read(o, 1, UINT64_MAX, 2), ERR_RANGE);
	assert_int_equal(rig_read(o, 1, 0, 0), ERR_RANGE);
	assert_true(objects_max_io(objects) >= 64 * KIB);
	assert_int_equal(rig_read(o, 1, 0, objects_max_io(objects) + 1), ERR_RANGE);
	assert_int_equal(range_server_look(&server, b).requests, 0);
	rig_reads(o, 1, 2 * MIB - objects_max_io(objects), objects_max_io(objects));
	assert_int_equal(object_lost(o), ERR_NONE);
	object_close(o);
	rig_end();
}

/* --- what goes over the network --- */

static void shared(void **state)
{
	struct reading *r[20];
	struct range_blob *b, now;
	struct object *o;

	rig_begin(&(struct objects_options) { .cache_bytes = 16 * MIB }, 0);
	b = range_server_add(&server, "b", NULL, 8 * MIB);
	o = rig_open(b, 1);
	range_server_hold(&server, b, 0, ALL);
	for (unsigned i = 0; i < 20; i++)
		r[i] = rig_start(o, 4 * MIB + i * 100, 20000);
	range_server_wait_held(&server, 1);
	for (unsigned i = 0; i < 20; i++)
		assert_false(reading_is_over(r[i]));
	range_server_clear(&server);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(rig_finish(r[i], 4 * MIB + i * 100, 20000), ERR_NONE);
	now = range_server_look(&server, b);
	assert_int_equal(now.requests, 1);
	assert_true(now.bytes <= 64 * KIB);
	object_close(o);
	rig_end();
}

static void random_reads_fetch_little(void **state)
{
	struct range_blob *b, now;
	struct object *o;

	rig_begin(&(struct objects_options) { .cache_bytes = 16 * MIB, .fetch_bytes = 16 * KIB }, 0);
	b = range_server_add(&server, "b", NULL, 64 * MIB);
	o = rig_open(b, 1);
	for (unsigned i = 0; i < 30; i++)
		rig_reads(o, 1, (uint64_t)(i * 13 % 30) * 2 * MIB + i * 1000, 4096);
	now = range_server_look(&server, b);
	assert_true(now.bytes <= 30 * 16 * KIB);
	assert_int_equal(now.requests, 30);
	object_close(o);
	rig_end();
}

struct ahead {
	const struct range_blob *blob;
	uint64_t of;
};

static bool is_ahead(void *arg)
{
	struct ahead *a = arg;

	return range_server_look(&server, a->blob).furthest > a->of;
}

/* Who reads in sequence finds it there; with gaps as between members, too. */
static void read_ahead(void **state)
{
	for (unsigned gap = 0; gap <= 60; gap += 30) {
		struct ahead a = { .of = 0 };
		struct range_blob *b, now;
		struct object *o;

		rig_begin(&(struct objects_options) { .cache_bytes = 64 * MIB }, 0);
		b = range_server_add(&server, "b", NULL, 16 * MIB + 77);
		o = rig_open(b, 1);
		a.blob = b;
		for (uint64_t at = 0; at < b->size; at += 50000 + gap) {
			rig_reads(o, 1, at, at + 50000 < b->size ? 50000 : (uint32_t)(b->size - at));
			a.of = at + 100000;
			if (at > MIB && at < 15 * MIB)
				until(is_ahead, &a, "a request ahead of the reader");
		}
		now = range_server_look(&server, b);
		assert_int_equal(now.bytes, b->size);
		assert_true(now.requests < 100);
		object_close(o);
		rig_end();
	}
}

/* --- little memory --- */

static void small_cache(void **state)
{
	struct objects_options o = { .cache_bytes = MIB };
	struct range_blob *b[3];
	struct object *of[3];
	struct objects_stats now;
	char name[8];

	rig_begin(&o, 0);
	for (unsigned i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "b%u", i);
		b[i] = range_server_add(&server, name, NULL, 3 * MIB + i);
		of[i] = rig_open(b[i], 1);
	}
	assert_true(object_number(of[0]) != object_number(of[1]));
	for (unsigned turn = 0; turn < 2; turn++)
		for (unsigned at = 0; at < 3 * MIB; at += 100 * KIB)
			for (unsigned i = 0; i < 3; i++) {
				rig_reads(of[i], 1, at, 64 * KIB);
				objects_stats(objects, &now);
				assert_true(now.cached_bytes <= now.cache_bytes);
				assert_int_equal(now.cache_bytes, MIB);
			}
	for (unsigned i = 0; i < 3; i++)
		object_close(of[i]);
	rig_end();
}

/* More than the cache can hold is asked for at once: some wait for room. */
static void no_room(void **state)
{
	struct reading *r[200];
	struct range_blob *b;
	struct object *o;
	uint32_t len;

	rig_begin(&(struct objects_options) { .cache_bytes = MIB }, 0);
	b = range_server_add(&server, "b", NULL, 64 * MIB);
	o = rig_open(b, 1);
	len = objects_max_io(objects);
	range_server_hold(&server, b, 0, ALL);
	for (unsigned i = 0; i < 200; i++)
		r[i] = rig_start(o, (uint64_t)(i * 37 % 200) * 300000 + 17, len);
	range_server_wait_held(&server, 2);
	range_server_clear(&server);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(rig_finish(r[i], (uint64_t)(i * 37 % 200) * 300000 + 17, len), ERR_NONE);
	object_close(o);
	rig_end();
}

/* --- ends --- */

/* The reads keep what they need. */
static void closed_meanwhile(void **state)
{
	struct reading *r[40];
	struct range_blob *b;
	struct object *o;

	rig_begin(&(struct objects_options) { .cache_bytes = MIB }, 0);
	b = range_server_add(&server, "b", NULL, 16 * MIB);
	o = rig_open(b, 1);
	range_server_hold(&server, b, 0, ALL);
	for (unsigned i = 0; i < 40; i++)
		r[i] = rig_start(o, (uint64_t)i * 100000, 100000);
	object_close(o);
	range_server_wait_held(&server, 1);
	range_server_clear(&server);
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(rig_finish(r[i], (uint64_t)i * 100000, 100000), ERR_NONE);
	rig_end();
}

/* Those that wait for bytes, and those that wait for room. */
static void stopped_meanwhile(void **state)
{
	struct reading *r[1000];
	struct range_blob *b;
	struct object *o;

	rig_begin(&(struct objects_options) { .cache_bytes = MIB }, 0);
	b = range_server_add(&server, "b", NULL, 64 * MIB);
	o = rig_open(b, 1);
	rig_reads(o, 1, 60 * MIB, 100);
	range_server_hold(&server, b, 0, ALL);
	for (unsigned i = 0; i < 1000; i++)
		r[i] = rig_start(o, (uint64_t)i * 60000, 30000);
	range_server_wait_held(&server, 1);
	blob_client_abort(client);
	objects_stop(objects);
	for (unsigned i = 0; i < 1000; i++) {
		assert_true(reading_is_over(r[i]));
		assert_int_equal(rig_finish(r[i], (uint64_t)i * 60000, 30000), ERR_CANCELLED);
	}
	assert_int_equal(rig_read(o, 1, 60 * MIB, 100), ERR_CANCELLED);
	assert_int_equal(object_lost(o), ERR_NONE);
	object_close(o);
	rig_end();
}

/* A callback may read on. */
struct chain {
	struct object *o;
	struct reading last;
	unsigned left;
	bool wrong;
};

static void next_of_chain(void *arg, const struct err *err, const struct iovec *iov, int count)
{
	struct chain *c = arg;
	uint64_t at = (uint64_t)c->left * 40000;

	c->wrong = c->wrong || err || ((uint8_t *)iov[0].iov_base)[0] != range_byte(1, at);
	if (c->left--)
		object_read(c->o, at - 40000, 50000, next_of_chain, c);
	else
		reading_done(&c->last, err, iov, count);
}

static void reads_on(void **state)
{
	struct range_blob *b;
	struct chain c = { .left = 0 };

	rig_begin(&(struct objects_options) { .cache_bytes = 16 * MIB }, 0);
	b = range_server_add(&server, "b", NULL, 9 * MIB);
	c.o = rig_open(b, 1);
	for (unsigned turn = 0; turn < 2; turn++) {
		reading_init(&c.last, false);
		c.left = 200;
		object_read(c.o, 200 * 40000, 50000, next_of_chain, &c);
		assert_int_equal(reading_wait(&c.last), ERR_NONE);
		reading_free(&c.last);
		assert_false(c.wrong);
	}
	object_close(c.o);
	rig_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_range), cmocka_unit_test(beyond), cmocka_unit_test(shared),
		cmocka_unit_test(random_reads_fetch_little), cmocka_unit_test(read_ahead),
		cmocka_unit_test(small_cache), cmocka_unit_test(no_room), cmocka_unit_test(closed_meanwhile),
		cmocka_unit_test(stopped_meanwhile), cmocka_unit_test(reads_on),
	};

	log_init("test-object", LOG_LEVEL_ERROR);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
