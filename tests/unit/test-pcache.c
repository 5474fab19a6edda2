/*
 * The persistent cache in a real directory: what is kept, for whom, and what
 * becomes of it when it is damaged, full, shared, evicted or its writer killed.
 *
 *   HPCPACK_SEED=N   when and what is killed and damaged
 */
#include <config.h>

#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
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
#include "blob/base/log.h"
#include "tests/unit/scratch.h"
#include "vhd/pcache.h"

#define MIB (1u << 20)
#define DISK (UINT64_C(32) * MIB + 1536)   /* its end is no whole granule */
#define CHUNK 65536u

static uint64_t seed;

static uint64_t random_next(void)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return seed >> 33;
}

/* --- bytes that say where and what they are --- */

static void content(uint8_t *out, uint64_t offset, size_t len, unsigned what)
{
	size_t i;

	for (i = 0; i < len; i++) {
		uint64_t pos = offset + i;

		out[i] = (uint8_t)((pos >> 3) * 2654435761u >> 13) ^ (uint8_t)(pos * 7) ^ (uint8_t)(what * 37);
	}
}

static bool is_content(const uint8_t *data, uint64_t offset, size_t len, unsigned what)
{
	cleanup_free uint8_t *right = malloc(len);

	content(right, offset, len, what);
	return memcmp(data, right, len) == 0;
}

/* --- calls that wait --- */

struct call {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int calls;
	uint64_t from, end;
};
#define CALL_INIT { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER }

