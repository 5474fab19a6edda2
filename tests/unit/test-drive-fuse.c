/* A real FUSE mount over a disk in memory: every kind of request, slow ones,
 * failing ones, many at a time, and the end of it in the middle of everything. */
#include <config.h>

#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/falloc.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "blob/base/log.h"
#include "drive_fixture.h"

#define MANY 150

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* --- the tree --- */

static void tree(void **state)
{
	struct fixture fx;
	struct stat st;
	struct statvfs vfs;
	struct dirent *e;
	DIR *dir;
	int names = 0, fd;

	start(&fx);
	assert_int_equal(stat(fx.path, &st), 0);
	assert_int_equal(st.st_size, SIZE);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(stat(fx.dir, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0500);
	dir = opendir(fx.dir);
	while ((e = readdir(dir)))
		names += !strcmp(e->d_name, "disk") || !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ? 1 : 99;
	closedir(dir);
	assert_int_equal(names, 3);
	assert_int_equal(statvfs(fx.dir, &vfs), 0);
	assert_int_equal(vfs.f_blocks * vfs.f_frsize, SIZE);
	assert_true(vfs.f_flag & ST_NOSUID);
	assert_true(vfs.f_flag & ST_NODEV);
	assert_int_equal(access(fx.dir, F_OK), 0);
	fd = open_disk(&fx, O_RDWR);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	assert_int_equal(ftruncate(fd, SIZE - 512), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(open(fx.path, O_RDWR | O_TRUNC), -1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, SIZE);
	close(fd);
	stop(&fx);
}

static void read_only(void **state)
{
	struct fixture fx;
	struct stat st;

	start_with(&fx, true, false, MIB);
	assert_int_equal(stat(fx.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0400);
	assert_int_equal(open(fx.path, O_RDWR), -1);
	assert_true(errno == EROFS || errno == EACCES);
	close(open_disk(&fx, O_RDONLY));
	stop(&fx);
	if (geteuid() != 0)
		return;
	start_with(&fx, true, true, MIB);
	assert_int_equal(stat(fx.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0444);
	assert_int_equal(stat(fx.dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0555);
	stop(&fx);
}

static void in_mount_table(void **state)
{
	struct fixture fx;
	char line[4096], want[128];
	int found = 0;
	FILE *f;

	start(&fx);
	snprintf(want, sizeof(want), " %s ", fx.dir);
	f = fopen("/proc/self/mounts", "re");
	while (fgets(line, sizeof(line), f))
		if (strstr(line, want))
			found = strstr(line, "hpcpack:acc/con%2Ct%25/a%5Cb\\040c ") && strstr(line, " fuse.hpcpack ");
	fclose(f);
	assert_true(found);
	stop(&fx);
}

/* --- I/O against a model --- */

struct patterns {
	struct fixture *fx;
	unsigned seed;
	off_t from, len; /* its own part of the disk */
	int flags, rounds;
	bool aligned;
	int wrong;
};

static void *do_patterns(void *arg)
{
	struct patterns *p = arg;
	unsigned char *model = calloc(1, (size_t)p->len), *data;
	int fd = open(p->fx->path, O_RDWR | O_CLOEXEC | p->flags), i;
	size_t k;

	if (fd < 0 || posix_memalign((void **)&data, 4096, 2 * MIB)) {
		p->wrong = 1;
		free(model);
		return NULL;
	}
	for (i = 0; i < p->rounds; i++) {
		off_t at = rand_r(&p->seed) % p->len;
		size_t len = (size_t)rand_r(&p->seed) % (i % 7 ? 20000 : 2 * MIB) + 1;

		if (p->aligned) {
			at &= ~(off_t)511;
			len = (len + 511) & ~(size_t)511;
		}
		if (len > (size_t)(p->len - at))
			len = (size_t)(p->len - at);
		if (rand_r(&p->seed) % 2) {
			for (k = 0; k < len; k++)
				data[k] = (unsigned char)rand_r(&p->seed);
			memcpy(model + at, data, len);
			p->wrong |= pwrite(fd, data, len, p->from + at) != (ssize_t)len;
		} else {
			p->wrong |= pread(fd, data, len, p->from + at) != (ssize_t)len;
			p->wrong |= memcmp(data, model + at, len) != 0;
		}
		if (i % 50 == 0)
			p->wrong |= fsync(fd) != 0;
	}
	p->wrong |= memcmp(model, fake_disk_bytes(p->fx->disk) + p->from, (size_t)p->len) != 0;
	close(fd);
	free(data);
	free(model);
	return NULL;
}

static void run_patterns(struct fixture *fx, int flags, bool aligned, int rounds)
{
	struct patterns p[4];
	pthread_t threads[4];
	struct disk_stats stats;
	unsigned i;

	for (i = 0; i < 4; i++) {
		p[i] = (struct patterns) { .fx = fx, .seed = i + 1, .from = i * 8 * MIB, .len = 8 * MIB,
					   .flags = flags, .rounds = rounds, .aligned = aligned };
		assert_int_equal(pthread_create(&threads[i], NULL, do_patterns, &p[i]), 0);
	}
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(p[i].wrong, 0);
	}
	disk_stats(fx->disk, &stats);
	assert_true(stats.flushes >= 4);
}

static void patterns_at_once(void **state)
{
	struct fixture fx;

	start(&fx);
	run_patterns(&fx, 0, false, 400);
	stop(&fx);
}

static void patterns_late(void **state)
{
	struct fixture fx;

	start(&fx);
	fake_disk_delay(fx.disk, 1);
	run_patterns(&fx, 0, false, 150);
	stop(&fx);
}

static void patterns_direct(void **state)
{
	struct fixture fx;

	start(&fx);
	fake_disk_delay(fx.disk, 1);
	run_patterns(&fx, O_DIRECT, true, 150);
	stop(&fx);
}

static void small_requests(void **state)
{
	struct fixture fx;

	start_with(&fx, false, false, 64 << 10);
	run_patterns(&fx, O_DIRECT, true, 100);
	stop(&fx);
}

static void at_the_end(void **state)
{
	struct fixture fx;
	char data[2000] = { 1 };
	int fd;

	start(&fx);
	fd = open_disk(&fx, O_RDWR);
	assert_int_equal(pwrite(fd, data, 2000, SIZE - 1000), 1000);
	assert_int_equal(pwrite(fd, data, 2000, SIZE), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(pread(fd, data, 2000, SIZE - 1000), 1000);
	assert_int_equal(pread(fd, data, 2000, SIZE + 5), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), SIZE);
	close(fd);
	stop(&fx);
}

static void zeroing(void **state)
{
	struct fixture fx;
	unsigned char *bytes;
	struct disk_stats stats;
	int fd;

	start(&fx);
	fd = open_disk(&fx, O_RDWR);
	bytes = fake_disk_bytes(fx.disk);
	memset(bytes, 7, SIZE);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MIB, 3 * MIB), 0);
	assert_true(all_are(bytes + MIB, 0, 3 * MIB));
	assert_int_equal(bytes[MIB - 1], 7);
	assert_int_equal(bytes[4 * MIB], 7);
	assert_int_equal(fallocate(fd, FALLOC_FL_ZERO_RANGE, 8 * MIB + 100, 1000), 0);
	assert_true(all_are(bytes + 8 * MIB + 100, 0, 1000));
	assert_int_equal(bytes[8 * MIB + 1100], 7);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, SIZE - 512, MIB), 0);
	assert_true(all_are(bytes + SIZE - 512, 0, 512));
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, SIZE, MIB), 0);
	assert_int_equal(fallocate(fd, 0, 0, SIZE), 0);
	assert_int_equal(fallocate(fd, 0, 0, SIZE + 1), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096), -1);
	assert_int_equal(errno, EOPNOTSUPP);
	disk_stats(fx.disk, &stats);
	assert_int_equal(stats.clears, 3);
	close(fd);
	stop(&fx);
}

