/* The persistent cache when it is full, evicted, shared, and its writer killed. */
#include <config.h>

#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "tests/unit/pcache_rig.h"
#include "tests/unit/scratch.h"

/* --- how much --- */

static const char page[4096];

/* The lower its number, the older. */
static void set_age(const char *path, void *arg)
{
	struct timespec t[2] = { { .tv_sec = 1000000 }, { .tv_sec = 1000000 } };
	uint64_t number = strtoull(strrchr(path, '/') + 1, NULL, 16);

	t[1].tv_sec += (time_t)number;
	utimensat(AT_FDCWD, path, t, 0);
}

static void test_evicted_by_age(void **state)
{
	struct pcache_options o = fresh_options();
	struct pcache_stats s;
	struct pcache *pc;
	int i;

	o.max_bytes = 16 * MIB;
	pc = open_it(&o);
	for (i = 0; i < 12; i++)
		assert_true(fill(pc, (uint64_t)i * MIB, MIB, 1));
	pcache_close(pc, NULL);
	each_file(o.dir, set_age, NULL);
	pc = open_it(&o);
	pcache_drain(pc);
	/* 1 is the oldest then: 0 has been read now */
	assert_int_equal(missing(pc, 0, MIB, 1), 0);
	for (i = 12; i < 18; i++) {
		assert_true(fill(pc, (uint64_t)i * MIB, MIB, 1));
		assert_true(used(o.dir) <= 16 * MIB);
	}
	pcache_stats(pc, &s);
	assert_true(s.evicted_bytes >= 2 * MIB);
	assert_int_equal(missing(pc, MIB, MIB, 1), MIB);
	assert_int_equal(missing(pc, 0, MIB, 1), 0);
	assert_int_equal(missing(pc, 11 * MIB, MIB, 1), 0);
	assert_int_equal(missing(pc, 17 * MIB, MIB, 1), 0);
	pcache_close(pc, NULL);

	/* a smaller size counts from the start, and a version without files goes */
	o.version = "other";
	pc = open_it(&o);
	assert_true(fill(pc, 0, MIB, 1));
	pcache_close(pc, NULL);
	o.version = "third";
	o.max_bytes = 4 * MIB;
	pc = open_it(&o);
	pcache_close(pc, NULL);
	assert_true(used(o.dir) <= 4 * MIB);
}

static void test_space(void **state)
{
	struct pcache_options o = fresh_options();
	cleanup_free char *other = NULL;
	cleanup_close int fd = -1;
	struct pcache_stats s;
	struct pcache *pc;
	int i, n = 0;

	assert_int_equal(mount("tmpfs", o.dir, "tmpfs", 0, "size=16m,mode=0700"), 0);
	o.max_bytes = 512 * MIB;
	pc = open_it(&o);
	/* the file system has an end, and a twentieth of it is kept free */
	for (i = 0; i < 30; i++)
		n += fill(pc, (uint64_t)i * MIB, MIB, 1) && missing(pc, (uint64_t)i * MIB, MIB, 1) == 0;
	pcache_stats(pc, &s);
	assert_true(n > 8);
	assert_true(s.evicted_bytes + s.dropped_bytes > 0);
	assert_false(s.no_fill || s.off);
	assert_true(used(o.dir) <= 16 * MIB - 16 * MIB / 20);

	/* somebody else takes all of it between two of our looks */
	assert_true(asprintf(&other, "%s/other", o.dir) > 0);
	fd = open(other, O_RDWR | O_CREAT, 0600);
	while (write(fd, page, sizeof(page)) > 0 || write(fd, page, 1) > 0)
		;
	for (i = 0; i < 8; i++)
		fill(pc, (uint64_t)i * MIB + 4096, CHUNK, 1);
	pcache_stats(pc, &s);
	assert_false(s.off);
	for (i = 0; i < 30; i++)
		missing(pc, (uint64_t)i * MIB, MIB, 1);
	pcache_close(pc, NULL);
	close(steal_fd(&fd));
	assert_int_equal(umount(o.dir), 0);
}