static void called(struct call *c)
{
	pthread_mutex_lock(&c->lock);
	c->calls++;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

static void wait_call(struct call *c)
{
	pthread_mutex_lock(&c->lock);
	while (!c->calls)
		pthread_cond_wait(&c->cond, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

static void on_read(void *arg, uint64_t from, uint64_t end)
{
	struct call *c = arg;

	c->from = from;
	c->end = end;
	called(c);
}

static void on_fill(void *arg)
{
	called(arg);
}

/* The pieces are chunks, as the disk's are. */
static int pieces(uint8_t *memory, uint64_t offset, size_t len, struct iovec *iov)
{
	int n = 0;

	while (len) {
		size_t piece = CHUNK - offset % CHUNK;

		if (piece > len)
			piece = len;
		iov[n++] = (struct iovec){ memory, piece };
		memory += piece;
		offset += piece;
		len -= piece;
	}
	return n;
}

static uint8_t *memory_for(size_t len)
{
	return aligned_alloc(4096, (len + 4095) / 4096 * 4096);
}

static bool fill(struct pcache *pc, uint64_t offset, size_t len, unsigned what)
{
	cleanup_free uint8_t *data = memory_for(len);
	struct call c = CALL_INIT;
	struct iovec iov[80];

	content(data, offset, len, what);
	if (!pcache_fill(pc, offset, iov, pieces(data, offset, len, iov), on_fill, &c))
		return false;
	wait_call(&c);
	assert_int_equal(c.calls, 1);
	pcache_drain(pc);
	return true;
}

/* How much of it is still to be read from storage; the rest is right, or it fails. */
static uint64_t missing(struct pcache *pc, uint64_t offset, size_t len, unsigned what)
{
	cleanup_free uint8_t *data = memory_for(len);
	struct call c = CALL_INIT;
	struct iovec iov[80];

	memset(data, 0xEE, len);
	pcache_read(pc, offset, iov, pieces(data, offset, len, iov), on_read, &c);
	wait_call(&c);
	assert_int_equal(c.calls, 1);
	if (c.from == c.end)
		c.from = c.end = offset;
	assert_true(c.from >= offset && c.end <= offset + len);
	assert_true(is_content(data, offset, c.from - offset, what));
	assert_true(is_content(data + (c.end - offset), c.end, offset + len - c.end, what));
	return c.end - c.from;
}

/* --- directories --- */

static const char page[4096];
static unsigned serial;

static struct pcache_options options(void)
{
	return (struct pcache_options){ .dir = scratch_dir(), .max_bytes = 64 * MIB, .queue_bytes = 8 * MIB,
					.size = DISK, .drive = "http://host/acc\nc\nb\n",
					.version = "snapshot T E" };
}

static struct pcache *open_it(const struct pcache_options *o)
{
	struct pcache *pc;
	struct err err;

	pc = pcache_open(o, &err);
	if (!pc)
		fail_msg("%s", err.msg);
	return pc;
}

/* A directory of its own for each test. */
static int fresh(void **state)
{
	char name[32];

	snprintf(name, sizeof(name), "t%u", ++serial);
	return mkdir(scratch_path(name), 0700);
}

static struct pcache_options fresh_options(void)
{
	struct pcache_options o = options();
	char name[32];

	snprintf(name, sizeof(name), "t%u", serial);
	o.dir = scratch_path(name);
	return o;
}

/* Each extent's file. Returns how many there are. */
static int each_file(const char *dir, void (*fn)(const char *path, void *arg), void *arg)
{
	char path[1024];
	struct dirent *d, *f;
	DIR *versions, *files;
	int n = 0;

	snprintf(path, sizeof(path), "%s/drives", dir);
	versions = opendir(path);
	assert_non_null(versions);
	while ((d = readdir(versions))) {
		snprintf(path, sizeof(path), "%s/drives/%s", dir, d->d_name);
		files = d->d_name[0] == '.' || d->d_type != DT_DIR ? NULL : opendir(path);
		while (files && (f = readdir(files))) {
			if (strlen(f->d_name) != 8)
				continue;
			snprintf(path, sizeof(path), "%s/drives/%s/%s", dir, d->d_name, f->d_name);
			n++;
			if (fn)
				fn(path, arg);
		}
		if (files)
			closedir(files);
	}
	closedir(versions);
	return n;
}

static void add_size(const char *path, void *arg)
{
	uint64_t *sum = arg;
	struct stat st;

	if (stat(path, &st) == 0)
		*sum += (uint64_t)st.st_blocks * 512;
}

static uint64_t used(const char *dir)
{
	uint64_t sum = 0;

	each_file(dir, add_size, &sum);
	return sum;
}

/* --- what is kept --- */

static void test_kept(void **state)
{
	struct pcache_options o = fresh_options();
	struct pcache *pc = open_it(&o);
	struct pcache_stats s;

	assert_int_equal(missing(pc, 0, MIB, 1), MIB);
	assert_true(fill(pc, 3 * MIB - 8192, 4 * MIB, 1));
	assert_true(fill(pc, 4096, 8192, 1));
	assert_int_equal(missing(pc, 3 * MIB - 8192, 4 * MIB, 1), 0);
	assert_int_equal(missing(pc, 3 * MIB, 4096, 1), 0);
	assert_int_equal(missing(pc, 0, 4 * MIB, 1), 3 * MIB - 8192);
	/* what is missing is named as a whole, what lies around it is not */
	assert_int_equal(missing(pc, 4096, 65536, 1), 65536 - 8192);
	/* the odd end of the disk */
	assert_true(fill(pc, 32 * MIB - CHUNK, CHUNK + 1536, 1));
	assert_int_equal(missing(pc, 32 * MIB, 1536, 1), 0);
	/* not whole granules: nothing, but no harm */
	assert_int_equal(missing(pc, 3 * MIB + 512, 4096, 1), 4096);
	assert_int_equal(missing(pc, 3 * MIB, 512, 1), 512);
	assert_false(fill(pc, 5 * MIB + 512, 4096, 1));
	pcache_stats(pc, &s);
	assert_int_equal(s.filled_bytes, 4 * MIB + 8192 + CHUNK + 1536);
	assert_int_equal(s.damaged, 0);
	assert_false(s.off || s.no_fill);
	pcache_close(pc, NULL);

	pc = open_it(&o);
	assert_int_equal(missing(pc, 3 * MIB - 8192, 4 * MIB, 1), 0);
	assert_int_equal(missing(pc, 32 * MIB - CHUNK, CHUNK + 1536, 1), 0);
	pcache_stats(pc, &s);
	assert_int_equal(s.read_bytes, 4 * MIB + CHUNK + 1536);
	pcache_close(pc, NULL);
}

static void test_keys(void **state)
{
	struct pcache_options o = fresh_options(), other;
	struct pcache *pc = open_it(&o);

	assert_true(fill(pc, 0, MIB, 1));
	pcache_close(pc, NULL);
	other = o;
	other.version = "snapshot T2 E";
	pc = open_it(&other);
	assert_int_equal(missing(pc, 0, MIB, 2), MIB);
	assert_true(fill(pc, 0, MIB, 2));
	pcache_close(pc, NULL);
	other = o;
	other.drive = "http://host/acc\nc\nb2\n";
	pc = open_it(&other);
	assert_int_equal(missing(pc, 0, MIB, 3), MIB);
	pcache_close(pc, NULL);
	pc = open_it(&o);
	assert_int_equal(missing(pc, 0, MIB, 1), 0);
	pcache_close(pc, NULL);
}

/* A file that got into another drive's folder, or under another number, is nobody's. */
static void move_it(const char *path, void *arg)
{
	char to[1100];

	snprintf(to, sizeof(to), "%.*s00000007", (int)(strlen(path) - 8), path);
	assert_int_equal(rename(path, to), 0);
}

static void test_moved(void **state)
{
	struct pcache_options o = fresh_options();
	struct pcache *pc = open_it(&o);

	assert_true(fill(pc, 2 * MIB, MIB, 1));
	pcache_close(pc, NULL);
	assert_int_equal(each_file(o.dir, move_it, NULL), 1);
	pc = open_it(&o);
	assert_int_equal(missing(pc, 7 * MIB, MIB, 1), MIB);
	assert_int_equal(each_file(o.dir, NULL, NULL), 0);
	pcache_close(pc, NULL);
}

/* --- owned mounts --- */

static void test_owned(void **state)
{
	struct pcache_options o = fresh_options();
	struct pcache *pc;

	o.owned = true;
	o.version = "lease 1";
	o.former = "lease 0";
	pc = open_it(&o);
	assert_true(fill(pc, 0, 4 * MIB, 1));
	pcache_changed(pc, MIB + 100, 10);
	/* changed: silent, and deaf */
	assert_int_equal(missing(pc, MIB, CHUNK, 1), CHUNK);
	assert_int_equal(missing(pc, MIB + CHUNK, CHUNK, 1), 0);
	assert_false(fill(pc, MIB, CHUNK, 2));
	assert_true(fill(pc, 6 * MIB - CHUNK, 3 * CHUNK, 1));
	pcache_changed(pc, 6 * MIB, 1);
	pcache_close(pc, "lease 2");

	/* in order: what was not changed is the next one's, file by file */
	o.version = "lease 3";
	o.former = "lease 2";
	pc = open_it(&o);
	assert_int_equal(missing(pc, 0, MIB, 1), 0);
	assert_int_equal(missing(pc, MIB, MIB, 2), MIB);
	assert_int_equal(missing(pc, 2 * MIB, 2 * MIB, 1), 0);
	assert_int_equal(missing(pc, 6 * MIB - CHUNK, CHUNK, 1), 0);
	assert_int_equal(missing(pc, 6 * MIB, CHUNK, 2), CHUNK);
	assert_true(fill(pc, MIB, MIB, 2));
	pcache_changed(pc, 2 * MIB, CHUNK);
	/* not in order: nobody asks for "lease 3" but one who found it unchanged */
	pcache_close(pc, NULL);

	o.version = "lease 4";
	o.former = "lease 2";
	pc = open_it(&o);
	assert_int_equal(missing(pc, 0, MIB, 1), MIB);   /* "lease 3" took it over */
	pcache_close(pc, NULL);
	o.version = "lease 5";
	o.former = "lease 3";
	pc = open_it(&o);
	assert_int_equal(missing(pc, MIB, MIB, 2), 0);
	/* what nobody asked for meanwhile is carried over too, but for changes */
	pcache_changed(pc, 2 * MIB, 1);
	pcache_close(pc, "lease 6");
	o.version = "lease 7";
	o.former = "lease 6";
	pc = open_it(&o);
	assert_int_equal(missing(pc, 0, MIB, 1), 0);
	assert_int_equal(missing(pc, MIB, MIB, 2), 0);
	assert_int_equal(missing(pc, 2 * MIB, MIB, 1), MIB);
	assert_int_equal(missing(pc, 3 * MIB, MIB, 1), 0);
	pcache_close(pc, NULL);
}

/* One who has lost the lease without knowing, and fills in what others wrote:
 * nothing of it reaches those who come later. */
static void test_owner_of_old(void **state)
{
	struct pcache_options o = fresh_options(), next;
	struct pcache *old, *pc;

	o.owned = true;
	o.version = "lease 1";
	old = open_it(&o);
	assert_true(fill(old, 0, 2 * MIB, 1));

	next = o;
	next.version = "lease 2";
	next.former = "lease 1";
	pc = open_it(&next);
	assert_int_equal(missing(pc, 0, 2 * MIB, 1), 0);
	pcache_changed(pc, 0, 4096);
	pcache_changed(pc, 5 * MIB, 4096);
	assert_true(fill(old, 5 * MIB, CHUNK, 2));
	assert_int_equal(missing(pc, 5 * MIB, CHUNK, 2), CHUNK);
	pcache_close(pc, "lease 3");
	/* an open file, and one that it makes now */
	fill(old, 0, CHUNK, 2);
	fill(old, 9 * MIB, CHUNK, 2);
	fill(old, 5 * MIB, CHUNK, 2);

	next.version = "lease 4";
	next.former = "lease 3";
	pc = open_it(&next);
	assert_int_equal(missing(pc, 0, CHUNK, 3), CHUNK);
	assert_int_equal(missing(pc, MIB, MIB, 1), 0);
	assert_int_equal(missing(pc, 5 * MIB, CHUNK, 3), CHUNK);
	assert_int_equal(missing(pc, 9 * MIB, CHUNK, 3), CHUNK);
	pcache_close(pc, NULL);
	pcache_close(old, NULL);
}

struct late_change {
	struct call c;
	struct pcache *pc;
	uint8_t *data;
};

static void change_in_callback(void *arg)
{
	struct late_change *l = arg;

	/* What a writer has done before the filler was through. */
	pcache_changed(l->pc, CHUNK, 1);
	called(&l->c);
}

static void test_changed_while_filling(void **state)
{
	struct pcache_options o = fresh_options();
	struct late_change l = { .c = CALL_INIT, .data = memory_for(3 * CHUNK) };
	struct iovec iov[8];
	struct pcache *pc;

	o.owned = true;
	o.version = "lease 1";
	l.pc = pc = open_it(&o);
	content(l.data, 0, 3 * CHUNK, 1);
	assert_true(pcache_fill(pc, 0, iov, pieces(l.data, 0, 3 * CHUNK, iov), change_in_callback, &l));
	wait_call(&l.c);
	pcache_drain(pc);
	pcache_close(pc, NULL);
	free(l.data);
	/* as after a crash: nothing was stored, so the version is asked for again */
	o.version = "lease 2";
	o.former = "lease 1";
	pc = open_it(&o);
	assert_int_equal(missing(pc, CHUNK, CHUNK, 1), CHUNK);
	assert_int_equal(missing(pc, 0, CHUNK, 1), 0);
	assert_int_equal(missing(pc, 2 * CHUNK, CHUNK, 1), 0);
	pcache_close(pc, NULL);
}

/* --- damage --- */

static void damage_bytes(const char *path, void *arg)
{
	int *how = arg, fd = open(path, O_RDWR);
	struct stat st;
	uint8_t byte;
	off_t at;
	int i;

	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	for (i = 0; i < 24; i++) {
		at = *how ? (off_t)(random_next() % (uint64_t)st.st_size) : (off_t)(random_next() % 4096);
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= (uint8_t)(1u << random_next() % 8);
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	close(fd);
}

static void truncate_it(const char *path, void *arg)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, (off_t)(random_next() % (uint64_t)st.st_size)), 0);
}

static void zero_it(const char *path, void *arg)
{
	int fd = open(path, O_RDWR);

	/* Metadata was written, data was not: what a crash may leave. */
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, MIB), 0);
	close(fd);
}