static void failures(void **state)
{
	struct fixture fx;
	char data[4096];
	unsigned delay;
	int fd;

	start(&fx);
	fd = open_disk(&fx, O_RDWR);
	for (delay = 0; delay < 4; delay += 3) {
		fake_disk_delay(fx.disk, delay);
		fake_disk_fail(fx.disk, ERR_TIMEOUT, ERR_LEASE_LOST, ERR_NETWORK);
		assert_int_equal(pread(fd, data, 4096, (off_t)delay * MIB), -1);
		assert_int_equal(errno, EIO);
		assert_int_equal(pwrite(fd, data, 4096, 0), -1);
		assert_int_equal(errno, EIO);
		assert_int_equal(fsync(fd), -1);
		assert_int_equal(errno, EIO);
		assert_int_equal(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 4096), -1);
		assert_int_equal(errno, EIO);
		fake_disk_fail(fx.disk, ERR_AUTH, ERR_NO_SPACE, ERR_NONE);
		assert_int_equal(pread(fd, data, 4096, (off_t)delay * MIB), -1);
		assert_int_equal(errno, EACCES);
		assert_int_equal(pwrite(fd, data, 4096, 0), -1);
		assert_int_equal(errno, ENOSPC);
		assert_int_equal(fsync(fd), 0);
	}
	fake_disk_fail(fx.disk, ERR_NONE, ERR_NONE, ERR_NONE);
	assert_int_equal(pread(fd, data, 4096, 0), 4096);
	close(fd);
	stop(&fx);
}

