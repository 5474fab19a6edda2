/*
 * fs/unpack.h when members are damaged, and when storage is in trouble.
 *
 *   HPCPACK_SEED=N   what the random readers do
 */
#include <config.h>

#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>

#include "tests/unit/unit.h"
#include "tests/unit/unpack_rig.h"

#define READERS 6

static const struct zip_spec wrong_crc = { .crc = { true, 0x12345678 }, .flags = 8 };

/* --- damage --- */

/* Whoever reads it, and whenever: an error, and one line in the log. */
static void is_damaged(unsigned member, const char *what)
{
	uint64_t size = rig_entry(member)->size;
	uint32_t len = size < 1000 ? (uint32_t)size : 1000;
	struct reading *r[8];
	unsigned lines;

	for (unsigned i = 0; i < 8; i++)
		r[i] = rig_start(member, size - len, len, false);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(rig_finish(r[i], member, size - len), ERR_FORMAT);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(rig_read(member, i, 1), ERR_FORMAT);
	lines = rig_logged(what);
	if (lines != 1)
		fail_msg("%u lines in the log say '%s'", lines, what);
}

static void crc(void **state)
{
	static const size_t sizes[] = { 10, 100 * KIB, 128 * KIB, 128 * KIB + 1, 300 * KIB, UNPACK_SMALL };
	unsigned count = sizeof(sizes) / sizeof(sizes[0]);
	struct reading *r;
	char what[32];

	for (unsigned i = 0; i < count; i++)
		rig_add(RIG_NOISE, sizes[i], &wrong_crc);
	rig_add(RIG_NOISE, 3 * MIB, &wrong_crc);
	rig_add(RIG_NOISE, 3 * MIB, NULL);
	rig_add(RIG_STORED, 100 * KIB, &(struct zip_spec) { .crc = { true, 1 }, .flags = 8 });
	rig_serve();
	rig_open((struct unpack_options) { .bytes = 64 * MIB }, 0);
	range_server_hold(&rig.server, rig.blob, rig_place(count, 2 * MIB), rig_place(count, 2 * MIB + 1));
	for (unsigned i = 0; i < count; i++) {
		r = rig_start(i, 0, 10, false);
		assert_int_equal(rig_finish(r, i, 0), ERR_FORMAT);
		snprintf(what, sizeof(what), "c/app.zip: m%02u: ", i);
		is_damaged(i, what);
	}
	assert_int_equal(rig_read(count + 2, 0, 10), ERR_FORMAT);
	/* The beginning of a large one is given out, and not any more once that is known. */
	rig_reads(count, 0, 10000);
	assert_int_equal(rig.damaged[count], 0);
	range_server_clear(&rig.server);
	snprintf(what, sizeof(what), "c/app.zip: m%02u: ", count);
	is_damaged(count, what);
	rig_reads_all(count + 1, 100 * KIB);
	assert_int_equal(rig_stats().damaged, count + 2);
	unpack_stop(rig.unpack);
	for (unsigned i = 0; i < count + 3; i++)
		assert_int_equal(rig.damaged[i], i == count);
	rig_close();
}

static void in_the_middle(void **state)
{
	static const size_t sizes[] = { 50 * KIB, 400 * KIB, 4 * MIB };
	char what[32];

	for (unsigned i = 0; i < 6; i++)
		rig_add(i < 3 ? RIG_NOISE : RIG_TEXT, sizes[i % 3], NULL);
	rig_serve();
	for (unsigned i = 0; i < 6; i++)
		for (unsigned at = 0; at < 50; at++)
			rig_damage(i, rig_entry(i)->packed_size / 2 + at);
	rig_open((struct unpack_options) { .bytes = 64 * MIB }, 0);
	for (unsigned i = 0; i < 6; i++) {
		snprintf(what, sizeof(what), "c/app.zip: m%02u: ", i);
		is_damaged(i, what);
	}
	assert_int_equal(rig_stats().damaged, 6);
	rig_close();
}

