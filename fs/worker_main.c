/*
 * The process of a worker. Started by the agent with the channel as descriptor 3
 * (fs/channel.h); there is nothing on its command line.
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
#include "fs/worker.h"

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

static void set_up_process(bool storage)
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
	if (storage)
		become_storage();
}

/* --- its life --- */

static int receive_job(struct worker *w, struct err *err)
{
	json_t *msg = channel_receive(CHANNEL_FD, JOB_WAIT_MS, err);
	int rc;

	if (!msg)
		return err_prefix(err, "can't get the job");
	rc = worker_job_from_json(msg, &w->job, err);
	json_decref(msg);
	if (rc == 0 && w->job.kind != w->ops->kind)
		rc = err_set(err, ERR_PROTOCOL, "it is one for another worker than %s", w->ops->program);
	if (rc < 0)
		return err_prefix(err, "the job can't be done");
	snprintf(w->name, sizeof(w->name), "%s%s%s", w->job.container, w->job.blob ? "/" : "",
		 w->job.blob ? w->job.blob : "");
	log_init(w->ops->program, (enum log_level)w->job.log_level);
	return 0;
}

void worker_fuse_ended(void *worker)
{
	worker_ask_stop(worker, "its FUSE mount was taken away");
}

void worker_progress(const struct worker *w, const char *text)
{
	json_t *msg = json_pack("{ssss}", "event", "progress", "text", text);

	if (msg)
		channel_send(w->channel, msg, NULL);
	json_decref(msg);
}

static int say_ready(struct worker *w, struct err *err)
{
	json_t *event;
	bool stop;
	int rc;

	pthread_mutex_lock(&w->lock);
	stop = w->stop;
	if (!stop)
		w->phase = WORKER_SERVING;
	pthread_mutex_unlock(&w->lock);
	if (stop)
		return err_set(err, ERR_CANCELLED, "%s: the mount was given up", w->name);
	event = json_pack("{ss so}", "event", "ready", "etag", channel_text(w->etag));
	if (event)
		w->ops->ready(w, event);
	control_commit(w);
	rc = event ? channel_send(w->channel, event, err) : err_set(err, ERR_NO_MEMORY, "out of memory");
	json_decref(event);
	if (rc == 0)
		control_ready(w);
	return rc;
}

static void say_failed(const struct worker *w, const struct err *why)
{
	json_t *event = json_pack("{ss so sb}", "event", "failed", "error", channel_err_to_json(why),
				  "other", w->other);

	if (w->other)
		log_info("%s", why->msg);
	else
		log_error("%s", why->msg);
	if (event)
		channel_send(CHANNEL_FD, event, NULL);
	json_decref(event);
}

static json_t *make_reply(struct worker *w, int rc, const struct err *err)
{
	json_t *reply = json_pack("{sb so}", "ok", rc == 0, "receipt", worker_receipt(w));

	if (rc < 0)
		json_object_set_new(reply, "error", channel_err_to_json(err));
	return reply;
}

/* The folder that FUSE is mounted at: the job's, or one that we make. */
static char *fuse_folder(const struct worker *w, struct err *err)
{
	char *dir = NULL;

	if (w->job.fuse_dir)
		dir = strdup(w->job.fuse_dir);
	else if (asprintf(&dir, "%s/fs", w->job.dir) < 0)
		dir = NULL;
	if (!dir) {
		err_set(err, ERR_NO_MEMORY, "%s: out of memory", w->name);
	} else if (!w->job.fuse_dir && mkdir(dir, 0700) < 0 && errno != EEXIST) {
		err_set_errno(err, errno, "%s: can't make the folder %s", w->name, dir);
		free(steal_ptr(&dir));
	}
	return dir;
}

static void leave_folder(const struct worker *w, const char *dir)
{
	if (!w->job.fuse_dir)
		rmdir(dir);
}

/* From the folder to the last word. Nothing that it made is left behind. */
static int serve(struct worker *w, const char *dir)
{
	struct err err, lost;
	json_t *reply;
	bool failed;
	int rc;

	failed = w->ops->open(w, dir, &err) < 0 || say_ready(w, &err) < 0;
	if (!failed && w->ops->serving)
		w->ops->serving(w);
	if (!failed)
		worker_wait_stop(w);
	worker_begin_closing(w);
	rc = w->ops->close(w, &lost);
	leave_folder(w, dir);
	reply = make_reply(w, failed ? -1 : rc, failed ? &err : &lost);
	control_finish(w, reply);
	json_decref(reply);
	if (failed)
		say_failed(w, &err);
	else if (rc < 0)
		log_error("%s", lost.msg);
	return failed || rc < 0 ? -1 : 0;
}

static int run(struct worker *w)
{
	cleanup_free char *dir = NULL;
	struct err err;

	if (receive_job(w, &err) < 0) {
		say_failed(w, &err);
		return -1;
	}
	dir = fuse_folder(w, &err);
	if (dir && control_start(w, &err) == 0)
		return serve(w, dir);
	if (dir)
		leave_folder(w, dir);
	say_failed(w, &err);
	return -1;
}

int worker_main(struct worker *w, int argc, char **argv)
{
	int rc;

	w->channel = CHANNEL_FD;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	log_init(w->ops->program, LOG_LEVEL_INFO);
	if (argc > 1 || !is_channel(CHANNEL_FD)) {
		fprintf(stderr, "%s: is started by hpcagentd, not by hand; see hpcpack(1), mount\n", argv[0]);
		return 2;
	}
	set_up_process(w->ops->storage);
	rc = run(w);
	worker_job_free(&w->job);
	json_decref(w->last_stats);
	/* No secret is left in memory, and leak checkers have to look at it. */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	return rc < 0 ? 1 : 0;
}