/* --- many at a time --- */

struct one_io {
	struct fixture *fx;
	int fd, n;
	bool write, failed; /* `write` for load() only */
};

static void *do_one(void *arg)
{
	struct one_io *io = arg;
	cleanup_close int fd = open(io->fx->path, O_RDWR | O_DIRECT | O_CLOEXEC);
	void *data;

	if (posix_memalign(&data, 4096, 4096))
		abort();
	io->failed = pread(fd, data, 4096, io->n * 4096) != 4096 ||
		     !all_are(data, (unsigned char)io->n, 4096);
	free(data);
	return NULL;
}

/* More reads than threads: none waits for the storage of another. */
static void many_reads(void **state)
{
	static struct one_io io[MANY];
	pthread_t threads[MANY];
	struct fixture fx;
	int64_t begun;
	int i;

	start(&fx);
	fake_disk_delay(fx.disk, 100);
	for (i = 0; i < MANY; i++)
		memset(fake_disk_bytes(fx.disk) + i * 4096, i, 4096);
	begun = now_ms();
	for (i = 0; i < MANY; i++) {
		io[i] = (struct one_io) { .fx = &fx, .n = i };
		assert_int_equal(pthread_create(&threads[i], NULL, do_one, &io[i]), 0);
	}
	for (i = 0; i < MANY; i++) {
		pthread_join(threads[i], NULL);
		assert_false(io[i].failed);
	}
	/* One after the other on four threads they would take 5 s or more. */
	assert_true(now_ms() - begun < 3000);
	assert_true(fake_disk_most(fx.disk) >= 60);
	stop(&fx);
}

/* As a loop device writes: more at a time than there are buffers. (Writers that
 * block are let in one by one by the kernel.) */
/* `count` writes of `size` bytes at once; how many of them the disk had at a time. */
static unsigned write_at_once(int count, size_t size)
{
	static struct iocb cb[MANY];
	static struct io_event events[MANY];
	struct iocb *list[MANY];
	aio_context_t ctx = 0;
	struct fixture fx;
	unsigned char *data = NULL;
	unsigned most;
	int64_t begun;
	int fd, i;

	start(&fx);
	fake_disk_delay(fx.disk, 100);
	fd = open_disk(&fx, O_RDWR | O_DIRECT);
	assert_int_equal(posix_memalign((void **)&data, 4096, (size_t)count * size), 0);
	for (i = 0; i < count; i++) {
		memset(data + (size_t)i * size, i, size);
		cb[i] = (struct iocb) { .aio_fildes = (unsigned)fd, .aio_lio_opcode = IOCB_CMD_PWRITE,
					.aio_buf = (uintptr_t)(data + (size_t)i * size), .aio_nbytes = size,
					.aio_offset = (int64_t)i * (int64_t)size };
		list[i] = &cb[i];
	}
	assert_int_equal(syscall(SYS_io_setup, count, &ctx), 0);
	begun = now_ms();
	for (i = 0; i < count;) {
		long n = syscall(SYS_io_submit, ctx, count - i, list + i);

		assert_true(n > 0);
		i += (int)n;
	}
	assert_int_equal(syscall(SYS_io_getevents, ctx, count, count, events, NULL), count);
	assert_true(now_ms() - begun < 3000);
	for (i = 0; i < count; i++)
		assert_int_equal(events[i].res, size);
	assert_memory_equal(fake_disk_bytes(fx.disk), data, (size_t)count * size);
	most = fake_disk_most(fx.disk);
	syscall(SYS_io_destroy, ctx);
	free(data);
	close(fd);
	stop(&fx);
	return most;
}