/* Whatever was done to the files: right bytes or none, and it can be filled again. */
static void after_damage(void (*fn)(const char *path, void *arg), int how)
{
	struct pcache_options o = fresh_options();
	struct pcache *pc = open_it(&o);
	struct pcache_stats s;
	uint64_t lost = 0;
	int i;

	for (i = 0; i < 8; i++)
		fill(pc, (uint64_t)i * MIB, MIB, 1);
	pcache_close(pc, NULL);
	assert_int_equal(each_file(o.dir, fn, &how), 8);
	pc = open_it(&o);
	for (i = 0; i < 8; i++)
		lost += missing(pc, (uint64_t)i * MIB, MIB, 1);
	assert_true(lost > 0);
	pcache_stats(pc, &s);
	assert_true(s.damaged > 0);
	for (i = 0; i < 8; i++) {
		assert_true(fill(pc, (uint64_t)i * MIB, MIB, 1));
		assert_int_equal(missing(pc, (uint64_t)i * MIB, MIB, 1), 0);
	}
	pcache_stats(pc, &s);
	assert_false(s.off || s.no_fill);
	pcache_close(pc, NULL);
}

static void test_flipped(void **state)
{
	after_damage(damage_bytes, 1);
}

static void test_flipped_header(void **state)
{
	after_damage(damage_bytes, 0);
}

