/*
 * fake-drive - stands in for hpcpack-drive in the tests of the agent: speaks
 * fs/channel.h and serves a local image, RUNTIME/../images/BLOB, through FUSE.
 *
 * What it does besides depends on how the blob's name begins:
 *   slow-      never becomes ready
 *   fail-      says that the lease is held
 *   exit-      ends without a word
 *   unsaved-   says at the end that not everything was stored
 * A stop in order is noted as a line in RUNTIME/../stopped: it stands for the
 * release of the lease.
 */
#include <config.h>

#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <jansson.h>
#include <libgen.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "fs/channel.h"
#include "fs/job.h"

static struct {
	struct worker_job job;
	char fs[4200], base[4200];
	int image, listener, signals;
	off_t size, window_offset, window_size;
	struct fuse *fuse;
} g;

/* --- the files `disk` and `part` --- */

static int find(const char *path, off_t *offset, off_t *size)
{
	if (!strcmp(path, "/disk")) {
		*offset = 0;
		*size = g.size;
		return 0;
	}
	*offset = g.window_offset;
	*size = g.window_size;
	return !strcmp(path, "/part") && g.window_size ? 0 : -ENOENT;
}

static int do_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	off_t offset;

	memset(st, 0, sizeof(*st));
	st->st_uid = geteuid();
	st->st_gid = getegid();
	st->st_mode = S_IFDIR | 0700;
	st->st_nlink = 2;
	if (!strcmp(path, "/"))
		return 0;
	st->st_mode = S_IFREG | 0600;
	st->st_nlink = 1;
	return find(path, &offset, &st->st_size);
}

static int do_open(const char *path, struct fuse_file_info *fi)
{
	off_t offset, size;

	return find(path, &offset, &size);
}

static int do_read(const char *path, char *buf, size_t len, off_t at, struct fuse_file_info *fi)
{
	off_t offset, size;
	ssize_t n;

	if (find(path, &offset, &size) < 0 || at >= size)
		return 0;
	if ((off_t)len > size - at)
		len = (size_t)(size - at);
	n = pread(g.image, buf, len, offset + at);
	return n < 0 ? -errno : (int)n;
}

static int do_write(const char *path, const char *buf, size_t len, off_t at,
		    struct fuse_file_info *fi)
{
	off_t offset, size;
	ssize_t n;

	if (find(path, &offset, &size) < 0 || at + (off_t)len > size)
		return -EIO;
	n = pwrite(g.image, buf, len, offset + at);
	return n < 0 ? -errno : (int)n;
}

static int do_fsync(const char *path, int data, struct fuse_file_info *fi)
{
	return 0;
}

static const struct fuse_operations ops = {
	.getattr = do_getattr, .open = do_open,	  .read = do_read,
	.write = do_write,     .fsync = do_fsync,
};

/* --- control --- */

static void note_stop(void)
{
	char path[4300];
	FILE *f;

	snprintf(path, sizeof(path), "%s/stopped", g.base);
	f = fopen(path, "ae");
	if (f) {
		fprintf(f, "%s\n", g.job.blob);
		fclose(f);
	}
}

static void end_in_order(void)
{
	note_stop();
	if (g.fuse)
		fuse_unmount(g.fuse);
	rmdir(g.fs);
	_exit(0);
}

static json_t *stats(void)
{
	return json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "bytes_read", 4096, "bytes_written", 512,
			 "requests", 7, "retries", 0, "cache_size", 1 << 20, "cache_used", 4096, "dirty",
			 0);
}

static void answer(int fd, const char *op, const json_t *request)
{
	json_t *reply;

	if (!strcmp(op, "status")) {
		reply = json_pack("{s:b, s:s, s:s, s:i, s:{s:s, s:s, s:i}, s:o}", "ok", 1, "state", "ready",
				  "reason", "", "pid", (int)getpid(), "lease", "state", "held",
				  "held_since", "2026-11-21T03:26:09Z", "next_renewal_ms", 20000, "stats",
				  stats());
	} else if (!strcmp(op, "window")) {
		g.window_offset = json_integer_value(json_object_get(request, "offset"));
		g.window_size = json_integer_value(json_object_get(request, "size"));
		reply = json_pack("{s:b}", "ok", 1);
	} else if (!strncmp(g.job.blob, "unsaved-", 8)) {
		reply = json_pack("{s:b, s:{s:s, s:s}, s:o}", "ok", 0, "error", "code", "lease-lost",
				  "message", "4096 bytes were not stored", "receipt", stats());
	} else {
		reply = json_pack("{s:b, s:o}", "ok", 1, "receipt", stats());
	}
	if (!strcmp(op, "stop"))
		note_stop();
	channel_send(fd, reply, NULL);
	json_decref(reply);
	if (strcmp(op, "stop"))
		return;
	fuse_unmount(g.fuse);
	rmdir(g.fs);
	_exit(0);
}