/* Sizes that are not true: too little and too much of packed bytes, and of content. */
static void lies(void **state)
{
	char what[32];

	for (unsigned i = 0; i < 8; i++) {
		size_t size = i % 2 ? 2 * MIB : 60 * KIB;
		struct zip_spec lie = { .flags = 8 };

		if (i < 2)
			lie.packed = (struct zip_lie) { true, size / 2 };
		else if (i < 4)
			lie.size = (struct zip_lie) { true, size - 1 };
		else
			lie.size = (struct zip_lie) { true, size + 1 };
		rig_add(RIG_NOISE, size, i < 6 ? &lie : NULL);
	}
	rig_serve();
	rig_open((struct unpack_options) { .bytes = 64 * MIB }, 0);
	for (unsigned i = 0; i < 6; i++) {
		snprintf(what, sizeof(what), "c/app.zip: m%02u: ", i);
		is_damaged(i, what);
	}
	rig_reads_all(6, 50 * KIB);
	rig_reads_all(7, 50 * KIB);
	rig_close();
}

/* What there is no room for keeps the promise, too: nothing of a small member before
 * its CRC is known to be right. */
static void small_without_room(void **state)
{
	struct rig_grip grip;

	rig_add(RIG_TEXT, 11 * MIB + 900 * KIB, NULL);
	rig_add(RIG_NOISE, UNPACK_SMALL, &wrong_crc);
	rig_add(RIG_NOISE, UNPACK_SMALL, NULL);
	rig_serve();
	rig_open((struct unpack_options) { .bytes = 16 * MIB, .threads = 2 }, 0);
	rig_reads_all(0, 256 * KIB);
	rig_grip(&grip, 0, 0, 100 * KIB);
	assert_int_equal(rig_read(1, 0, 1000), ERR_FORMAT);
	for (uint32_t step = 50 * KIB; step < 400 * KIB; step *= 2)
		rig_reads_all(2, step);
	rig_let_go(&grip);
	rig_close();
}

/* --- damage, and it is forgotten meanwhile --- */

static atomic_bool enough;

static void *forget_all_the_time(void *arg)
{
	while (!atomic_load(&enough))
		unpack_forget(rig.unpack, object_number(rig.object));
	return NULL;
}

/* Somebody still holds a part of it when the damage is found. */
static void forgotten_meanwhile(void **state)
{
	for (unsigned turn = 0; turn < 8; turn++) {
		struct reading *end;
		struct rig_grip grip;
		pthread_t forgetful[2];

		rig_add(RIG_NOISE, 2 * MIB, &wrong_crc);
		rig_serve();
		rig_open((struct unpack_options) { .bytes = 64 * MIB, .threads = 2 }, 0);
		range_server_hold(&rig.server, rig.blob, rig_place(0, MIB), rig_place(0, MIB + 1));
		rig_reads(0, 0, 1000);
		rig_grip(&grip, 0, 1000, 1000);
		end = rig_start(0, 2 * MIB - 1, 1, false);
		range_server_clear(&rig.server);
		assert_int_equal(rig_finish(end, 0, 2 * MIB - 1), ERR_FORMAT);
		atomic_store(&enough, false);
		for (unsigned i = 0; i < 2; i++)
			pthread_create(&forgetful[i], NULL, forget_all_the_time, NULL);
		rig_let_go(&grip);
		unpack_stop(rig.unpack);
		atomic_store(&enough, true);
		for (unsigned i = 0; i < 2; i++)
			pthread_join(forgetful[i], NULL);
		unpack_forget(rig.unpack, object_number(rig.object));
		assert_int_equal(rig_stats().used, 0);
		assert_int_equal(rig_stats().members, 0);
		assert_int_equal(rig.damaged[0], 1);
		rig_close();
	}
}

/* --- storage --- */

/* A request that was begun in bad times may still have to end. */
static bool is_good_again(void *arg)
{
	unsigned member = *(unsigned *)arg;
	uint64_t size = rig_entry(member)->size;

	for (uint64_t at = 0; at < size; at += 50 * KIB)
		if (rig_read(member, at, size - at < 50 * KIB ? (uint32_t)(size - at) : 50 * KIB) != ERR_NONE)
			return false;
	return true;
}