static void test_truncated(void **state)
{
	after_damage(truncate_it, 0);
}

static void test_zeros(void **state)
{
	after_damage(zero_it, 0);
}

/* Damaged and removed while it is open. */
static void remove_it(const char *path, void *arg)
{
	unlink(path);
}

static void test_pulled_away(void **state)
{
	struct pcache_options o = fresh_options();
	struct pcache *pc = open_it(&o);
	int how = 1;

	assert_true(fill(pc, 0, MIB, 1));
	assert_int_equal(missing(pc, 0, MIB, 1), 0);
	each_file(o.dir, damage_bytes, &how);
	assert_true(missing(pc, 0, MIB, 1) > 0);
	assert_true(fill(pc, 0, MIB, 1));
	each_file(o.dir, remove_it, NULL);
	assert_true(fill(pc, 2 * CHUNK, CHUNK, 1));
	assert_int_equal(each_file(o.dir, NULL, NULL), 1);
	pcache_close(pc, NULL);
	pc = open_it(&o);
	assert_int_equal(missing(pc, 2 * CHUNK, CHUNK, 1), 0);
	pcache_close(pc, NULL);
}

/* --- how much --- */

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

/* --- whose directory --- */

/* `code` 0: whatever the system says. */
static void refused(const struct pcache_options *o, enum err_code code, const char *says)
{
	struct err err;

	assert_null(pcache_open(o, &err));
	if (code)
		assert_int_equal(err.code, code);
	assert_non_null(strstr(err.msg, says));
	assert_non_null(strstr(err.msg, o->dir));
}

