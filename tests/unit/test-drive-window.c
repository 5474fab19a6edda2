/* The file `part`, which shows some of the disk, beside the file `disk`. */
#include <config.h>

#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob/base/log.h"
#include "drive_fixture.h"

static bool shows_part(const struct fixture *fx)
{
	DIR *dir = opendir(fx->dir);
	struct dirent *e;
	bool found = false;

	while ((e = readdir(dir)))
		found |= !strcmp(e->d_name, "part");
	closedir(dir);
	return found;
}

static void refused_windows(struct fixture *fx, bool is_open)
{
	static const struct {
		uint64_t offset, size;
	} wrong[] = { { 0, 0 }, { 100, 512 }, { 512, 100 }, { SIZE, 512 }, { 0, SIZE + 512 },
		      { SIZE - 512, 1024 }, { UINT64_MAX - 511, 1024 }, { 512, UINT64_MAX - 511 } };
	struct err err;
	unsigned i;

	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(drive_fuse_window(fx->fuse, wrong[i].offset, wrong[i].size, &err), -1);
		assert_int_equal(err.code, ERR_USAGE);
	}
	assert_int_equal(shows_part(fx), is_open);
}

/* It comes while the kernel has looked for it in vain, and stays as it is. */
static void window_opens(void **state)
{
	struct fixture fx;
	struct stat disk, part;
	struct err err;
	char path[80];

	start(&fx);
	snprintf(path, sizeof(path), "%s/part", fx.dir);
	assert_int_equal(open(path, O_RDWR), -1);
	assert_int_equal(errno, ENOENT);
	refused_windows(&fx, false);
	assert_int_equal(stat(path, &part), -1);
	assert_int_equal(drive_fuse_window(fx.fuse, MIB, 3 * MIB + 512, &err), 0);
	assert_true(shows_part(&fx));
	assert_int_equal(stat(path, &part), 0);
	assert_int_equal(stat(fx.path, &disk), 0);
	assert_int_equal(part.st_size, 3 * MIB + 512);
	assert_int_equal(part.st_mode, disk.st_mode);
	assert_int_not_equal(part.st_ino, disk.st_ino);
	assert_int_equal(disk.st_size, SIZE);
	assert_int_equal(drive_fuse_window(fx.fuse, MIB, 3 * MIB + 512, &err), 0);
	assert_int_equal(drive_fuse_window(fx.fuse, MIB, 3 * MIB, &err), -1);
	assert_int_equal(err.code, ERR_BUSY);
	assert_int_equal(drive_fuse_window(fx.fuse, 0, 3 * MIB + 512, &err), -1);
	assert_int_equal(err.code, ERR_BUSY);
	refused_windows(&fx, true);
	assert_int_equal(stat(path, &part), 0);
	assert_int_equal(part.st_size, 3 * MIB + 512);
	stop(&fx);
}

static int open_window(struct fixture *fx, uint64_t offset, uint64_t size, int flags)
{
	struct err err;
	char path[80];
	int fd;

	snprintf(path, sizeof(path), "%s/part", fx->dir);
	if (drive_fuse_window(fx->fuse, offset, size, &err) < 0)
		fail_msg("%s", err.msg);
	fd = open(path, flags | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void window_bounds(void **state)
{
	const uint64_t from = 5 * MIB, size = 2 * MIB + 512, end = from + size;
	unsigned char data[8192], *bytes;
	struct disk_stats stats;
	struct fixture fx;
	int fd;

	start(&fx);
	bytes = fake_disk_bytes(fx.disk);
	memset(bytes, 7, SIZE);
	memset(bytes + from, 8, size);
	fd = open_window(&fx, from, size, O_RDWR);
	assert_int_equal(lseek(fd, 0, SEEK_END), size);
	assert_int_equal(pread(fd, data, 8192, 0), 8192);
	assert_true(all_are(data, 8, 8192));
	assert_int_equal(pread(fd, data, 8192, (off_t)size - 1000), 1000);
	assert_true(all_are(data, 8, 1000));
	assert_int_equal(pread(fd, data, 8192, (off_t)size), 0);
	assert_int_equal(pread(fd, data, 8192, SIZE), 0);

	memset(data, 9, sizeof(data));
	assert_int_equal(pwrite(fd, data, 100, 0), 100);
	assert_int_equal(pwrite(fd, data, 8192, (off_t)size - 1000), 1000);
	assert_int_equal(pwrite(fd, data, 8192, (off_t)size), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(pwrite(fd, data, 8192, (off_t)(SIZE - from)), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(fsync(fd), 0);
	disk_stats(fx.disk, &stats);
	assert_int_equal(stats.flushes, 1);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(ftruncate(fd, (off_t)size + 512), -1);
	assert_int_equal(errno, EPERM);
	assert_true(all_are(bytes + from, 9, 100));
	assert_true(all_are(bytes + end - 1000, 9, 1000));

	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 512, 512), 0);
	assert_true(all_are(bytes + from + 512, 0, 512));
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)size - 512, MIB), 0);
	assert_true(all_are(bytes + end - 512, 0, 512));
	assert_int_equal(fallocate(fd, FALLOC_FL_ZERO_RANGE, (off_t)size, 512), -1);
	assert_int_equal(errno, ENOSPC);
	assert_true(all_are(bytes, 7, from));
	assert_true(all_are(bytes + end, 7, SIZE - end));
	close(fd);
	stop(&fx);
}

/* The kernel keeps pages of each file; whoever opens one sees what went through
 * the other. */
static void window_and_disk(void **state)
{
	char data[4096], text[] = "through the other file";
	struct fixture fx;
	int disk, part;

	start(&fx);
	part = open_window(&fx, MIB, MIB, O_RDWR);
	disk = open_disk(&fx, O_RDWR);
	assert_int_equal(pread(disk, data, 4096, MIB), 4096);
	assert_int_equal(pread(part, data, 4096, 4096), 4096);
	assert_int_equal(pwrite(part, text, sizeof(text), 0), sizeof(text));
	assert_int_equal(pwrite(disk, text, sizeof(text), MIB + 4096), sizeof(text));
	close(disk);
	close(part);
	disk = open_disk(&fx, O_RDONLY);
	part = open_window(&fx, MIB, MIB, O_RDONLY);
	assert_int_equal(pread(disk, data, 4096, MIB), 4096);
	assert_string_equal(data, text);
	assert_int_equal(pread(part, data, 4096, 4096), 4096);
	assert_string_equal(data, text);
	close(disk);
	close(part);
	stop(&fx);
}

static void window_read_only(void **state)
{
	struct fixture fx;
	char path[80];

	start_with(&fx, true, false, MIB);
	close(open_window(&fx, MIB, MIB, O_RDONLY));
	snprintf(path, sizeof(path), "%s/part", fx.dir);
	assert_int_equal(open(path, O_RDWR), -1);
	assert_true(errno == EROFS || errno == EACCES);
	stop(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(window_opens), TEST(window_bounds), TEST(window_and_disk), TEST(window_read_only),
	};

	if (!fixture_can_mount())
		return 0;
	log_init("test-drive-window", LOG_LEVEL_ERROR);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