/* Half of it comes, then errors: they pass, and are no damage. */
static void trouble(void **state)
{
	struct reading *r[6];

	for (unsigned i = 0; i < 3; i++)
		rig_add(RIG_NOISE, i == 1 ? 3 * MIB : 100 * KIB * (i + 1), NULL);
	rig_serve();
	rig_open((struct unpack_options) { .bytes = 16 * MIB }, 2500);
	range_server_status(&rig.server, rig.blob, rig_place(1, MIB), ALL, 500, 0);
	range_server_status(&rig.server, rig.blob, 0, 1, 500, 0);
	for (unsigned i = 0; i < 6; i++)
		r[i] = rig_start(i % 3, rig_entry(i % 3)->size - 1000, 1000, false);
	for (unsigned i = 0; i < 6; i++) {
		enum err_code code = rig_finish(r[i], i % 3, rig_entry(i % 3)->size - 1000);

		assert_true(code == ERR_SERVER || code == ERR_TIMEOUT || code == ERR_NETWORK);
	}
	range_server_clear(&rig.server);
	for (unsigned i = 0; i < 3; i++)
		until(is_good_again, &i, "a read once storage is well again");
	assert_int_equal(rig_stats().damaged, 0);
	rig_close();
}

/* What fails now and then is right all the same. */
static void passing_trouble(void **state)
{
	uint64_t seed = seed_of_test();
	struct rig_reader readers[READERS];

	for (unsigned i = 0; i < 10; i++)
		rig_add(RIG_NOISE, i % 2 ? MIB + 5000 * i : 100 * KIB, NULL);
	rig_serve();
	rig_open((struct unpack_options) { .bytes = 16 * MIB }, 0);
	range_server_cut(&rig.server, rig.blob, 0, ALL, 1);
	range_server_status(&rig.server, rig.blob, rig_place(3, 0), ALL, 503, 2);
	range_server_cut(&rig.server, rig.blob, rig_place(7, 0), ALL, 2);
	for (unsigned i = 0; i < READERS; i++)
		readers[i] = (struct rig_reader) { .state = seed + i, .members = 10, .reads = 40,
						   .most = 100 * KIB };
	rig_readers_start(readers, READERS);
	rig_readers_join(readers, READERS, 0);
	assert_int_equal(rig_stats().damaged, 0);
	rig_close();
}

/* Replaced or removed half way: an error for what had not come, never another version;
 * what is unpacked stays. */
static void lost(bool gone)
{
	enum err_code code = gone ? ERR_NOT_FOUND : ERR_CONDITION;
	struct reading *r[4];

	rig_add(RIG_NOISE, 100 * KIB, NULL);
	rig_add(RIG_NOISE, 3 * MIB, NULL);
	rig_add(RIG_NOISE, 2 * MIB, NULL);
	rig_serve();
	rig_open((struct unpack_options) { .bytes = 64 * MIB }, 0);
	range_server_hold(&rig.server, rig.blob, rig_place(1, MIB), ALL);
	rig_reads_all(0, 100 * KIB);
	rig_reads(1, 0, 1000);
	for (unsigned i = 0; i < 4; i++)
		r[i] = rig_start(1 + i % 2, MIB + 900 * KIB, 1000, false);
	range_server_wait_held(&rig.server, 1);
	if (gone)
		range_server_remove(&rig.server, rig.blob);
	else
		range_server_replace(&rig.server, rig.blob);
	range_server_clear(&rig.server);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(rig_finish(r[i], 1 + i % 2, MIB + 900 * KIB), code);
	assert_int_equal(object_lost(rig.object), code);
	rig_reads_all(0, 100 * KIB);
	assert_int_equal(rig_read(2, 1500 * KIB, 1), code);
	assert_int_equal(rig_stats().damaged, 0);
	rig_close();
}

static void replaced(void **state)
{
	lost(false);
}

static void gone(void **state)
{
	lost(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc), cmocka_unit_test(in_the_middle), cmocka_unit_test(lies),
		cmocka_unit_test(small_without_room), cmocka_unit_test(forgotten_meanwhile),
		cmocka_unit_test(trouble), cmocka_unit_test(passing_trouble), cmocka_unit_test(replaced),
		cmocka_unit_test(gone),
	};

	/* Who uses what was freed finds no sense in it. */
	mallopt(M_PERTURB, 0xa5);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