static void test_refused(void **state)
{
	struct pcache_options o = fresh_options();
	cleanup_free char *target = NULL;
	char real[600];

	snprintf(real, sizeof(real), "%s", o.dir);
	assert_int_equal(chmod(real, 0770), 0);
	refused(&o, ERR_PERMISSION, "written by others");
	assert_int_equal(chmod(real, 0755), 0);
	pcache_close(open_it(&o), NULL);
	assert_true(asprintf(&target, "%s/drives", real) > 0);
	assert_int_equal(chmod(target, 0750), 0);
	refused(&o, ERR_PERMISSION, "read by others");
	assert_int_equal(chmod(target, 0700), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(real, 12345, 12345), 0);
		refused(&o, ERR_PERMISSION, "belongs to another user");
		assert_int_equal(chown(real, 0, 0), 0);
	}
	o.dir = scratch_path("link");
	assert_int_equal(symlink(real, o.dir), 0);
	refused(&o, 0, "can't open");
	o.dir = scratch_path("no/such/place");
	refused(&o, 0, "can't make");
	o.dir = scratch_path("made");
	pcache_close(open_it(&o), NULL);
	refused(&(struct pcache_options){ .dir = "/proc/1", .drive = "", .version = "", .size = 512 }, 0, "/proc/1");
}

/* The test's own tmpfs is nobody else's business. */
static void setup_namespace(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		perror("mount namespace");
}

int main(void)
{
	const char *text = getenv("HPCPACK_SEED");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_kept, fresh),
		cmocka_unit_test_setup(test_keys, fresh),
		cmocka_unit_test_setup(test_moved, fresh),
		cmocka_unit_test_setup(test_owned, fresh),
		cmocka_unit_test_setup(test_owner_of_old, fresh),
		cmocka_unit_test_setup(test_changed_while_filling, fresh),
		cmocka_unit_test_setup(test_flipped, fresh),
		cmocka_unit_test_setup(test_flipped_header, fresh),
		cmocka_unit_test_setup(test_truncated, fresh),
		cmocka_unit_test_setup(test_zeros, fresh),
		cmocka_unit_test_setup(test_pulled_away, fresh),
		cmocka_unit_test_setup(test_evicted_by_age, fresh),
		cmocka_unit_test_setup(test_space, fresh),
		cmocka_unit_test_setup(test_full_disk, fresh),
		cmocka_unit_test_setup(test_together, fresh),
		cmocka_unit_test_setup(test_killed, fresh),
		cmocka_unit_test_setup(test_full_queue, fresh),
		cmocka_unit_test_setup(test_refused, fresh),
	};

	seed = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
	printf("# seed %" PRIu64 "\n", seed);
	log_init("test-pcache", LOG_LEVEL_ERROR);
	umask(022);
	if (geteuid() == 0)
		setup_namespace();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
