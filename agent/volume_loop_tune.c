/*
 * What a loop device is set to while it is ours.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/volume_priv.h"
#include "blob/base/cleanup.h"
#include "blob/base/log.h"

/* In 512-byte sectors: 16 MiB, so that a reader of a large file lets the worker
 * see far enough ahead to keep its connections busy. */
#define READ_AHEAD (16ul << 11)
#define READ_AHEAD_DEFAULT 256ul

/*
 * How many bytes of a device may wait in the kernel to be written. Left to itself it
 * takes a fifth of the memory before it holds a writer up, and half of that before it
 * sends anything: the network is idle until somebody asks for fsync, and then all of
 * it is waited for. (strict_limit makes the limit hold when memory is plentiful, too.)
 *
 * What a device gets of its limit goes by its part in what all devices wrote lately,
 * which for one that was idle is nothing: some kernels let its writers wait for ever
 * longer then. The least keeps them going: four requests to storage.
 *
 * Both are kept as parts of the memory that may be dirty at the time of setting. The
 * kernel refuses the limit where that is less, and the least where too many devices
 * were promised one: then there is none of them.
 */
#define DIRTY_MOST "268435456"
#define DIRTY_LEAST "16777216"

/* A request of the kernel's usual size, 1280 KiB, would reach the worker as one of 1024
 * and one of 256. */
#define REQUEST_KIB "1024"

static int set_attribute(int number, const char *name, const char *value)
{
	cleanup_close int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/sys/block/loop%d/%s", number, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, value, strlen(value)) >= 0 ? 0 : -1;
}

static bool is_limited(int number)
{
	char text[8];

	return loop_attribute(number, "bdi/strict_limit", text, sizeof(text)) == 0 && text[0] == '1';
}

/*
 * The kernel takes a read that needs more than some milliseconds for the sign of a disk
 * that is busy writing, and lets fewer writes go at a time (wbt). Here reads wait for the
 * network, and writes end in the worker's memory.
 */
static void throttle(int number, bool on)
{
	set_attribute(number, "queue/wbt_lat_usec", on ? "-1" : "0"); /* -1: as usual */
}

static bool is_throttled(int number)
{
	char text[8];

	return loop_attribute(number, "queue/wbt_lat_usec", text, sizeof(text)) < 0 || text[0] != '0';
}

/* The other way round than it was set, so that nothing is strict with no least. */
static void unlimit(int number)
{
	set_attribute(number, "bdi/strict_limit", "0");
	set_attribute(number, "bdi/min_bytes", "0");
	set_attribute(number, "bdi/max_ratio", "100");
}

static void limit_dirty(int number)
{
	/* Since Linux 6.2. */
	if (set_attribute(number, "bdi/max_bytes", DIRTY_MOST) < 0)
		return;
	if (set_attribute(number, "bdi/min_bytes", DIRTY_LEAST) < 0 || set_attribute(number, "bdi/strict_limit", "1") < 0)
		unlimit(number);
}

void loop_tune(const struct volume *v, bool writing)
{
	cleanup_close int fd = loop_open(v);

	if (fd < 0)
		return;
	if (ioctl(fd, BLKRASET, READ_AHEAD) < 0)
		log_warn("/dev/loop%d: could not set the read-ahead: %s", v->loop, strerror(errno));
	set_attribute(v->loop, "queue/max_sectors_kb", REQUEST_KIB);
	throttle(v->loop, !writing);
	/* An agent that was killed could not take its limit back. */
	if (writing)
		limit_dirty(v->loop);
	else if (is_limited(v->loop))
		unlimit(v->loop);
}

bool loop_untune(const struct volume *v)
{
	cleanup_close int fd = loop_open(v);
	bool writing;

	if (fd < 0)
		return false;
	ioctl(fd, BLKRASET, READ_AHEAD_DEFAULT);
	set_attribute(v->loop, "queue/max_sectors_kb", "0"); /* as usual */
	writing = is_limited(v->loop) || !is_throttled(v->loop);
	throttle(v->loop, true);
	if (is_limited(v->loop))
		unlimit(v->loop);
	return writing;
}
