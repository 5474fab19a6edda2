/*
 * hpcpack-drive: the worker of one mounted drive. Started by the agent with the
 * channel as descriptor 3 (fs/channel.h); there is nothing on its command line.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "blob/base/log.h"
#include "fs/channel.h"
#include "fs/drive.h"

#define CHANNEL_FD 3
#define JOB_WAIT_MS 30000

/* --- the process --- */

static void no_core_dumps(void)
{
	const struct rlimit none = { .rlim_cur = 0, .rlim_max = 0 };

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* The kernel writes dirty pages back through us: its memory must not wait for
 * such pages to be written, and it must not be us who is shot for more of it. */
static void become_storage(void)
{
	cleanup_close int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (geteuid() != 0)
		return;
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) < 0)
		log_debug("PR_SET_IO_FLUSHER: %s", strerror(errno));
	if (fd < 0 || write(fd, "-900", 4) < 0)
		log_debug("oom_score_adj: %s", strerror(errno));
}

/* Blocked here, before there is a second thread; read by the control thread. */
static void set_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_SETMASK, &set, NULL);
}

static bool is_channel(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

static void set_up_process(void)
{
	const struct timeval second = { .tv_sec = 1 };

	no_core_dumps();
	set_signals();
	setsid(); /* fails when we lead a session already */
	close_range(CHANNEL_FD + 1, ~0u, 0);
	fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC);
	/* An agent that is stopped must not stop us. */
	setsockopt(CHANNEL_FD, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof(second));
	umask(077);
	if (chdir("/") < 0)
		log_debug("chdir: %s", strerror(errno));
	become_storage();
}

/* --- the drive --- */

static int receive_job(struct drive *d, struct err *err)
{
	json_t *msg = channel_receive(CHANNEL_FD, JOB_WAIT_MS, err);
	int rc;

	if (!msg)
		return err_prefix(err, "can't get the job");
	rc = drive_job_from_json(msg, &d->job, err);
	json_decref(msg);
	if (rc < 0)
		return err_prefix(err, "the job can't be done");
	snprintf(d->name, sizeof(d->name), "%s/%s", d->job.container, d->job.blob);
	log_init("hpcpack-drive", (enum log_level)d->job.log_level);
	return 0;
}

static void on_fuse_ended(void *arg)
{
	drive_ask_stop(arg, "its FUSE mount was taken away");
}

static int mount_fuse(struct drive *d, const char *dir, struct err *err)
{
	cleanup_free char *source = NULL;
	struct drive_fuse *fuse;
	struct drive_fuse_options o = { .dir = dir, .read_only = d->read_only && !*d->snapshot,
					.allow_other = d->job.allow_other, .ended = on_fuse_ended, .arg = d };

	if (asprintf(&source, "%s/%s%s%s", d->job.account.name, d->name, *d->snapshot ? "@" : "",
		     d->snapshot) < 0) {
		source = NULL;
		return err_set(err, ERR_NO_MEMORY, "%s: out of memory", d->name);
	}
	o.source = source;
	fuse = drive_fuse_mount(d->disk, &o, err);
	pthread_mutex_lock(&d->lock);
	d->fuse = fuse;
	pthread_mutex_unlock(&d->lock);
	return fuse ? drive_try_read(d, dir, err) : -1;
}

static int say_ready(struct drive *d, struct err *err)
{
	json_t *event;
	bool stop;
	int rc;

	pthread_mutex_lock(&d->lock);
	stop = d->stop;
	if (!stop)
		d->phase = DRIVE_SERVING;
	pthread_mutex_unlock(&d->lock);
	if (stop)
		return err_set(err, ERR_CANCELLED, "%s: the mount was given up", d->name);
	event = json_pack("{ss sI sb so sb so}", "event", "ready", "size", (json_int_t)d->size,
			  "read_only", d->read_only,
			  "snapshot", *d->snapshot ? channel_text(d->snapshot) : json_null(),
			  "snapshot_own", d->snapshot_own, "etag", channel_text(d->etag));
	control_commit(d);
	rc = event ? channel_send(d->channel, event, err) : err_set(err, ERR_NO_MEMORY, "out of memory");
	json_decref(event);
	if (rc == 0)
		control_ready(d);
	return rc;
}