static void *control(void *arg)
{
	struct pollfd p[2] = { { .fd = g.listener, .events = POLLIN },
			       { .fd = g.signals, .events = POLLIN } };

	for (;;) {
		json_t *request;
		const char *op;
		int fd;

		if (poll(p, 2, -1) < 0)
			continue;
		if (p[1].revents)
			end_in_order();
		fd = accept(g.listener, NULL, NULL);
		request = channel_receive(fd, 1000, NULL);
		op = json_string_value(json_object_get(request, "op"));
		if (op)
			answer(fd, op, request);
		json_decref(request);
		close(fd);
	}
	return arg;
}

/* --- the start --- */

static void say(json_t *msg)
{
	channel_send(3, msg, NULL);
	json_decref(msg);
}

/* A snapshot's writes stay here. */
static int open_overlay(const char *path)
{
	int from = open(path, O_RDONLY | O_CLOEXEC), to = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	char chunk[65536];
	ssize_t n;

	while ((n = read(from, chunk, sizeof(chunk))) > 0)
		if (write(to, chunk, (size_t)n) != n)
			return -1;
	close(from);
	return to;
}

static int receive_job(void)
{
	json_t *job = channel_receive(3, 10000, NULL);
	const char *fuse_dir = json_string_value(json_object_get(job, "fuse_dir"));
	char path[8500], mounts[4200];
	struct stat st;
	struct err err;

	if (worker_job_from_json(job, &g.job, &err) < 0) {
		fprintf(stderr, "fake-drive: %s\n", err.msg);
		return -1;
	}
	snprintf(mounts, sizeof(mounts), "%s", g.job.dir);
	snprintf(g.base, sizeof(g.base), "%s", dirname(dirname(dirname(mounts))));
	snprintf(g.fs, sizeof(g.fs), "%s/fs", g.job.dir);
	if (fuse_dir)
		snprintf(g.fs, sizeof(g.fs), "%s", fuse_dir);
	else if (mkdir(g.fs, 0700) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/images/%s", g.base, g.job.blob);
	g.image = g.job.drive.wish == SNAPSHOT_NONE ? open(path, O_RDWR | O_CLOEXEC) : open_overlay(path);
	json_decref(job);
	if (g.image < 0 || fstat(g.image, &st) < 0)
		return -1;
	g.size = st.st_size;
	return 0;
}

static int serve(void)
{
	char fsname[] = "-ofsname=fake", program[] = "fake-drive";
	char *argv[] = { program, fsname, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(2, argv);
	bool snapshot = g.job.drive.wish != SNAPSHOT_NONE;
	pthread_t thread;

	g.fuse = fuse_new(&args, &ops, sizeof(ops), NULL);
	if (!g.fuse || fuse_mount(g.fuse, g.fs) < 0)
		return 1;
	pthread_create(&thread, NULL, control, NULL);
	say(json_pack("{s:s, s:I, s:b, s:o, s:b, s:s}", "event", "ready", "size", (json_int_t)g.size,
		      "read_only", snapshot || g.job.drive.read_only, "snapshot",
		      snapshot ? json_string("2026-11-21T03:26:09.0000000Z") : json_null(),
		      "snapshot_own", g.job.drive.wish == SNAPSHOT_NEW, "etag", "\"0x1\""));
	fuse_loop(g.fuse);
	/* Unmounted: by control(), which ends the program, or from outside. */
	poll(NULL, 0, 500);
	end_in_order();
	return 0;
}

static int begin(void)
{
	struct pollfd p[2] = { { .fd = g.signals, .events = POLLIN }, { .fd = 3, .events = 0 } };
	char control_path[4300];

	snprintf(control_path, sizeof(control_path), "%s/control", g.job.dir);
	g.listener = channel_listen(control_path, NULL);
	if (g.listener < 0)
		return 1;
	say(json_pack("{s:s, s:s}", "event", "progress", "text", "opening the image"));
	if (!strncmp(g.job.blob, "exit-", 5))
		return 3;
	if (!strncmp(g.job.blob, "fail-", 5)) {
		say(json_pack("{s:s, s:{s:s, s:s, s:s, s:s}}", "event", "failed", "error", "code",
			      "lease-held", "message", "held by joe on host7", "service_code",
			      "LeaseAlreadyPresent", "request_id", "r-1"));
		return 1;
	}
	if (strncmp(g.job.blob, "slow-", 5))
		return serve();
	poll(p, 2, -1);
	end_in_order();
	return 0;
}

int main(void)
{
	sigset_t set;

	umask(077);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	g.signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (receive_job() < 0) {
		say(json_pack("{s:s, s:{s:s, s:s}}", "event", "failed", "error", "code", "not-found",
			      "message", "no such image"));
		return 1;
	}
	return begin();
}