/* Full in the middle of it: filling ends, reading goes on. */
static void test_full_disk(void **state)
{
	struct pcache_options o = fresh_options();
	cleanup_free char *other = NULL;
	cleanup_close int fd = -1;
	struct pcache_stats s;
	struct pcache *pc;
	int i;

	assert_int_equal(mount("tmpfs", o.dir, "tmpfs", 0, "size=32m,mode=0700"), 0);
	o.max_bytes = 512 * MIB;
	pc = open_it(&o);
	assert_true(fill(pc, 0, CHUNK, 1)); /* and it has taken room for 2 MiB */
	assert_true(asprintf(&other, "%s/other", o.dir) > 0);
	fd = open(other, O_RDWR | O_CREAT, 0600);
	while (write(fd, page, sizeof(page)) > 0 || write(fd, page, 1) > 0)
		;
	for (i = 1; i < 4; i++)
		fill(pc, (uint64_t)i * CHUNK, CHUNK, 1);
	pcache_stats(pc, &s);
	assert_true(s.no_fill);
	assert_false(s.off);
	assert_false(fill(pc, MIB, CHUNK, 1));
	assert_int_equal(missing(pc, 0, 4 * CHUNK, 1), 3 * CHUNK);
	pcache_close(pc, NULL);
	close(steal_fd(&fd));
	assert_int_equal(umount(o.dir), 0);
}

/* --- several at once --- */

static void work(const struct pcache_options *o, uint64_t start, int rounds, bool check_room)
{
	struct pcache *pc = open_it(o);
	int i;

	seed = start;
	for (i = 0; i < rounds; i++) {
		uint64_t offset = random_next() % (24 * MIB / 4096) * 4096;
		size_t len = (1 + random_next() % 512) * 4096;

		if (random_next() % 2)
			fill(pc, offset, len, 1);
		else
			missing(pc, offset, len, 1);
		if (check_room && i % 16 == 0)
			assert_true(used(o->dir) <= o->max_bytes);
	}
	pcache_close(pc, NULL);
}

static pid_t start_worker(const struct pcache_options *o, uint64_t start, int rounds)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		work(o, start, rounds, false);
		_exit(0);
	}
	return pid;
}

static void test_together(void **state)
{
	struct pcache_options o = fresh_options();
	pid_t pids[3];
	int i, status;

	o.max_bytes = 16 * MIB;
	for (i = 0; i < 3; i++)
		pids[i] = start_worker(&o, seed + (unsigned)i, 150);
	work(&o, seed + 3, 150, true);
	for (i = 0; i < 3; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_true(used(o.dir) <= 16 * MIB);
}

/* Killed at any moment, again and again: never wrong bytes (missing() looks). */
static void test_killed(void **state)
{
	struct pcache_options o = fresh_options();
	int i, status, rounds = getenv("HPCPACK_TEST_QUICK") ? 8 : 30;
	struct pcache *pc;
	uint64_t pos;

	o.max_bytes = 16 * MIB;
	for (i = 0; i < rounds; i++) {
		pid_t pid = start_worker(&o, random_next(), 1000000);

		nanosleep(&(struct timespec){ .tv_nsec = (long)(random_next() % 60000000) }, NULL);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		pc = open_it(&o);
		for (pos = 0; pos < 24 * MIB; pos += MIB)
			missing(pc, pos, MIB, 1);
		pcache_close(pc, NULL);
	}
	pc = open_it(&o);
	assert_true(fill(pc, 0, MIB, 1));
	assert_int_equal(missing(pc, 0, MIB, 1), 0);
	assert_true(used(o.dir) <= 16 * MIB);
	pcache_close(pc, NULL);
}

static void test_full_queue(void **state)
{
	struct pcache_options o = fresh_options();
	cleanup_free uint8_t *data = memory_for(MIB);
	struct iovec iov[20];
	struct call c = CALL_INIT;
	struct pcache *pc;
	int i, n = 0;

	o.queue_bytes = 2 * MIB;
	pc = open_it(&o);
	content(data, 0, MIB, 1);
	for (i = 0; i < 1000; i++)
		n += pcache_fill(pc, 0, iov, pieces(data, 0, MIB, iov), on_fill, &c);
	assert_true(n < 1000);
	pcache_drain(pc);
	assert_int_equal(c.calls, n);
	pcache_close(pc, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_evicted_by_age, fresh),
		cmocka_unit_test_setup(test_space, fresh),
		cmocka_unit_test_setup(test_full_disk, fresh),
		cmocka_unit_test_setup(test_together, fresh),
		cmocka_unit_test_setup(test_killed, fresh),
		cmocka_unit_test_setup(test_full_queue, fresh),
	};

	pcache_rig_start("test-pcache-room");
	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