static void many_writes(void **state)
{
	assert_true(write_at_once(MANY, 4096) >= 60);
}

/* Of large ones only 8 MiB, and one for each thread. */
static void large_writes(void **state)
{
	assert_true(write_at_once(30, MIB) <= 8 + 4);
}

/* --- the end --- */

static void shared_mapping(void **state)
{
	struct fixture fx;
	unsigned char *map;
	int fd;

	start(&fx);
	fake_disk_delay(fx.disk, 1);
	fd = open_disk(&fx, O_RDWR);
	map = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	memset(map, 9, 4 * MIB);
	munmap(map, 4 * MIB);
	close(fd);
	/* What the kernel still holds is written while the mount goes away. */
	assert_true(drive_fuse_unmount(fx.fuse, 5000));
	assert_true(all_are(fake_disk_bytes(fx.disk), 9, 4 * MIB));
	stop(&fx);
}

static void taken_away(void **state)
{
	struct fixture fx;
	char command[128];
	int64_t end;

	start(&fx);
	if (umount(fx.dir) < 0) {
		snprintf(command, sizeof(command), "fusermount3 -u %s", fx.dir);
		assert_int_equal(system(command), 0);
	}
	for (end = now_ms() + 5000; !atomic_load(&fx.ended) && now_ms() < end;)
		poll(NULL, 0, 5);
	assert_int_equal(atomic_load(&fx.ended), 1);
	stop(&fx);
	assert_int_equal(fx.ended, 1);
}

static atomic_bool loaded;

static void *load(void *arg)
{
	struct one_io *io = arg;
	void *data;

	if (posix_memalign(&data, 4096, 65536))
		abort();
	memset(data, 1, 65536);
	for (;;) {
		off_t at = (off_t)(rand_r((unsigned *)&io->n) % 1000) * 65536;
		ssize_t n = io->write ? pwrite(io->fd, data, 65536, at) : pread(io->fd, data, 65536, at);

		if (n != 65536)
			break;
		atomic_store(&loaded, true);
	}
	free(data);
	return NULL;
}

static void unmount_under_load(void **state)
{
	struct one_io io[8];
	pthread_t threads[8];
	struct fixture fx;
	int i, round;

	for (round = 0; round < 5; round++) {
		start(&fx);
		atomic_store(&loaded, false);
		fake_disk_delay(fx.disk, round % 3);
		for (i = 0; i < 8; i++) {
			io[i] = (struct one_io) { .fd = open_disk(&fx, O_RDWR | O_DIRECT), .n = i, .write = i % 2 };
			pthread_create(&threads[i], NULL, load, &io[i]);
		}
		while (!atomic_load(&loaded))
			sched_yield();
		assert_false(drive_fuse_unmount(fx.fuse, 20));
		finish(&fx);
		for (i = 0; i < 8; i++) {
			pthread_join(threads[i], NULL);
			close(io[i].fd);
		}
		assert_int_equal(fx.ended, 0);
		assert_int_equal(rmdir(fx.dir), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tree), TEST(read_only), TEST(in_mount_table),
		TEST(patterns_at_once), TEST(patterns_late),
		TEST(patterns_direct), TEST(small_requests),
		TEST(at_the_end), TEST(zeroing), TEST(failures),
		TEST(many_reads), TEST(many_writes), TEST(large_writes), TEST(shared_mapping), TEST(taken_away),
		TEST(unmount_under_load),
	};

	if (!fixture_can_mount())
		return 0;
	log_init("test-drive-fuse", LOG_LEVEL_ERROR);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