static void say_failed(const struct err *why)
{
	json_t *event = json_pack("{ss so}", "event", "failed", "error", channel_err_to_json(why));

	log_error("%s", why->msg);
	if (event)
		channel_send(CHANNEL_FD, event, NULL);
	json_decref(event);
}

static json_t *make_reply(struct drive *d, int rc, const struct err *err)
{
	json_t *receipt, *reply;

	pthread_mutex_lock(&d->lock);
	receipt = drive_stats(d);
	json_object_set_new(receipt, "etag", channel_text(d->etag));
	pthread_mutex_unlock(&d->lock);
	reply = json_pack("{sb so}", "ok", rc == 0, "receipt", receipt);
	if (rc < 0)
		json_object_set_new(reply, "error", channel_err_to_json(err));
	return reply;
}

/* The folder that FUSE is mounted at: the job's, or one that we make. */
static char *fuse_folder(const struct drive *d, struct err *err)
{
	char *dir = NULL;

	if (d->job.fuse_dir)
		dir = strdup(d->job.fuse_dir);
	else if (asprintf(&dir, "%s/fs", d->job.dir) < 0)
		dir = NULL;
	if (!dir) {
		err_set(err, ERR_NO_MEMORY, "%s: out of memory", d->name);
	} else if (!d->job.fuse_dir && mkdir(dir, 0700) < 0 && errno != EEXIST) {
		err_set_errno(err, errno, "%s: can't make the folder %s", d->name, dir);
		free(steal_ptr(&dir));
	}
	return dir;
}

static void leave_folder(const struct drive *d, const char *dir)
{
	if (!d->job.fuse_dir)
		rmdir(dir);
}

/* From the folder to the last word. Nothing that it made is left behind. */
static int serve(struct drive *d, const char *dir)
{
	struct err err, lost;
	json_t *reply;
	bool failed;
	int rc;

	failed = drive_open(d, &err) < 0 || mount_fuse(d, dir, &err) < 0 || say_ready(d, &err) < 0;
	if (!failed && d->snapshot_own)
		drive_sweep_snapshots(d);
	if (!failed)
		drive_wait_stop(d);
	rc = drive_close(d, &lost);
	leave_folder(d, dir);
	reply = make_reply(d, failed ? -1 : rc, failed ? &err : &lost);
	control_finish(d, reply);
	json_decref(reply);
	if (failed)
		say_failed(&err);
	else if (rc < 0)
		log_error("%s", lost.msg);
	return failed || rc < 0 ? -1 : 0;
}

static int run(struct drive *d)
{
	cleanup_free char *dir = NULL;
	struct err err;

	if (receive_job(d, &err) < 0) {
		say_failed(&err);
		return -1;
	}
	dir = fuse_folder(d, &err);
	if (dir && control_start(d, &err) == 0)
		return serve(d, dir);
	if (dir)
		leave_folder(d, dir);
	say_failed(&err);
	return -1;
}

int main(int argc, char **argv)
{
	struct drive d = { .channel = CHANNEL_FD, .lock = PTHREAD_MUTEX_INITIALIZER,
			   .changed = PTHREAD_COND_INITIALIZER, .hook_lock = PTHREAD_MUTEX_INITIALIZER };
	int rc;

	log_init("hpcpack-drive", LOG_LEVEL_INFO);
	if (argc > 1 || !is_channel(CHANNEL_FD)) {
		fprintf(stderr, "%s: is started by hpcagentd, not by hand; see hpcpack(1), mount\n", argv[0]);
		return 2;
	}
	set_up_process();
	rc = run(&d);
	drive_job_free(&d.job);
	json_decref(d.last_stats);
	/* No secret is left in memory, and leak checkers have to look at it. */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	return rc < 0 ? 1 : 0;
}
