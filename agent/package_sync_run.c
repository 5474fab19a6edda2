#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/package_sync.h"
#include "agent/spawn.h"
#include "blob/base/buf.h"
#include "blob/base/cleanup.h"
#include "blob/base/log.h"

/* What it may print: its report; and of what it complains about, so much is
 * logged. */
#define REPORT_MAX (32u << 20)
#define LOG_LINES_MAX 50
#define LINE_MAX_BYTES 1000
/* For it to put things in order after a SIGTERM. */
#define STOP_MS 20000

/* Passed on to hpcsync and to nobody else. */
static const char *const variables[] = { "CCP_AZURE_CONNECTIONSTRING", "CCP_PACKAGE_ROOT" };

struct child {
	pid_t pid;
	int pidfd, out, err;       /* -1: at its end */
	struct buf report, line;
	char last_words[LINE_MAX_BYTES + 1];
	unsigned lines;
	int64_t kill_at_ms;        /* 0: nobody has asked it to end */
};

/* --- what it says --- */

static void end_line(struct child *c)
{
	if (!c->line.len && !c->line.failed)
		return;
	snprintf(c->last_words, sizeof(c->last_words), "%s", buf_str(&c->line));
	if (c->lines < LOG_LINES_MAX)
		log_warn("%s", c->last_words);
	else if (c->lines == LOG_LINES_MAX)
		log_warn("hpcsync has more to say, which is left out here");
	c->lines++;
	buf_reset(&c->line);
}

static void hear_complaint(struct child *c, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n')
			end_line(c);
		else
			buf_add(&c->line, text + i, 1); /* the rest of a long one is dropped */
	}
}

/* All that is there now. */
static void drain(struct child *c, int *fd)
{
	char chunk[16384];
	ssize_t n;

	while (*fd >= 0) {
		n = read(*fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			close(steal_fd(fd));
		else if (fd == &c->err)
			hear_complaint(c, chunk, (size_t)n);
		else
			buf_add(&c->report, chunk, (size_t)n);
	}
}

/* --- its life --- */

static int open_pipe(int *ours, int *theirs)
{
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return -1;
	*ours = pair[0];
	*theirs = pair[1];
	return fcntl(pair[0], F_SETFL, O_NONBLOCK);
}

static int run_program(struct child *c, const struct settings *settings, int out, int err_fd, char **env,
		       struct err *err)
{
	char *const argv[] = { settings->sync_program, (char *)"--json", (char *)"--quiet",
			       settings->config ? (char *)"--config" : NULL, settings->config, NULL };
	struct spawn s = { .argv = argv, .uid = geteuid(), .gid = getegid(), .fd3 = -1, .stdout_fd = out,
			   .stderr_fd = err_fd, .env = env, .with_us = true };

	c->pid = spawn(&s, err);
	if (c->pid < 0)
		return -1;
	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	if (c->pidfd >= 0)
		return 0;
	err_set_errno(err, errno, "could not watch hpcsync");
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
	return -1;
}

static int begin(struct child *c, const struct settings *settings, struct err *err)
{
	char *env[ARRAY_LEN(variables) + 1] = { NULL };
	cleanup_close int out = -1;
	cleanup_close int err_fd = -1;
	size_t n = 0;
	int rc = -1;

	for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
		const char *value = getenv(variables[i]);

		if (value && asprintf(&env[n], "%s=%s", variables[i], value) >= 0)
			n++;
	}
	env[n] = NULL;
	if (open_pipe(&c->out, &out) < 0 || open_pipe(&c->err, &err_fd) < 0)
		err_set_errno(err, errno, "pipe");
	else
		rc = run_program(c, settings, out, err_fd, env, err);
	while (n--) {
		explicit_bzero(env[n], strlen(env[n]));
		free(env[n]);
	}
	return rc;
}

static void ask_to_end(struct child *c)
{
	int64_t now = monotonic_ms();

	if (!c->kill_at_ms) {
		syscall(SYS_pidfd_send_signal, c->pidfd, SIGTERM, NULL, 0);
		c->kill_at_ms = now + STOP_MS;
	} else if (now >= c->kill_at_ms) {
		log_warn("hpcsync (pid %d) does not end; killing it", (int)c->pid);
		syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0);
		c->kill_at_ms = now + STOP_MS;
	}
}

/* Until it has ended. */
static void attend(struct child *c, int cancel_fd)
{
	struct pollfd p[4];

	for (;;) {
		p[0] = (struct pollfd){ .fd = c->pidfd, .events = POLLIN };
		p[1] = (struct pollfd){ .fd = c->out, .events = POLLIN };
		p[2] = (struct pollfd){ .fd = c->err, .events = POLLIN };
		/* Readable for good: looked at once, and then now and then. */
		p[3] = (struct pollfd){ .fd = c->kill_at_ms ? -1 : cancel_fd, .events = POLLIN };
		if (poll(p, 4, c->kill_at_ms ? 100 : -1) < 0)
			continue;
		drain(c, &c->out);
		drain(c, &c->err);
		if (p[0].revents)
			return;
		if (c->kill_at_ms || p[3].revents)
			ask_to_end(c);
	}
}

/* Its exit status; minus the signal that ended it. */
static int bury(struct child *c)
{
	siginfo_t info = { .si_pid = 0 };

	while (waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	end_line(c);
	return info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
}

static void judge(struct child *c, int status, struct sync_result *out)
{
	char words[LINE_MAX_BYTES + 200];

	if (c->report.failed) {
		buf_reset(&c->report);
		snprintf(c->last_words, sizeof(c->last_words), "its report is longer than %u MiB",
			 REPORT_MAX >> 20);
	}
	if (status < 0)
		snprintf(words, sizeof(words), "hpcsync (pid %d) was killed by signal %d (%s)", (int)c->pid,
			 -status, strsignal(-status));
	else
		snprintf(words, sizeof(words), "%s", c->last_words);
	sync_result_read(out, buf_str(&c->report), c->report.len, status, words);
}

void sync_run(const struct settings *settings, int cancel_fd, struct sync_result *out)
{
	struct child c = { .pid = -1, .pidfd = -1, .out = -1, .err = -1, .report = BUF_INIT(REPORT_MAX),
			   .line = BUF_INIT(LINE_MAX_BYTES) };
	struct err err;

	memset(out, 0, sizeof(*out));
	utc_now(out->started);
	if (begin(&c, settings, &err) < 0) {
		snprintf(out->error, sizeof(out->error), "%s", err.msg);
	} else {
		attend(&c, cancel_fd);
		judge(&c, bury(&c), out);
		out->cancelled = c.kill_at_ms && !out->ok;
	}
	utc_now(out->ended);
	for (size_t i = 0; i < 3; i++) {
		int fd = ((int[]){ c.pidfd, c.out, c.err })[i];

		if (fd >= 0)
			close(fd);
	}
	buf_free(&c.report);
	buf_free(&c.line);
}
