#include <config.h>

#include "tests/unit/pcache_rig.h"

#include "tests/unit/unit.h"

#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "blob/base/log.h"
#include "tests/unit/scratch.h"

uint64_t seed;

uint64_t random_next(void)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return seed >> 33;
}

/* --- bytes that say where and what they are --- */

void content(uint8_t *out, uint64_t offset, size_t len, unsigned what)
{
	size_t i;

	for (i = 0; i < len; i++) {
		uint64_t pos = offset + i;

		out[i] = (uint8_t)((pos >> 3) * 2654435761u >> 13) ^ (uint8_t)(pos * 7) ^ (uint8_t)(what * 37);
	}
}

bool is_content(const uint8_t *data, uint64_t offset, size_t len, unsigned what)
{
	cleanup_free uint8_t *right = malloc(len);

	content(right, offset, len, what);
	return memcmp(data, right, len) == 0;
}

/* --- calls that wait --- */

void called(struct call *c)
{
	pthread_mutex_lock(&c->lock);
	c->calls++;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

void wait_call(struct call *c)
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

void on_fill(void *arg)
{
	called(arg);
}

int pieces(uint8_t *memory, uint64_t offset, size_t len, struct iovec *iov)
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

uint8_t *memory_for(size_t len)
{
	return aligned_alloc(4096, (len + 4095) / 4096 * 4096);
}

bool fill(struct pcache *pc, uint64_t offset, size_t len, unsigned what)
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

uint64_t missing(struct pcache *pc, uint64_t offset, size_t len, unsigned what)
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

static unsigned serial;

struct pcache_options options(void)
{
	return (struct pcache_options){ .dir = scratch_dir(), .max_bytes = 64 * MIB, .queue_bytes = 8 * MIB,
					.size = DISK, .drive = "http://host/acc\nc\nb\n",
					.version = "snapshot T E" };
}

struct pcache *open_it(const struct pcache_options *o)
{
	struct pcache *pc;
	struct err err;

	pc = pcache_open(o, &err);
	if (!pc)
		fail_msg("%s", err.msg);
	return pc;
}

int fresh(void **state)
{
	char name[32];

	snprintf(name, sizeof(name), "t%u", ++serial);
	return mkdir(scratch_path(name), 0700);
}

struct pcache_options fresh_options(void)
{
	struct pcache_options o = options();
	char name[32];

	snprintf(name, sizeof(name), "t%u", serial);
	o.dir = scratch_path(name);
	return o;
}

int each_file(const char *dir, void (*fn)(const char *path, void *arg), void *arg)
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

uint64_t used(const char *dir)
{
	uint64_t sum = 0;

	each_file(dir, add_size, &sum);
	return sum;
}

/* --- for main() --- */

/* The test's own tmpfs is nobody else's business. */
static void setup_namespace(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		perror("mount namespace");
}

void pcache_rig_start(const char *program)
{
	const char *text = getenv("HPCPACK_SEED");

	seed = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
	printf("# seed %" PRIu64 "\n", seed);
	log_init(program, LOG_LEVEL_ERROR);
	umask(022);
	if (geteuid() == 0)
		setup_namespace();
	cmocka_set_message_output(CM_OUTPUT_TAP);
}
